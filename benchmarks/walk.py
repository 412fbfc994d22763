"""The lines that one job passes: python benchmarks/walk.py [OVERRIDES], such as test=benchmark.

Every function of the package that the job or its workers enter counts with all its lines, by
folder: what a reader would read who follows that job. Goal: 2,500 lines on the way from the
configuration to the sinks, without the instruments that it uses (measurement, system).
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from report import OUTPUTS, table

ROOT = OUTPUTS.parent.parent
PACKAGE = ROOT / "modelbench"
GOAL = 2500
INSTRUMENTS = {"measurement", "system"}
WATCH = """
import os, sys
seen, package, log = set(), os.environ["WALK_PACKAGE"], os.environ["WALK_LOG"]
def enter(frame, event, _):
    code = frame.f_code
    if event == "call" and code not in seen:
        seen.add(code)
        if code.co_filename.startswith(package) and code.co_name[0] != "<":
            with open(log, "a") as file:
                file.write(f"{code.co_filename}:{code.co_firstlineno}\\n")
sys.setprofile(enter)
"""
"""Python runs it as it starts, in each process; forks inherit it."""


def main() -> None:
    """Run the job under watch, and count."""
    words = sys.argv[1:] or ["test=structure"]
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name), Path(name) / "entered"
        (folder / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
        places = os.pathsep.join([str(folder), str(ROOT)])
        watched = {"PYTHONPATH": places, "WALK_PACKAGE": str(PACKAGE), "WALK_LOG": str(log)}
        subprocess.run(
            [sys.executable, "-m", "modelbench", *words], cwd=folder, env=os.environ | watched,
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        entered: dict[str, set[int]] = defaultdict(set)
        for line in log.read_text(encoding="utf-8").splitlines():
            file, _, number = line.rpartition(":")
            if file.endswith(".py"):  # templates are entered as well
                entered[file].add(int(number))
    lines: dict[str, int] = defaultdict(int)
    files: dict[str, int] = defaultdict(int)
    for file, starts in entered.items():
        layer = Path(file).relative_to(PACKAGE).parts[0]
        lines[layer] += _read(Path(file), starts)
        files[layer] += 1
    rows = [(layer, str(files[layer]), str(lines[layer])) for layer in sorted(lines)]
    way = sum(count for layer, count in lines.items() if layer not in INSTRUMENTS)
    rows.append(("all", str(sum(files.values())), str(sum(lines.values()))))
    table(f"{' '.join(words)}: lines passed", ("layer", "files", "lines"), rows)
    print(f"without {' and '.join(sorted(INSTRUMENTS))}: {way}, goal {GOAL}: ", end="")
    print("met" if way <= GOAL else "MISSED")
    sys.exit(way > GOAL)


def _read(file: Path, starts: set[int]) -> int:
    """Count the lines of the functions that start there, each line once."""
    read: set[int] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first in starts or node.lineno in starts:
                read |= set(range(first, (node.end_lineno or first) + 1))
    return len(read)


if __name__ == "__main__":
    main()
