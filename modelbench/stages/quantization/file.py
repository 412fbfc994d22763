"""The file of a converted model: what it has to be, and whether it gives the same model again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelbench.results import Report

if TYPE_CHECKING:
    from pathlib import Path

    from modelbench.inputs.batch import Batch
    from modelbench.precision.converted import ConvertedModel

MIB = 2**20
SAVED = 0.8
"""Share of what coverage says is saved that has to be; scales take some of it back."""
OURS = "an error in modelbench; please report it"


@dataclass(frozen=True)
class Single:
    """The model in single precision."""

    bytes: int
    """Of its file."""
    params: int


class File:
    """One scheme's."""

    def __init__(self, name: str, converted: ConvertedModel, single: Single, folder: Path) -> None:
        self._name, self._converted, self._single = name, converted, single
        self._path = folder / f"{name}{converted.suffix}"

    def save(self, report: Report) -> None:
        """Write it, and tell its size."""
        self._converted.save(self._converted.model, self._path)
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
            report.fail(f"{self._name}: {other} after saving and loading")
        self._path.unlink()

    def _contradiction(self) -> str | None:
        """Return what is stored, after a call, or in the file, and is not what coverage says."""
        from modelbench.precision.stored import low_numel

        converted, coverage = self._converted, self._converted.coverage
        if converted.quantized and not converted.saved:
            stored = low_numel(converted.model.parameters())
            if stored != coverage.weights:
                return f"{stored:,} parameters are in low precision, not {coverage.weights:,}"
        saving = (4 - (1 if converted.quantized else converted.dtype.itemsize)) * coverage.weights
        whole = self._single.bytes + 4 * (coverage.of_weights - self._single.params)
        most = 1.02 * (whole - SAVED * saving) + MIB
        if self._size > most:
            return (
                f"the file has {self._size / MIB:.1f} MiB, but coverage_params "
                f"{coverage.params:.3f} allows at most {most / MIB:.1f}"
            )
        return None

    def _difference(self, batch: Batch, before: Any) -> str | None:
        """Return what the loaded model does not have in common with the saved one."""
        import torch

        from modelbench.precision.reloading import alike, changed, rounding

        converted = self._converted
        loaded, saved = (
            converted.load(converted.model, self._path),
            converted.saved or converted.model,
        )
        if other := changed(saved.state_dict(), loaded.state_dict()):
            return f"{other} differs"
        call = converted.batch(batch).call
        least = rounding(converted.dtype, quantized=converted.quantized)
        with torch.inference_mode():
            same = alike(before, call(loaded), partial(call, converted.model), least)
        return None if same else "its output differs, by more than between two runs,"
