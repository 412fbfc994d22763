"""The first call of a converted model: whether it runs here, and in what time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelbench.results.attempts import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from modelbench.precision.converted import ConvertedModel

NO_KERNEL = ("could not create a primitive", "not implemented for 'Half'",
             "not implemented for 'BFloat16'")  # fmt: skip
"""What torch says of an operation that a processor lacks in a type."""


class NoTime(Exception):  # noqa: N818  (a result, not an error)
    """What remains of a scheme is not measured; the message is the reason."""


def first_call(
    converted: ConvertedModel,
    call: Callable[[], Any],
    seconds: float,
    budget_s: float,
    device: torch.device,
) -> Any:
    """Run it uncompiled and return its output; in single precision a call takes `seconds`.

    Raises NoTime where the processor emulates the type and it would take too long.
    """
    import torch

    from modelbench.stages.quantization.probe import TooSlow, call_within, slowdown

    most = max(4 * budget_s, 8 * seconds)
    emulated = f"{converted.dtype} is emulated by this processor".removeprefix("torch.")
    if converted.dtype is not torch.float32:
        times = slowdown(converted.dtype, device)
        if times * seconds > most:
            raise NoTime(
                f"{emulated}: a small matmul or convolution takes {times:.0f} times as long "
                "as in float32, so only its size is reported"
            )
    try:
        return call_within(most, converted.model, call)
    except RuntimeError as error:
        if converted.dtype is torch.float32 or not any(w in str(error) for w in NO_KERNEL):
            raise
        raise NoTime(
            f"torch has no kernel for it in {converted.dtype} on this processor "
            f"({in_one_line(error)}); only its size is reported".replace("torch.", "")
        ) from None
    except TooSlow:
        raise NoTime(
            f"one call takes over {most:.0f} s, against {seconds:.2g} s in float32; "
            "only its size is reported"
        ) from None
