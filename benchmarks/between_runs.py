"""Whether the next run agrees with an interval: python benchmarks/between_runs.py [RUNS] [MODEL].

Runs of one and the same command, models alternating, each run a job of its own: how far the
medians vary, and their times in units of the control; how many of the intervals hold the median of
all runs, and how many of those inside the run do. With `--neighbour` something heavy runs during
every fifth. Runs and their record are kept in `--folder`, so that a later call adds to them, hours
or days apart; without it they start empty and are forgotten. Ctrl-C shows what there is. With
`--simulated` instead: hosts that are made up, whose truth is known.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

MODELS = {
    "cnn": ["model=cnn"],
    "unet": ["model=unet", "image_size=64"],
    "gpt2": ["model=gpt2", "test.benchmark.phases=[prefill]"],
    "vit": ["--config-dir", str(Path(__file__).parent / "configs"), "model=small_vit"],
}
EVERY = 5
"""One run in so many has a neighbour."""
COVERAGE, WIDTH, HALF = (0.93, 0.97), 0.12, 0.5

Processes = list[list[float]]


def main() -> None:
    """Run them, or simulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=12)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--neighbour", action="store_true")
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--budget", type=float, default=5.0, help="test.benchmark.budget_s")
    parser.add_argument("--folder", type=Path, help="where runs are kept and added to")
    given = parser.parse_args()
    if given.simulated:
        sys.exit(not simulated())
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        try:
            for number in range(given.runs):
                for name in given.models:
                    busy = given.neighbour and number % EVERY == EVERY - 1
                    run(name, folder, given.budget, busy=busy)
        except KeyboardInterrupt:
            print("interrupted: of the runs so far")
        sys.exit(not tell({name: kept(folder / name) for name in given.models}))


def run(name: str, folder: Path, budget_s: float, *, busy: bool) -> None:
    """Run the command once, into a folder of its own below `folder/name`."""
    out = folder / name / f"{time.time()}"
    words = [
        "test=benchmark", "tracker=none", f"hydra.run.dir={out}", "test.benchmark.batch_sizes=[]",
        "test.benchmark.prompt_lengths=[]", f"test.benchmark.budget_s={budget_s}",
    ]  # fmt: skip
    environment = {**os.environ, "MODELBENCH_CACHE": str(folder / "cache")}
    neighbour = multiprocessing.Process(target=_spin, daemon=True)
    if busy:
        neighbour.start()
    subprocess.run(
        [sys.executable, "-m", "modelbench", *MODELS[name], *words],
        check=True, env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    if busy:
        neighbour.kill()


def kept(folder: Path) -> list[dict[str, Any]]:
    """Return the figures of each run in a model's folder, the oldest first."""
    found = []
    for out in sorted(folder.iterdir(), key=lambda out: float(out.name)):
        stage = json.loads((out / "results.json").read_text())["stages"].get("benchmark", {})
        if stage.get("status") == "passed":
            found.append(_figures(stage["metrics"]))
    return found


def _figures(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    (phase,) = {key.split("/")[1] for key in metrics if key.endswith("/p50_ms")}
    prefix = f"benchmark/{phase}/"
    return {
        key.removeprefix(prefix): metric["value"]
        for key, metric in metrics.items()
        if key.startswith(prefix)
    }


def tell(found: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Print the table; return whether the goals were met."""
    table = Table("model", "runs", "median", "varied", "ratio varied", "held", "held within",
                  "ratio's held", "middle width")  # fmt: skip
    met = True
    for name, runs in found.items():
        medians = np.array([run["p50_ms"] for run in runs])
        ratios = np.array([run["control_ratio"] for run in runs if "control_ratio" in run])
        # Beside a busy neighbour one call may take the whole budget; then there is no interval.
        told = [run for run in runs if "ci95_high_ms" in run]
        widths = [(run["ci95_high_ms"] - run["ci95_low_ms"]) / run["p50_ms"] for run in told]
        held = _held(told, "ci95_low_ms", "ci95_high_ms", float(np.median(medians)))
        own = [run for run in runs if "control_ratio_ci_low" in run]
        of_ratio = (
            _held(own, "control_ratio_ci_low", "control_ratio_ci_high", float(np.median(ratios)))
            if own else 0.0
        )  # fmt: skip
        inside = _held(runs, "within_ci95_low_ms", "within_ci95_high_ms", float(np.median(medians)))
        varied, of_ratios = _varied(medians), _varied(ratios) if len(ratios) > 1 else float("nan")
        table.add_row(
            name, f"{len(runs)}", f"{np.median(medians):.4g} ms", f"{varied:.1%}",
            f"{of_ratios:.1%}", f"{held:.0%}", f"{inside:.0%}", f"{of_ratio:.0%}",
            f"{np.median(widths):.1%}",
        )  # fmt: skip
        met &= COVERAGE[0] <= held <= COVERAGE[1] and float(np.median(widths)) <= WIDTH
        if name == "unet":
            met &= of_ratios <= HALF * varied
    Console().print(table)
    print("met" if met else "MISSED")
    return met


def _varied(values: np.ndarray[Any, Any]) -> float:
    return float(np.log(values).std(ddof=1))


def _held(runs: list[dict[str, Any]], low: str, high: str, truth: float) -> float:
    return float(np.mean([run.get(low, 0) <= truth <= run.get(high, np.inf) for run in runs]))


def _spin() -> None:
    """Keep one core busy for a fifth of the time."""
    while True:
        end = time.perf_counter() + 0.02
        while time.perf_counter() < end:
            pass
        time.sleep(0.08)


# What follows simulates.

PROCESSES, APART_S, RUNS, HOSTS = 5, 1.2, 120, 40
SPACED = {"one sitting": (5, 60), "over days": (300, 3600)}
"""Seconds between runs, at least and at most."""


def steady(_: np.random.Generator) -> Callable[[float], float]:
    """Return a host whose speed is always the same."""
    return lambda _: 0.0


def drifting(rng: np.random.Generator) -> Callable[[float], float]:
    """Return a host that is slower by day."""
    period, phase = rng.uniform(1800, 7200), rng.uniform(0, 2 * np.pi)
    return lambda second: 0.05 * float(np.sin(2 * np.pi * second / period + phase))


def switching(often: float, dwell_s: float, by: float) -> Callable[..., Callable[[float], float]]:
    """Return hosts that are slower by `by` for a share of the time, for so long on average."""

    def host(rng: np.random.Generator) -> Callable[[float], float]:
        ends, slow = _dwells(rng, often, dwell_s)
        return lambda second: by * slow[int(np.searchsorted(ends, second))]

    return host


def _dwells(
    rng: np.random.Generator, often: float, dwell_s: float
) -> tuple[np.ndarray[Any, Any], list[bool]]:
    slow = [bool(number % 2) for number in range(40_000)]
    lengths = [
        rng.exponential(dwell_s if state else dwell_s * (1 - often) / often) for state in slow
    ]  # enough of them for all runs
    return np.cumsum(lengths), slow


HOSTED: Mapping[str, Callable[[np.random.Generator], Callable[[float], float]]] = {
    "steady": steady,
    "drifting by 5%": drifting,
    "two states, 12% apart": switching(0.35, 25, 0.12),
    "two states, 80% apart": switching(0.35, 25, 0.6),
    "a neighbour that comes and goes": switching(0.12, 60, 0.25),
}


def simulated() -> bool:
    """Print how often intervals hold the median of all runs; return whether as claimed.

    It is claimed where earlier runs of the same span a day.
    """
    table = Table("host", "runs", "held, claimed", "held, not claimed", "middle width")
    met = True
    for name, host in HOSTED.items():
        for spaced, between_s in SPACED.items():
            held: dict[bool, list[bool]] = {True: [], False: []}
            widths: list[float] = []
            for seed in range(HOSTS):
                rng = np.random.default_rng(seed)
                for claimed, holds, width in _host(host(rng), between_s, rng):
                    held[claimed].append(holds)
                    widths.append(width)
            shares = {claimed: float(np.mean(each)) for claimed, each in held.items() if each}
            told = [f"{shares[c]:.1%}" if c in shares else "" for c in (True, False)]
            table.add_row(name, spaced, *told, f"{np.median(widths):.1%}")
            met &= COVERAGE[0] <= shares.get(True, COVERAGE[0])
    Console().print(table)
    print("met" if met else "MISSED")
    return met


def _host(
    speed: Callable[[float], float], between_s: tuple[int, int], rng: np.random.Generator
) -> Iterator[tuple[bool, bool, float]]:
    """Run on one host again and again; yield whether more is claimed, and whether that holds."""
    from modelbench.measurement.timing.between import between
    from modelbench.measurement.timing.record import DAY_S, KEPT, Usual, known

    earlier: list[float] = []
    at: list[float] = []
    intervals = []
    second = 0.0
    for _ in range(RUNS):
        second += rng.uniform(*between_s)
        whole: Processes = []
        for process in range(PROCESSES):
            level = speed(second + process * APART_S) + rng.normal(0, 0.01)
            whole.append(list(10 * np.exp(level + rng.normal(0, 0.02, 40))))
        last = earlier[-KEPT:]
        own = Usual.of(last, at[-1] - at[-len(last)] if last else 0.0)
        found = between(whole, known(own, None, "compute"))
        assert found.interval is not None
        claimed = own is not None and own.span_s >= DAY_S
        intervals.append((claimed, found.interval, found.median))
        earlier.append(found.median)
        at.append(second)
    truth = float(np.median(earlier))
    for learned, (low, high), median in intervals:
        yield learned, low <= truth <= high, (high - low) / median


if __name__ == "__main__":
    main()
