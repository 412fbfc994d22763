"""What can be tried of CUDA without a GPU: python benchmarks/gpu_rehearsal.py, with a CUDA build.

A made-up NVML says that there is one GPU. For each model, the worker has to get as far as the
driver, which is missing here: a fork that cannot use it would say so instead. Then each is counted,
and its memory estimated, on fake tensors of the device `cuda`. Needs gcc.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from report import table

from modelbench.config import schema
from modelbench.config.validate import check
from modelbench.execution.worker import ASK_NVML
from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.memory.live import inference_peak
from modelbench.models.fake import on_fake_tensors
from modelbench.models.workload import Workload

MODELS = {
    "cnn": [], "unet": [], "gpt2": [], "clip": [], "stable_diffusion": ["model.variant=tiny"],
}  # fmt: skip
DRIVER, LIBRARY = "there is no NVIDIA driver on this machine", "libnvidia-ml.so.1"
NVML = """
int nvmlInit(void) { return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return 0; }
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor)
{ *major = 9; *minor = 0; return 0; }
"""


def main() -> None:
    """Rehearse, and tell."""
    if torch.version.cuda is None or torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__}: this is for a CUDA build on a machine without a GPU")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nvml.c").write_text(NVML, encoding="ascii")
        files = str(folder / LIBRARY), str(folder / "nvml.c")
        build = ["gcc", "-shared", "-fPIC", "-w", "-o", *files]
        subprocess.run(build, check=True)
        for model, words in MODELS.items():
            asked = {way: _reaches_driver(folder, model, way) for way in ("1", "0")}
            macs, peak = zip(
                *(_on(device, model, words) for device in ("cpu", "cuda")), strict=True
            )
            good = all(asked.values()) and macs[0] == macs[1]
            rows.append((
                model, asked["1"], asked["0"], *(f"{each / 1e9:.3f}" for each in macs),
                *(f"{each / 2**20:,.0f}" for each in peak), "met" if good else "MISSED",
            ))  # fmt: skip
    columns = ("model", "fork reaches the driver", "spawned reaches it", "GMACs on cpu",
               "on cuda", "peak MiB on cpu", "on cuda", "goal")  # fmt: skip
    table("CUDA rehearsed without a GPU", columns, rows)
    sys.exit(any(row[-1] == "MISSED" for row in rows))


def _reaches_driver(folder: Path, model: str, ask_nvml: str) -> bool:
    """Run a model on `cuda`; asked by the driver itself instead of by NVML, forks are poisoned."""
    variables = {**os.environ, "LD_LIBRARY_PATH": str(folder), ASK_NVML: ask_nvml}
    command = [sys.executable, "-m", "modelbench", f"model={model}", "device=cuda"]
    done = subprocess.run(
        [*command, "test=structure", "tracker=none"],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 1 and DRIVER in done.stderr


def _on(device: str, model: str, words: list[str]) -> tuple[float, int]:
    """Count a model and estimate its peak on fake tensors of a device."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        config = compose("config", [f"model={model}", *words])
    plain = check(config, [schema.CONF]).plain
    place = torch.device(device, 0) if device == "cuda" else torch.device(device)

    def act(module: Any, batch: Batch) -> tuple[float, int]:
        with torch.no_grad():
            macs = count_macs(module, partial(batch.call, module)).total
        call = partial(batch.call, module)
        return macs, inference_peak(module, call, batch.named().values())

    return on_fake_tensors(Workload.of(plain, schema.axes(plain), place), act)


if __name__ == "__main__":
    main()
