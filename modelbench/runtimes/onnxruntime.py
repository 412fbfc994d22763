"""ONNX Runtime, on the CPU, with CUDA or with TensorRT."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from modelbench.runtimes import onnx
from modelbench.runtimes.program import Program
from modelbench.runtimes.runtime import Call, Runtime, threads

log = logging.getLogger(__name__)

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
PRODUCTS = ["Conv", "ConvTranspose", "MatMul", "Gemm"]
"""Operators that are brought into INT8; what lies between them stays as it is."""


@dataclass(frozen=True)
class OnnxRuntime(Runtime):
    """Runs an ONNX file with its graph optimized."""

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    ending: ClassVar[str] = ".onnx"
    quantizes: ClassVar[bool] = True
    providers: list[str] = field(default_factory=list)
    """Execution providers, the first that takes an operator runs it; empty for the device's own."""
    spinning: bool = True
    """Whether its threads wait for the next operator with the processor in hand."""

    def refuses(self, device: torch.device) -> str | None:
        """Ask which execution providers this build has."""
        import onnxruntime

        if device.type not in {"cpu", "cuda"}:
            return f"runs on CPU and CUDA, but this is {device}"
        if device.type == "cpu" and any(each != CPU for each in self.providers):
            return f"{self.providers[0]} needs a GPU, but this is the CPU"
        there = onnxruntime.get_available_providers()
        lacking = [each for each in self._chosen(device) if each not in there]
        if not lacking:
            return None
        return (
            f"this build of onnxruntime has no {', '.join(lacking)} (it has {', '.join(there)}); "
            "for GPUs, pip install onnxruntime-gpu"
        )

    def export(self, program: Program, examples: Sequence[Tensor], file: Path) -> list[list[bool]]:
        """Write ONNX."""
        return onnx.write(program, examples, file, dynamic=self.dynamic)

    def load(self, file: Path) -> OnnxSession:
        """Load it with as many threads as torch has."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "1" if self.spinning else "0"
        )
        chosen = self.providers or [CPU]
        return OnnxSession(onnxruntime.InferenceSession(str(file), options, providers=chosen))

    def on(self, device: torch.device) -> Runtime:
        """Choose the device's execution providers."""
        return replace(self, providers=self._chosen(device))

    def quantize(self, file: Path, samples: Sequence[Sequence[Tensor]]) -> Path:
        """Quantize statically, per channel, with QuantizeLinear and DequantizeLinear pairs."""
        return quantized(file, samples)

    def _chosen(self, device: torch.device) -> list[str]:
        return self.providers or ([CPU] if device.type == "cpu" else [CUDA, CPU])


class OnnxSession:
    """A session of ONNX Runtime."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [each.name for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()]
        self.coverage, self.falls_back = _coverage(session)

    def bind(self, tensors: Sequence[Tensor]) -> Call:
        """Bind the inputs; on the CPU nothing is copied."""
        feed = self._feed(tensors)
        run = self._session.run
        return lambda: run(None, feed)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs, where the inputs are."""
        device = tensors[0].device if tensors else torch.device("cpu")
        found = self._session.run(None, self._feed(tensors))
        return [torch.from_numpy(each).to(device) for each in found]

    def _feed(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        # An input that the program does not use is none of the file's.
        given = {f"input_{i}": t for i, t in enumerate(tensors)}
        if len(self._names) == len(tensors):
            given = dict(zip(self._names, tensors, strict=True))
        return {n: given[n].detach().contiguous().cpu().numpy() for n in self._names if n in given}


def _coverage(session: Any) -> tuple[float | None, list[str]]:
    """Return the share of nodes that the first provider runs, and the operators of the others."""
    first = session.get_providers()[0]
    if first == CPU:
        return 1.0, []
    assigned = getattr(session, "get_provider_graph_assignment_info", None)
    if assigned is None:
        return None, []
    nodes: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for part in assigned():
        names = [node.op_type for node in part.nodes]
        nodes[part.ep_name] += len(names)
        if part.ep_name != first:
            others.update(names)
    total = nodes.total()
    return (nodes[first] / total if total else None), [name for name, _ in others.most_common()]


class _Samples:
    """Calibration inputs as ONNX Runtime's quantizer asks for them."""

    def __init__(self, names: Sequence[str], samples: Sequence[Sequence[Tensor]]) -> None:
        self._feeds: Iterator[dict[str, Any]] = iter(
            [
                {n: t.detach().cpu().numpy() for n, t in zip(names, each, strict=False)}
                for each in samples
            ]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def quantized(file: Path, samples: Sequence[Sequence[Tensor]]) -> Path:
    """Write the file in INT8 beside it: weights by channel, activations by tensor."""
    import onnxruntime
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    made = file.with_name(f"{file.stem}-int8{file.suffix}")
    ready = file.with_name(f"{file.stem}-ready{file.suffix}")
    try:
        quant_pre_process(str(file), str(ready), skip_symbolic_shape=True)
        source = ready
    except Exception:  # shapes that cannot be inferred are not needed
        log.info("no shapes were inferred", exc_info=True)
        source = file
    session = onnxruntime.InferenceSession(str(source), providers=[CPU])
    names = [each.name for each in session.get_inputs()]
    del session
    quantize_static(
        str(source), str(made), _Samples(names, samples), quant_format=QuantFormat.QDQ,
        per_channel=True, op_types_to_quantize=PRODUCTS, activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8, extra_options={"WeightSymmetric": True},
    )  # fmt: skip
    ready.unlink(missing_ok=True)
    return made
