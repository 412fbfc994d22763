"""Accelerators are asked one way, and what keeps one from being used is said; torch's is played."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command

from modelbench.execution import pool as pool_module
from modelbench.execution.pool import WorkerPool
from modelbench.execution.protocol import JobSpec, Ready
from modelbench.measurement.memory.meter import Meter, free, method
from modelbench.system import accelerator
from modelbench.system.accelerator import Poisoned, Switches, Unusable, choose
from modelbench.system.forking import FORKS

CUDA = torch.device("cuda", 1)


class Played:
    """Two GPUs of a kind, of which each call is noted; their memory is a number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str = "cuda") -> None:
        self.calls: list[tuple[str, Any]] = []
        self.bad_fork = False
        self.there = self.compiled = True
        self.error: str | None = None
        self.allocated = 100
        named = torch.get_device_module(kind)
        for name, value in {
            "is_available": lambda: self.there and not self.bad_fork,
            "_is_in_bad_fork": lambda: self.bad_fork,
            "_is_compiled": lambda: self.compiled,
            "_device_count_nvml": lambda: 2 if self.there else -1,
            "mem_get_info": lambda _: (3 * 2**30, 80 * 2**30),
        }.items():
            monkeypatch.setattr(named, name, value, raising=False)
        for name, value in {
            "current_accelerator": lambda *_, **__: torch.device(kind),
            "device_count": lambda: 2,
            "set_device_index": lambda device: self.calls.append(("set", device)),
            "synchronize": lambda device: self.calls.append(("wait", device)),
            "memory_allocated": lambda _: self.allocated,
            "max_memory_allocated": lambda _: 2 * self.allocated,
            "reset_peak_memory_stats": lambda device: self.calls.append(("reset", device)),
        }.items():
            monkeypatch.setattr(torch.accelerator, name, value)
        monkeypatch.setattr(torch, "ones", self._ones)

    def _ones(self, *_: Any, **__: Any) -> None:
        if self.error:
            raise RuntimeError(self.error)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """Play two CUDA devices."""
    before = accelerator.tf32()
    yield Played(monkeypatch)
    accelerator.allow_tf32(before)


def test_the_device_chosen_is_the_current_one(played: Played) -> None:
    """With its number, and with single precision as it says: no TF32."""
    accelerator.allow_tf32(Switches(matmul=True, cudnn=True))
    assert choose("cuda:1") == CUDA
    assert played.calls == [("set", CUDA)]
    assert accelerator.tf32() == Switches(matmul=False, cudnn=False)
    assert choose("auto") == choose("cuda") == torch.device("cuda", 0)
    assert choose("cpu") == torch.device("cpu")


def test_xpu_is_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked in the same words."""
    played = Played(monkeypatch, "xpu")
    assert choose("auto") == torch.device("xpu", 0)
    assert [call for call, _ in played.calls] == ["set"]


def test_a_device_that_is_not_there(played: Played) -> None:
    """Is said, with those that are."""
    with pytest.raises(Unusable, match="there are 2 devices, cuda:0 to cuda:1"):
        choose("cuda:3")
    played.there = False
    assert choose("auto") == torch.device("cpu")
    played.error = "Found no NVIDIA driver on your system."
    with pytest.raises(Unusable, match=r"no NVIDIA driver on this machine.*or use device=cpu"):
        choose("cuda")
    played.compiled = False
    with pytest.raises(Unusable, match="built without CUDA; install a build that has it"):
        choose("cuda")


@pytest.mark.skipif(sys.platform == "darwin", reason="may have one")
def test_mps_is_a_mac_s(command: Command) -> None:
    """Elsewhere one message, and nothing is built."""
    done = command("model=toy", "device=mps", "test=structure")
    assert done.status == 1
    assert "device=mps: available on macOS only; use device=auto or device=cpu" in done.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there may be three")
@pytest.mark.parametrize("words", [["device=cuda:3"], ["device=cuda", "device.name=cuda:3"]])
def test_a_device_is_named_with_its_number(words: list[str], command: Command) -> None:
    """In one word or in two."""
    done = command("model=toy", *words, "test=structure")
    assert done.status == 1
    assert "device=cuda:3: " in done.err
    assert "unknown device" not in done.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("The NVIDIA driver on your system is too old (found version 11040).", "update the driver"),
        ("CUDA error: all CUDA-capable devices are busy or unavailable", "exclusive-process mode"),
        ("CUDA error: no kernel image is available for execution", "compute capability"),
        ("No CUDA GPUs are available", "CUDA_VISIBLE_DEVICES"),
        ("something new", "something new"),
    ],
)
def test_what_a_driver_says_is_put_into_words(played: Played, error: str, said: str) -> None:
    """With what to do; what nobody knows is passed on."""
    played.error = error
    with pytest.raises(Unusable, match=said):
        choose("cuda")


def test_a_fork_that_cannot_use_the_driver(played: Played) -> None:
    """Is told apart from a machine without a GPU, where nobody needs the driver."""
    played.bad_fork = True
    for name in ("auto", "cuda"):
        with pytest.raises(Poisoned, match="cuda"):
            choose(name)
    played.there = False
    assert choose("auto") == torch.device("cpu")


def test_memory_is_that_of_the_device(played: Played) -> None:
    """Waited for before each look; what was there before is not counted."""
    meter = Meter(CUDA)
    assert [call for call, _ in played.calls] == ["wait", "reset", "wait"]
    assert all(device == CUDA for _, device in played.calls)
    played.allocated = 150
    assert (meter.held(), meter.peak()) == (50, 200)
    assert free(CUDA) == 3 * 2**30
    assert "allocator" in method(CUDA)


def test_nothing_starts_a_driver_in_the_fork_server() -> None:
    """What asks for more than NVML tells fails there, and is imported again in the worker."""
    with accelerator.left_alone():
        for start in (torch.cuda._lazy_init, torch.xpu._lazy_init):
            with pytest.raises(RuntimeError, match="no driver may be initialised"):
                start()
        if accelerator._capability() is None:
            with pytest.raises(RuntimeError, match="no driver may be initialised"):
                torch.cuda.get_device_capability()
    assert "no driver may be initialised" not in str(torch.cuda._lazy_init)
    assert torch.cuda._lazy_init.__module__ == "torch.cuda"


class PlayedWorker:
    """A worker whose fork finds the driver started."""

    made: list[bool] = []  # noqa: RUF012  (emptied by the test)
    poisoned_anyway = False

    def __init__(self, spec: JobSpec) -> None:
        self.forked = spec.forked
        self.made.append(spec.forked)

    def ready(self) -> Ready:
        """Say so."""
        bad = self.forked or self.poisoned_anyway
        return Ready(poisoned="cuda") if bad else Ready("cuda")

    def kill(self) -> None:
        """End."""


@pytest.mark.skipif(not FORKS, reason="there is no fork here")
@pytest.mark.parametrize("always", [False, True])
def test_a_worker_is_started_afresh_where_a_fork_is_of_no_use(
    always: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From then on all are; where that does not help the reason is said."""
    monkeypatch.setattr(PlayedWorker, "made", [])
    monkeypatch.setattr(PlayedWorker, "poisoned_anyway", always)
    monkeypatch.setattr(pool_module, "Worker", PlayedWorker)
    config: dict[str, Any] = {"model": {"limits": {}}}
    job = type("Job", (), {"config": config, "axes": {}, "directory": tmp_path, "command": ""})
    pool = WorkerPool(job)  # type: ignore[arg-type]
    ready, reason = pool.start(lambda _: None)
    assert PlayedWorker.made == [True, False]
    if always:
        assert ready is None
        assert reason is not None
        assert "importing the model's code initialises CUDA and forks" in reason
    else:
        assert (ready, reason) == (Ready("cuda"), None)
