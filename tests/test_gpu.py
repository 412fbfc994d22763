"""What held a GPU back is told; NVML is played by a module of our own."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from modelbench.system import nvml
from modelbench.system.nvml import Gpu

BEFORE = Gpu(0.0, 1980, 1980, {"heat": 3.0, "the power limit": 0.0})
AFTER = replace(BEFORE, when=10.0)


def test_a_gpu_at_its_full_clock_is_no_finding() -> None:
    """Nor is a clock a little lower."""
    assert list(nvml.findings(BEFORE, replace(AFTER, megahertz=1600))) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (replace(AFTER, held_back_s={**BEFORE.held_back_s, "heat": 5.0}),
         "heat throttled the GPU's clock for 20% of the time"),
        (replace(AFTER, held_back_s={**BEFORE.held_back_s, "the power limit": 1.0}),
         "the power limit throttled the GPU's clock for 10% of the time; raise it"),
        (replace(AFTER, megahertz=1200), "the GPU's clock was at 1200 of 1980 MHz"),
    ],
    ids=["heat", "power", "low"],
)  # fmt: skip
def test_what_held_it_back_is_told(after: Gpu, said: str) -> None:
    """Each by itself, with its remedy."""
    (found,) = nvml.findings(BEFORE, after)
    assert said in found


def test_nvml_is_asked_for_the_device_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES renumbers devices for torch, not for NVML."""

    class NVMLError(Exception):
        """As pynvml's."""

    played = SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        NVML_PERF_POLICY_POWER=0,
        NVML_PERF_POLICY_THERMAL=1,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID={"GPU-abc": "handle"}.__getitem__,
        nvmlDeviceGetClockInfo=lambda _, kind: 1000 + kind,
        nvmlDeviceGetMaxClockInfo=lambda _, kind: 2000 + kind,
        nvmlDeviceGetViolationStatus=lambda _, policy: SimpleNamespace(
            violationTime=(policy + 1) * 10**9
        ),
    )
    monkeypatch.setitem(sys.modules, "pynvml", played)
    monkeypatch.setattr(nvml, "watched", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="abc"))
    found = nvml.look(torch.device("cuda"))
    assert found is not None
    assert (found.megahertz, found.greatest_megahertz) == (1001, 2001)
    assert found.held_back_s == {"the power limit": 1.0, "heat": 2.0}

    def refuse(_: str) -> None:
        raise NVMLError

    played.nvmlDeviceGetHandleByUUID = refuse
    assert nvml.look(torch.device("cuda")) is None


def test_a_cpu_has_no_gpu_to_look_at() -> None:
    """Whether NVML is there or not."""
    assert nvml.look(torch.device("cpu")) is None
