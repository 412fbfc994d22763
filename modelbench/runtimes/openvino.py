"""OpenVINO, on CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from modelbench.runtimes import onnx
from modelbench.runtimes.onnxruntime import quantized
from modelbench.runtimes.program import Program
from modelbench.runtimes.runtime import Call, Runtime, threads

OF_TYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
HINTS = ("f32", "bf16", "f16")


@dataclass(frozen=True)
class OpenVino(Runtime):
    """Runs an ONNX file, compiled for the sizes that it is given."""

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "openvino")
    ending: ClassVar[str] = ".onnx"
    quantizes: ClassVar[bool] = True
    inference_precision: str = "f32"
    """What it computes in, whatever the file holds: left to itself, it chooses by the CPU."""

    def __post_init__(self) -> None:
        """Refuse other types."""
        if self.inference_precision not in HINTS:
            raise ValueError(
                f"inference_precision={self.inference_precision}: expected {', '.join(HINTS)}"
            )

    def at(self, dtype: torch.dtype) -> Runtime:
        """Compute in that type, whatever the file holds."""
        return replace(self, inference_precision=OF_TYPES[dtype])

    def export(self, program: Program, examples: Sequence[Tensor], file: Path) -> list[list[bool]]:
        """Write ONNX: its own converter takes longer for the same graph."""
        return onnx.write(program, examples, file, dynamic=self.dynamic)

    def load(self, file: Path) -> OpenVinoModel:
        """Read it; it is compiled when it is given inputs."""
        return OpenVinoModel(file, self.inference_precision)

    def quantize(self, file: Path, samples: Sequence[Sequence[Tensor]]) -> Path:
        """Quantize the ONNX file, which it runs in INT8."""
        return quantized(file, samples)


class OpenVinoModel:
    """A model of OpenVINO, compiled once for all shapes of its inputs that it has met."""

    def __init__(self, file: Path, precision: str) -> None:
        import openvino

        self._core = openvino.Core()
        self._file = file
        self._properties = {
            "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads(),
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
            # Pinned, its threads and torch's are left with one core (openvino#91989).
            "ENABLE_CPU_PINNING": False,
        }  # fmt: skip
        self._requests: dict[tuple[tuple[int, ...], ...], Any] = {}
        self._model = self._core.read_model(str(file))
        self.coverage: float | None = 1.0  # what it does not know, it refuses to read
        self.falls_back: Sequence[str] = ()

    def bind(self, tensors: Sequence[Tensor]) -> Call:
        """Bind the inputs, which are shared, as the outputs are."""
        request, arrays = self._request(tensors), self._arrays(tensors)
        infer = request.infer
        return lambda: infer(arrays, share_inputs=True, share_outputs=True)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs."""
        request = self._request(tensors)
        found = request.infer(self._arrays(tensors))
        return [torch.from_numpy(found[output].copy()) for output in request.model_outputs]

    def _arrays(self, tensors: Sequence[Tensor]) -> list[Any]:
        return [t.detach().contiguous().cpu().numpy() for t in self._used(tensors)]

    def _used(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        count = len(self._model.inputs)
        return tensors if len(tensors) == count else tensors[:count]

    def _request(self, tensors: Sequence[Tensor]) -> Any:
        shapes = tuple(tuple(tensor.shape) for tensor in self._used(tensors))
        if shapes not in self._requests:
            model = self._core.read_model(str(self._file))
            if any(each.partial_shape.is_dynamic for each in model.inputs):
                model.reshape({i: list(shape) for i, shape in enumerate(shapes)})
            compiled = self._core.compile_model(model, "CPU", self._properties)
            self._requests[shapes] = compiled.create_infer_request()
        return self._requests[shapes]
