"""What disturbs a timing is named, with its remedy; a quiet run has an empty audit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from time import sleep

import pytest
import torch

from modelbench.measurement.timing.audit import Snapshot, findings, of_threads

QUIET = Snapshot(0.0, 100.0, 1.0, 50.0, {1: ("init", 5.0)}, 0, 3000.0, 0)
LATER = replace(QUIET, when=10.0, busy=120.2, mine=70.0, stolen=1.1)


def test_a_quiet_run_has_an_empty_audit() -> None:
    """A fiftieth of a core of other processes is nothing."""
    assert findings(QUIET, LATER) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (replace(LATER, busy=130.0, processes={7: ("hog", 9.5)}),
         "other processes used 1.00 cores, mostly hog (process 7, 0.95); stop them"),
        (replace(LATER, busy=130.0), "other processes used 1.00 cores; stop them"),
        (replace(LATER, stolen=6.0), "gave 0.50 cores of this machine to others (steal)"),
        (replace(LATER, swapped=2**30), "1024 MiB were swapped; free memory"),
        (replace(LATER, throttled=3), "a CPU quota throttled the process 3 times"),
        (replace(LATER, megahertz=2000.0), "the CPU's clock changed by -33%"),
    ],
    ids=["hog", "unseen", "steal", "swap", "throttled", "clock"],
)  # fmt: skip
def test_what_disturbs_is_told(after: Snapshot, said: str) -> None:
    """Each by itself, in one line."""
    (found,) = findings(QUIET, after)
    assert said in found


@pytest.mark.timing
def test_a_hog_started_in_mid_run_is_named() -> None:
    """By its process, which was not there before."""
    before = Snapshot.take(torch.device("cpu"))
    loop = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
    hog = subprocess.Popen([sys.executable, "-c", loop])
    try:
        sleep(1.5)
        found = findings(before, Snapshot.take(torch.device("cpu")))
    finally:
        hog.kill()
        hog.wait()
    assert any("other processes used" in line for line in found)
    assert any(f"process {hog.pid}" in line for line in found)


def test_more_threads_than_cores_are_told() -> None:
    """With the number to set."""
    assert of_threads(1) == []
    (found,) = of_threads(4096)
    assert "torch uses 4096 threads" in found
    assert "set device.threads=" in found
