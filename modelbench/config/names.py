"""The names that a module's source gives it, read without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass
class Names:
    """What importing a module may leave in it: never too little."""

    bound: set[str] = field(default_factory=set)
    imported: set[tuple[str, int, str]] = field(default_factory=set)
    """Of `from .a import b`: 'a', 1, 'b', where b keeps its name."""
    stars: set[tuple[str, int]] = field(default_factory=set)
    """Of `from .a import *`: 'a', 1."""
    dynamic: bool = False
    """Whether running it can give it names that its source does not show."""


@lru_cache(maxsize=1024)
def names(source: str) -> Names:
    """Read a module's names; raises SyntaxError or ValueError for what is no Python."""
    tree = ast.parse(source)
    found = Names(dynamic=any(_makes_names(node) for node in ast.walk(tree)))
    own = _own_type_checking(tree)
    for node in _run_on_import(tree, own):
        _add(node, found)
        # Within a function these are its own variables, here the module's
        found.dynamic |= isinstance(node, ast.Name) and node.id in {"locals", "vars"}
    for node in ast.walk(tree):  # what functions bind here when they are called
        if isinstance(node, ast.Global):
            found.bound.update(node.names)
    found.dynamic |= bool(found.bound & {"__getattr__", "__path__", "__class__"})
    return found


def _add(node: ast.AST, found: Names) -> None:
    """Add what one statement or expression binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        found.bound.add(node.name)
    elif isinstance(node, ast.Import):
        found.bound.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            if alias.name == "*":
                found.stars.add((node.module or "", node.level))
            elif alias.asname in {None, alias.name}:
                found.imported.add((node.module or "", node.level, alias.name))
            else:
                found.bound.add(str(alias.asname))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        found.bound.add(node.id)
    elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
        found.bound.add(node.name)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        found.bound.add(node.rest)


def _makes_names(node: ast.AST) -> bool:
    """Tell whether code reaches for what can give its module further names."""
    if isinstance(node, ast.Name):
        return node.id in {"globals", "exec", "__path__"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "sys" and any(alias.name == "modules" for alias in node.names)
    if isinstance(node, ast.Attribute):  # sys.modules, but no network's .modules()
        return node.attr == "modules" and "sys" in getattr(node.value, "id", "")
    # A helper that is told which module calls it, unless it only writes a log
    told = isinstance(node, ast.Call) and any(
        isinstance(given, ast.Name) and given.id == "__name__"
        for given in [*node.args, *(keyword.value for keyword in node.keywords)]
    )
    return told and "log" not in ast.dump(node).lower()


def _own_type_checking(tree: ast.Module) -> bool:
    """Tell whether `TYPE_CHECKING` may be another than typing's, which is false when run."""
    return any(
        isinstance(node, ast.Name)
        and node.id == "TYPE_CHECKING"
        and isinstance(node.ctx, ast.Store)
        for node in ast.walk(tree)
    )


def _run_on_import(tree: ast.Module, own: bool) -> Iterator[ast.AST]:
    """Walk what runs when the module is imported: not the bodies of functions and classes."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and not own and _asks_for_types(node.test):
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))


def _asks_for_types(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))
