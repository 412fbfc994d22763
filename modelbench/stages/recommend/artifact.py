"""The chosen artifact as files, and a script that runs it without modelbench."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from modelbench.runtimes.remote import Remote
from modelbench.runtimes.variant import Artifact, Variant

ONNXRUNTIME = '''\
"""Runs model.onnx: python run.py. Needs numpy and onnxruntime."""
import time
from pathlib import Path

import numpy as np
import onnxruntime

here = Path(__file__).parent
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession(here / "{file}", options, providers={providers})
given, wanted = np.load(here / "input.npz"), np.load(here / "output.npz")
names = [each.name for each in session.get_inputs()]
feed = {{name: given[key] for name, key in zip(names, given.files)}}
run = lambda: session.run(None, feed)
'''
OPENVINO = '''\
"""Runs model.onnx: python run.py. Needs numpy and openvino."""
import time
from pathlib import Path

import numpy as np
import openvino

here = Path(__file__).parent
settings = {{"INFERENCE_PRECISION_HINT": "{hint}", "INFERENCE_NUM_THREADS": {threads},
            "ENABLE_CPU_PINNING": False}}
given, wanted = np.load(here / "input.npz"), np.load(here / "output.npz")
arrays = [given[key] for key in given.files]
model = openvino.Core().read_model(here / "{file}")
model.reshape({{i: list(a.shape) for i, a in enumerate(arrays)}})
request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
run = lambda: list(request.infer(arrays).values())
'''
TORCH = '''\
"""Runs {file}: python run.py. Needs numpy and torch."""
import time
from pathlib import Path

import numpy as np
import torch

{imports}
here = Path(__file__).parent
torch.set_num_threads({threads})
torch.set_grad_enabled(False)
{load}
given, wanted = np.load(here / "input.npz"), np.load(here / "output.npz")
tensors = [torch.from_numpy(given[key]).to("{device}") for key in given.files]
tensors = [each.to({dtype}) if each.is_floating_point() else each for each in tensors]
model(*tensors)
run = lambda: [each.float().cpu().numpy() for each in model(*tensors)]
'''
COMPILED = """\
import torch._inductor.config
torch._inductor.config.freezing = True
model = torch.compile(torch.export.load(here / "{file}").module())"""
LOADS = {
    "Aoti": 'model = torch._inductor.aoti_load_package(str(here / "{file}"))',
    "Compile": COMPILED,
    "eager": 'model = torch.export.load(here / "{file}").module()',
}
END = """\
outputs = run()
apart = max(float(np.abs(a - wanted[key]).max()) for a, key in zip(outputs, wanted.files))
times = []
for _ in range(20):
    start = time.perf_counter()
    run()
    times.append(time.perf_counter() - start)
print(f"median {1e3 * sorted(times)[10]:.3f} ms; outputs at most {apart:.3g} from those measured")
"""


HINTS = {"bf16": "bf16", "fp16": "f16"}
"""What OpenVINO calls them."""


def write_artifact(
    remote: Remote, folder: Path, variant: Variant, figures: Mapping[str, float], until: float
) -> None:
    """Write the artifact, its input and output, the script and the measured figures."""
    folder.mkdir(parents=True)
    found: Artifact = remote.ask("write", str(folder), until=until)
    engine = variant.engine or {}
    cpu = ["CPUExecutionProvider"]
    others = ["CUDAExecutionProvider"] if found.device == "cuda" else []
    values = {
        "device": found.device, "providers": list(engine.get("providers") or [*others, *cpu]),
        "file": found.file, "threads": found.threads, "dtype": found.dtype,
        "hint": HINTS.get(variant.precision, engine.get("inference_precision", "f32")),
        "imports": "import torchao.quantization.pt2e  # its operators" if found.quantized else "",
    }  # fmt: skip
    kind = str(engine.get("_target_", "eager")).rpartition(".")[2]
    if kind in LOADS:
        load = COMPILED if found.compiles else LOADS[kind]
        script = TORCH.format(load=load.format(**values), **values)
    else:
        script = (OPENVINO if kind == "OpenVino" else ONNXRUNTIME).format(**values)
    (folder / "run.py").write_text(script + END, encoding="utf-8")
    told = {"chosen": variant.label, **figures}
    (folder / "figures.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
