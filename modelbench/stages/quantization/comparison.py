"""One scheme after the other, held against single precision."""

from __future__ import annotations

from functools import partial
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any

from modelbench.results import Skip
from modelbench.stages.quantization.file import MIB, File, Single
from modelbench.stages.quantization.first_call import NoTime, first_call
from modelbench.stages.quantization.limits import Limits, interleaved
from modelbench.stages.quantization.timed import Timed
from modelbench.stages.stage import Context
from modelbench.system.cgroup import available_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel
    from modelbench.stages.quantization.quality import Quality

HALF = 0.5
"""Share of MACs below which a scheme is warned of."""
LAYER_S = 0.5
"""Seconds that compiling takes for each layer, at most, on two slow cores."""
SHARED = 1.0
"""Times the budget that converting may take in each further process."""
PATIENCE_S = 20.0
"""Seconds that an interval may cost beyond the budget."""
CALLS, COPIES = 30, 4
"""What a scheme may cost: calls of the model, calibration included, and copies of it in memory."""


class Comparison:
    """Single precision, and the schemes held against it one by one."""

    def __init__(self, workload: Workload, context: Context, limits: Limits, until: float) -> None:
        self.timed = Timed()
        self.report, self._max_drop = self.timed.report, limits.max_drop
        self._budget_s, self._processes = limits.budget_s, limits.processes
        self._workload, self._context = workload, context
        self._end = until
        self.left_out: dict[str, str] = {}
        self.reached: list[str] = []

    def baseline(self) -> None:
        """Run single precision, which all else is compared with."""
        import torch

        from modelbench.measurement.compute.counting import count_phase
        from modelbench.measurement.compute.layers import trace_layers
        from modelbench.measurement.memory.saving import saved_bytes
        from modelbench.measurement.numerics.fidelity import all_finite, first_not_finite
        from modelbench.stages.quantization.samples import Samples

        self._context.say("running single precision")
        self._model, self._batch = self._workload.build(), self._workload.batch()
        self._call = partial(self._batch.call, self._model)
        with torch.inference_mode():
            self._call()
            start = perf_counter()
            self._wanted = self._call()
            self._seconds = perf_counter() - start
        if not all_finite(self._wanted):
            layer = first_not_finite(self._model, self._call)
            raise ValueError(f"the output holds NaN or infinity in single precision, from {layer}")
        self._layers = sum(
            layer.leaf and layer.calls > 0 for layer in trace_layers(self._model, self._call)
        )
        call = lambda model, batch: lambda: batch.call(model)  # noqa: E731
        self._macs = count_phase(call, self._model, self._batch, quick=self._seconds < 1)
        self._bytes = saved_bytes(self._model.state_dict())
        self._baseline = Single(self._bytes, sum(p.numel() for p in self._model.parameters()))
        self.report.metric("fp32/size_mib", self._bytes / MIB, "MiB")
        self._samples = Samples(self._workload, self._model, self._budget_s)
        self._test_on_data()
        if self._workload.weights == "random":
            self.report.notes.append(
                "weights=random: fidelity is that of untrained weights, and may say little about "
                "trained ones"
            )

    def _test_on_data(self) -> None:
        """Test single precision on the user's data, where there is some."""
        self._quality: Quality | None = None
        if self._workload.own_data:
            from modelbench.stages.quantization.quality import Quality

            self._context.say("testing single precision on the data")
            self._quality = Quality(self._workload, self._model, self._max_drop)
            self._quality.add_baseline(self.report)

    def add(self, name: str, node: dict[str, Any]) -> None:
        """Measure one scheme; what it cannot have is told, and the others go on."""
        from hydra.utils import instantiate

        self._context.say(f"{name}: converting")
        try:
            self._room()
            scheme = instantiate(node, _convert_="all")
            start = perf_counter()
            converted = scheme.convert(self._workload, phases=False)
            self._convert_s = perf_counter() - start
        except Skip as skip:
            self.left_out[name] = str(skip)
            self.report.notes.append(f"{name} skipped: {skip}")
            return
        self.reached.append(name)
        self.report.details[name] = {
            "chosen": converted.chosen,
            "kept": list(converted.coverage.kept),
        }
        self.report.notes += [f"{name} {note}" for note in converted.notes]
        if converted.quantized and converted.coverage.kept:
            few = ", ".join(converted.coverage.kept[:4])
            more = len(converted.coverage.kept) - 4
            rest = f" and {more} more" if more > 0 else ""
            self.report.notes.append(f"{name} keeps {few}{rest} in single precision")
        self._coverage(name, converted)
        try:
            self._run(name, converted)
        except NoTime as reason:
            self.report.notes.append(f"{name}: {reason}")
            self.report.details[name]["not_timed"] = str(reason)

    def _room(self) -> None:
        """Raise Skip where converting may take more time or memory than there is."""
        if perf_counter() + CALLS * self._seconds > self._end:
            raise Skip(
                f"it may take {CALLS} calls of {self._seconds:.2g} s, more than is left of the "
                "stage's time limit; raise test.quantization.timeout_s"
            )
        wanted, there = COPIES * self._bytes, available_memory()
        if wanted > there:
            raise Skip(
                f"it may take {wanted / 2**30:.1f} GiB, but only {there / 2**30:.1f} GiB are free"
            )

    def _coverage(self, name: str, converted: ConvertedModel) -> None:
        report, coverage = self.report, converted.coverage
        report.metric(f"{name}/coverage_params", coverage.params, "share")
        if not self._macs or not self._macs.total:
            return
        share = coverage.macs(self._macs.total, dict(self._macs.by_module))
        report.metric(f"{name}/coverage_macs", share, "share")
        if share > 1:
            self.report.fail(f"{name}: covers {share:.2f} of the MACs, an error in modelbench")
        if converted.quantized and share < HALF:
            report.warnings.append(
                f"{name}: only {share:.0%} of the MACs are computed in low precision"
            )

    def _run(self, name: str, converted: ConvertedModel) -> None:
        """Save it, hold its outputs against those of single precision, time the two interleaved."""
        from modelbench.measurement.numerics.fidelity import all_finite, first_not_finite

        self._context.scratch.mkdir(exist_ok=True)
        file = File(name, converted, self._baseline, self._context.scratch)
        file.save(self.report)
        call = partial(converted.batch(self._batch).call, converted.model)
        found = first_call(converted, call, self._seconds, self._budget_s, self._context.device)
        file.check(self.report, self._batch, found)
        if not all_finite(found):
            layer = first_not_finite(converted.model, call) or "an operation outside layers"
            self.report.fail(f"{name}: the output holds NaN or infinity, first from {layer}")
            return
        if converted.compiles:
            self._compile(name, converted, call)
        self._fidelity(name, converted)
        if self._quality is not None:
            self._context.say(f"{name}: testing it on the data")
            self._quality.add(self.report, name, converted)
        self._time(name, converted, call)

    def _time(self, name: str, converted: ConvertedModel, call: Callable[[], Any]) -> None:
        """Time it interleaved with single precision, or only its share of that."""
        from modelbench.measurement.timing.pairing import compare
        from modelbench.measurement.timing.statistics import LEAST

        self._context.say(f"{name}: timing interleaved with fp32")
        # A block is four calls; an interval needs LEAST blocks, which very slow models do not get.
        quick = 4 * LEAST * self._seconds < PATIENCE_S
        shared = quick and not converted.compiles and self._convert_s < SHARED * self._budget_s
        if shared and self._processes > 1:
            self.timed.shared.append(name)
        budget_s = self._budget_s / (self._processes if shared else 1)
        pairs = interleaved(budget_s, quick=quick, warmup_s=0.2)
        compared = compare(self._call, call, pairs, self._context.device)
        self.timed.schemes[name] = [compared]

    def _compile(self, name: str, converted: ConvertedModel, call: Callable[[], Any]) -> None:
        """Compile it, and see that as many products are in 8 bits as is claimed."""
        import torch

        from modelbench.precision import compiling

        expected = LAYER_S * self._layers
        if perf_counter() + expected > self._end:
            raise NoTime(
                f"compiling {self._layers} layers may take {expected:.0f} s, more than is left; "
                "raise test.quantization.timeout_s"
            )
        self._context.say(f"{name}: compiling")
        torch._dynamo.reset()
        before = compiling.products_in_8_bits()
        compiling.compile_in_place(converted.model)
        self.report.metric(f"{name}/compile_s", compiling.compiled(call), "s")
        made = compiling.products_in_8_bits() - before
        if converted.products is not None and made < converted.products:
            self.report.fail(
                f"{name}: the compiler lowered {made} of its {converted.products} products to 8 "
                "bits, so coverage_macs is too high, an error in modelbench; please report it"
            )

    def _fidelity(self, name: str, converted: ConvertedModel) -> None:
        report, (kept, count) = self.report, self._samples.held_against(converted)
        report.details[name]["fidelity_calls"] = count
        if isfinite(kept.sqnr_db):  # else equal to the last bit
            report.metric(f"{name}/sqnr_db", kept.sqnr_db, "dB")
        if isfinite(kept.sqnr_db_min):
            report.metric(f"{name}/sqnr_db_min", kept.sqnr_db_min, "dB")
        report.metric(f"{name}/cosine", kept.cosine, "cosine")
        report.metric(f"{name}/max_abs_error", kept.max_abs_error, "output")
        if kept.top1_agreement is not None:
            report.metric(f"{name}/top1_agreement", kept.top1_agreement, "share")
