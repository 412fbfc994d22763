"""Which sizes of input the model takes, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbench.results import Report
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

AXES = ("image_size", "batch_size", "sequence_length")


@dataclass(frozen=True)
class Dynamic(Stage):
    """Calls the model at other sizes, axis by axis, in processes of their own."""

    timeout_s: float = 600.0
    image_size: list[int] | None = None
    """Sizes to try; None for some about the model's own."""
    batch_size: list[int] | None = None
    sequence_length: list[int] | None = None
    point_s: float = 0.5
    """Seconds of samples at each size; one call is made in any case."""
    processes: int = 3
    """Processes that share them, where running all sizes once takes few seconds."""
    call_s: float = 15.0
    """Seconds that a single call may be expected to take."""
    memory_mib: float = 2048.0
    """Memory that a single call may be estimated to take, weights included."""
    search_s: float = 10.0
    """Seconds of the search for the size constraints of an axis, and for its greatest size."""
    export: bool = True
    """Try torch.export with the axes left open."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        super().__post_init__()
        for name in ("processes", "point_s", "call_s", "memory_mib", "search_s"):
            positive(name, getattr(self, name))
        for axis in AXES:
            sizes = getattr(self, axis)
            if sizes == []:
                raise ValueError(f"{axis}=[]: expected one size or more, or null")
            for size in sizes or []:
                positive(axis, size)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the curves over each axis and what was found of it."""
        from modelbench.stages.dynamic.scaling import Scaling
        from modelbench.stages.dynamic.session import Session

        wrong = [axis for axis in AXES if getattr(self, axis) and axis not in workload.axes]
        if wrong:
            raise ValueError(
                f"test.dynamic.{wrong[0]}={getattr(self, wrong[0])}: {workload.name} has no such "
                f"axis; it has {', '.join(workload.axes)}"
            )
        sizes = {axis: sizes for axis in AXES if (sizes := getattr(self, axis)) is not None}
        limits = (self.point_s, self.processes, self.call_s, self.search_s, self.memory_mib)
        scaling = Scaling(Session(workload, context, *limits), sizes)
        scaling.estimate()
        scaling.run()
        scaling.finish(export=self.export)
        return scaling.report
