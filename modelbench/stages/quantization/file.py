"""The file of a shipped model: what it has to be, and whether it gives the same model again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelbench.results import Report

if TYPE_CHECKING:
    from pathlib import Path

    from modelbench.inputs.batch import Batch
    from modelbench.precision.shipped import Shipped

MIB = 2**20
SAVED = 0.8
"""Share of what coverage says is saved that has to be; scales take some of it back."""
OURS = "an error of ours; please report it"


@dataclass(frozen=True)
class Single:
    """The model in single precision."""

    bytes: int
    """Of its file."""
    params: int


class File:
    """One scheme's."""

    def __init__(self, name: str, shipped: Shipped, single: Single, folder: Path) -> None:
        self._name, self._shipped, self._single = name, shipped, single
        self._path = folder / f"{name}{shipped.suffix}"

    def save(self, report: Report) -> None:
        """Write it, and tell its size."""
        self._shipped.save(self._shipped.model, self._path)
        self._size = self._path.stat().st_size
        report.metric(f"{self._name}/size_mib", self._size / MIB, "MiB")
        report.metric(f"{self._name}/size_ratio", self._size / self._single.bytes, "share")

    def check(self, report: Report, batch: Batch, before: Any) -> None:
        """Hold it against what is claimed and against the model, which gave `before`; remove it."""
        found = self._contradiction()
        if found:
            report.fail(f"{self._name}: {found}, {OURS}")
        other = self._difference(batch, before)
        report.details[self._name]["same_after_loading"] = other is None
        if other:
            report.fail(f"{self._name}: {other} after it was saved and loaded again")
        self._path.unlink()

    def _contradiction(self) -> str | None:
        """Tell what is stored, after a call, or in the file, and is not what coverage says."""
        from modelbench.precision.stored import low_numel

        shipped, reach = self._shipped, self._shipped.reach
        if shipped.quantized and not shipped.saved:
            stored = low_numel(shipped.model.parameters())
            if stored != reach.weights:
                return f"{stored:,} parameters are in low precision, not {reach.weights:,}"
        saving = (4 - (1 if shipped.quantized else shipped.dtype.itemsize)) * reach.weights
        whole = self._single.bytes + 4 * (reach.of_weights - self._single.params)
        most = 1.02 * (whole - SAVED * saving) + MIB
        if self._size > most:
            return (
                f"the file has {self._size / MIB:.1f} MiB, and coverage_params {reach.params:.3f} "
                f"leaves at most {most / MIB:.1f}"
            )
        return None

    def _difference(self, batch: Batch, before: Any) -> str | None:
        """Tell what the loaded model does not have in common with the saved one."""
        import torch

        from modelbench.precision.reloading import alike, changed, rounding

        shipped = self._shipped
        loaded, saved = shipped.load(shipped.model, self._path), shipped.saved or shipped.model
        if other := changed(saved.state_dict(), loaded.state_dict()):
            return f"{other} is another"
        call = shipped.batch(batch).call
        least = rounding(shipped.dtype, quantized=shipped.quantized)
        with torch.inference_mode():
            same = alike(before, call(loaded), partial(call, shipped.model), least)
        return None if same else "gives another output, by more than two runs of it differ by,"
