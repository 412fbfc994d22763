"""The classes of an installed package, read from its sources and never run.

What a class takes, has and inherits is wanted for each command line, before anything heavy is
imported: transformers alone takes seconds.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

IMPORT = re.compile(r"^from (\.+)([\w.]*) import ([\w, ]+|\([^)]*\))", re.MULTILINE)
"""Of names from a file of the same package."""


@dataclass(frozen=True)
class Argument:
    """One parameter of a method."""

    name: str
    required: bool


class Class:
    """One class of a package."""

    def __init__(self, name: str, file: Path, package: Package) -> None:
        self.name, self.file, self._package = name, file, package

    @cached_property
    def lineage(self) -> list[Class]:
        """The class and those that it inherits from, the nearest first, as far as they are here."""
        found = {self.name: self}
        for name in self._bases:
            above = self._package.find(name, self.file) if name != self.name else None
            for each in above.lineage if above else []:
                found.setdefault(each.name, each)
        return list(found.values())

    def inherits(self, ending: str) -> bool:
        """Return whether a class above it has a name that ends so."""
        return any(name.endswith(ending) for each in self.lineage for name in each._bases)

    def value(self, name: str) -> Any:
        """Return a class attribute that is a literal, its own or inherited, or None."""
        for each in self.lineage:
            if name in each._values:
                return each._values[name]
        return None

    def values(self) -> dict[str, Any]:
        """Return all class attributes that are literals: the defaults of a dataclass' fields."""
        found: dict[str, Any] = {}
        for each in reversed(self.lineage):
            found |= each._values
        return found

    def takes(self, method: str) -> list[Argument] | None:
        """Return what a method takes beside `self`, or None where it is not to be found."""
        for each in self.lineage:
            node = each._methods.get(method)
            if node is not None:
                return _arguments(node)
        return None

    def has(self, method: str) -> bool:
        """Return whether it has a method, its own or inherited."""
        return any(method in each._methods for each in self.lineage)

    @property
    def text(self) -> str:
        """The code of its file."""
        return self._package.text(self.file)

    def beside(self, file: Path) -> str:
        """Return the code of another file of its package."""
        return self._package.text(file)

    @cached_property
    def _node(self) -> ast.ClassDef:
        text = self._package.text(self.file)
        start = re.search(rf"^class {self.name}\b", text, re.MULTILINE)
        assert start is not None, (self.name, self.file)
        # A class ends where the next line begins that is not indented.
        end = re.compile(r"^(?![)\]#\s]).", re.MULTILINE).search(text, start.end())
        module = ast.parse(text[start.start() : end.start() if end else len(text)])
        node = module.body[0]
        assert isinstance(node, ast.ClassDef)
        return node

    @property
    def _bases(self) -> list[str]:
        return [ast.unparse(base).rpartition(".")[2] for base in self._node.bases]

    @cached_property
    def _methods(self) -> dict[str, ast.FunctionDef]:
        return {node.name: node for node in self._node.body if isinstance(node, ast.FunctionDef)}

    @cached_property
    def _values(self) -> dict[str, Any]:
        found = dict(_literals(self._node.body))
        made = self._methods.get("__init__")
        if made is not None:  # the defaults of what is built with keywords
            names = [argument.arg for argument in made.args.args]
            given = zip(names[::-1], made.args.defaults[::-1], strict=False)
            found |= {name: value for name, node in given if (value := _literal(node)) is not None}
        return found


class Package:
    """The sources of one package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._texts: dict[Path, str] = {}
        self._classes: dict[tuple[str, Path], Class | None] = {}

    def find(self, name: str, file: Path) -> Class | None:
        """Find a class as a file knows it: defined there, or imported from another one."""
        key = name, file
        if key not in self._classes:
            self._classes[key] = None  # for files that import from one another in a circle
            self._classes[key] = self._found(name, file)
        return self._classes[key]

    def search(self, pattern: str, name: str) -> Class | None:
        """Find a class in any of the files that a pattern stands for."""
        for file in sorted(self.folder.glob(pattern)):
            if self.defines(name, file):
                return self.find(name, file)
        return None

    def defines(self, name: str, file: Path) -> bool:
        """Return whether a file has a class of that name."""
        return re.search(rf"^class {name}\b", self.text(file), re.MULTILINE) is not None

    def text(self, file: Path) -> str:
        """Read a file, once; nothing, where it is not there."""
        if file not in self._texts:
            there = file.is_file()
            self._texts[file] = file.read_text(encoding="utf-8") if there else ""
        return self._texts[file]

    def _found(self, name: str, file: Path) -> Class | None:
        if self.defines(name, file):
            return Class(name, file, self)
        for dots, module, names in IMPORT.findall(self.text(file)):
            if name in re.findall(r"\w+", names):
                place = file.parents[len(dots) - 1].joinpath(*module.split("."))
                source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
                return self.find(name, source)
        return None


@cache
def package(name: str) -> Package | None:
    """Return an installed package, or None."""
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Package(Path(spec.origin).parent)


def _arguments(node: ast.FunctionDef) -> list[Argument]:
    given = node.args
    plain = [*given.posonlyargs, *given.args][1:]
    without = len(plain) - len(given.defaults)
    keywords = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return [
        *(_argument(each, place < without) for place, each in enumerate(plain)),
        *(_argument(each, default is None) for each, default in keywords),
    ]


def _argument(node: ast.arg, required: bool) -> Argument:
    return Argument(node.arg, required)


def _literals(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for node in body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            value: ast.expr | None = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names, value = [node.target.id], node.value
        else:
            continue
        found = None if value is None else _literal(value)
        if found is not None:
            yield from ((name, found) for name in names)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
