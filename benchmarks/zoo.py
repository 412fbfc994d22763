"""Tiny transformers through modelbench: python benchmarks/zoo.py [SEED [COUNT [RUNTIME,...]]].

Each is made and called by itself first; those whose own forward runs on plain input then go
through structure and benchmark in one sweep, or are held against these runtimes. Prints per kind
how many were made, ran by themselves and ran here, and the reasons of the rest.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import tiny
import torchao.quantization  # noqa: F401  (transformers looks for it; once instead of each time)
import transformers
from report import table

GOAL = 0.95
NATIVE_S = 90
QUICK = (
    "test=[structure,benchmark]", "tracker=none", "test.benchmark.budget_s=0.2",
    "test.benchmark.min_s=0", "test.benchmark.warmup_s=0", "test.benchmark.min_samples=2",
    "test.benchmark.batch_sizes=[1,2]", "test.benchmark.prompt_lengths=[]",
    "test.benchmark.throughput_s=0.05", "test.benchmark.roofline=false",
)  # fmt: skip
RUNTIMES = ("test=runtimes", "tracker=none", "test.runtimes.budget_s=0.5")


def main() -> None:
    """Make, run, tell."""
    seed, count = ([int(each) for each in sys.argv[1:3]] + [1, 60][len(sys.argv) - 1 :])[:2]
    words: tuple[str, ...] = QUICK
    if len(sys.argv) > 3:
        words = (*RUNTIMES, f"test.runtimes.runtimes=[{sys.argv[3]}]")
    drawn = tiny.architectures(seed, count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        native = {each[2]: _native(*each[1:], folder / each[2]) for each in drawn}
        ran = [name for name, trouble in native.items() if trouble is None]
        found = _ours(ran, folder, words)
    kinds: dict[str, Counter[str]] = {}
    for kind, _, name in drawn:
        kinds.setdefault(kind, Counter())
        kinds[kind]["drawn"] += 1
        kinds[kind]["native"] += int(name in ran)
        kinds[kind]["here"] += int(name in ran and found[name] is None)
    rows = [(kind, c["drawn"], c["native"], c["here"]) for kind, c in sorted(kinds.items())]
    total = [sum(counts) for counts in list(zip(*rows, strict=True))[1:]]
    title = f"transformers {transformers.__version__}, seed {seed}"
    table(title, ("kind", "drawn", "run by themselves", "run here"), [*rows, ("all", *total)])
    for name, reason in found.items():
        if reason is not None:
            print(f"{name}: {reason}")
    share = total[2] / max(1, total[1])
    print(f"\n{share:.1%} of those that run by themselves (goal {GOAL:.0%})")
    reasons = Counter(str(trouble)[:90] for trouble in native.values() if trouble is not None)
    print(f"not run by themselves, in this way of making them tiny: {reasons.total()}")
    sys.exit(share < GOAL)


def _native(model_type: str, name: str, folder: Path) -> str | None:
    """Make one in a process of its own, and save it; returns what went wrong."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_make, args=(model_type, name, folder, theirs)
    )
    process.start()
    theirs.close()
    try:
        said: str | None = ours.recv() if ours.poll(NATIVE_S) else "takes too long"
    except EOFError:
        said = "its process died"
    process.kill()
    process.join()
    return said


def _make(model_type: str, name: str, folder: Path, answer: Connection) -> None:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, given = tiny.make(model_type, name)
        tiny.save(model, given, folder)
    except Exception as error:
        answer.send(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    else:
        answer.send(None)


def _ours(names: list[str], folder: Path, stages: tuple[str, ...]) -> dict[str, str | None]:
    """Sweep over the checkpoints; gives why each has not passed."""
    places = ",".join(str(folder / name) for name in names)
    words = ["model=huggingface", f"model.checkpoint={places}", f"hydra.sweep.dir={folder}/sweep"]
    command = [sys.executable, "-m", "modelbench", "--multirun", *words, *stages]
    with (folder / "sweep.log").open("w") as log:
        subprocess.run(command, cwd=folder, check=False, stdout=log, stderr=subprocess.STDOUT)
    return {name: _reason(folder / "sweep" / str(i)) for i, name in enumerate(names)}


def _reason(folder: Path) -> str | None:
    file = folder / "results.json"
    if not file.is_file():
        return "there are no results"
    told = json.loads(file.read_text(encoding="utf-8"))
    stages = told["stages"].items()
    reasons = [f"{name}: {s['reason']}" for name, s in stages if s["status"] != "passed"]
    return "; ".join(reasons) or (None if told["status"] == "passed" else str(told["reason"]))


if __name__ == "__main__":
    main()
