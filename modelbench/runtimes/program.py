"""One call of a module as a function of tensors alone, which exporters take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.inputs.template import Template
from modelbench.results.attempts import in_one_line


class ExportError(Exception):
    """A module cannot be exported; the message says why, in one line."""


class Program(nn.Module):
    """Calls a module with tensors in the places of those of one call; returns tensors."""

    def __init__(
        self,
        module: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Take the call apart, and make it once, which tells what it returns."""
        super().__init__()
        self.module = module
        self._forward = forward
        self._given = Template((args, dict(kwargs)))
        self._made: Template | None = None
        with torch.no_grad():
            returned = self(*self._given.tensors)
        self._made = Template(returned)
        if not self._made.tensors:
            raise ExportError("it returns no tensor")
        self._plain = isinstance(returned, Tensor)

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors of the call that it was made of."""
        return self._given.tensors

    def forward(self, *tensors: Tensor) -> Any:
        """Make the call; once it is known what it returns, only the tensors of that."""
        args, kwargs = self._given.fill(tensors)
        returned = self._forward(*args, **kwargs)
        return returned if self._made is None else tuple(Template(returned).tensors)

    def outputs(self, tensors: Sequence[Tensor]) -> Any:
        """Return what the module would, of its tensors."""
        assert self._made is not None
        return tensors[0] if self._plain else self._made.fill(tensors)


@dataclass(frozen=True)
class Exported:
    """A program as torch.export sees it."""

    program: Any
    dynamic: list[list[bool]]
    """Of each dimension of each input, whether it may vary."""


def exported(program: Program, examples: Sequence[Tensor]) -> Exported:
    """Export with every dimension left open that the model leaves open.

    Raises ExportError.
    """
    auto: Any = torch.export.Dim.AUTO
    given = tuple(tensor.detach().clone() for tensor in examples)
    shapes = (tuple(dict.fromkeys(range(tensor.dim()), auto) for tensor in given),)
    try:
        with torch.no_grad():
            made = torch.export.export(program, given, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # exporters raise all kinds
        raise ExportError(f"torch.export: {in_one_line(error)}") from error
    names = set(made.graph_signature.user_inputs)
    inputs = [n for n in made.graph.nodes if n.op == "placeholder" and n.name in names]
    return Exported(
        made, [[not isinstance(size, int) for size in n.meta["val"].shape] for n in inputs]
    )
