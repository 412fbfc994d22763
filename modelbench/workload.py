"""What is under test: the model, its input and the calls that are measured."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import get_object, instantiate
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modelbench.batch import Batch
from modelbench.inputs import Draw, Source
from modelbench.losses import mean_square
from modelbench.precision.cast import Cast
from modelbench.precision.compiling import compile_in_place
from modelbench.precision.scheme import Scheme
from modelbench.precision.shipped import Shipped
from modelbench.pretrained import build_pretrained

Phase = Callable[[], Any]
"""One call that is measured; takes nothing, since model and batch are bound to it."""


@dataclass(frozen=True)
class Workload:
    """A model as its YAML describes it, on a device, at given sizes."""

    name: str
    axes: Mapping[str, int]
    device: torch.device
    recipe: Mapping[str, Any]
    """The YAML's `build` node."""
    sources: Mapping[str, Source]
    prepare: Mapping[str, Callable[[nn.Module, Batch], Phase]] = field(default_factory=dict)
    """The YAML's phases: each prepares its call."""
    measure: Callable[[Any, Batch], Tensor] | None = None
    """The YAML's loss."""
    pretrained: Callable[[], Any] | None = None
    """Builds the model with its weights, unless these are random."""
    scheme: Mapping[str, Any] | None = None
    """The precision's `scheme`; None for single precision."""
    fake: FakeTensorMode | None = None
    """Where the model is built without memory: shapes are computed, numbers are not."""
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    text: str | None = None
    image: Path | None = None

    @classmethod
    def of(
        cls, config: Mapping[str, Any], axes: Mapping[str, int], device: torch.device
    ) -> Workload:
        """Make a workload of a checked configuration."""
        model = config["model"]
        return cls(
            name=model["name"],
            axes=axes,
            device=device,
            recipe=model["build"],
            sources={
                str(key): instantiate(node, _convert_="all")
                for key, node in model["inputs"].items()
            },
            prepare={name: _later(node) for name, node in (model["phases"] or {}).items()},
            measure=_later(model["loss"]) if model["loss"] else None,
            pretrained=_pretrained(model),
            scheme=config["precision"]["scheme"],
            fake=FakeTensorMode() if model["weights"] == "fake" else None,
            limits=model["limits"],
            seed=config["seed"],
            text=config["text"],
            image=Path(config["image"]) if config["image"] else None,
        )

    def build(self) -> nn.Module:
        """Build the model afresh, random weights seeded, in evaluation mode, on the device.

        Raises TypeError for a recipe that gives no module or one whose forward takes other
        arguments than the YAML names.
        """
        random.seed(self.seed)
        np.random.seed(self.seed)
        torch.manual_seed(self.seed)
        # Without memory nothing can be moved to a device: it is made there.
        with self.computing(), self.device if self.fake else nullcontext():
            build = self.pretrained or partial(instantiate, self.recipe, _convert_="all")
            model = build()
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"{self.recipe['_target_']} gave {type(model).__name__}; expected torch.nn.Module"
            )
        signature = inspect.signature(model.forward)
        named = [name for name in self.sources if not name.isdigit()]
        try:
            signature.bind(*range(self._positional()), **dict.fromkeys(named))
        except TypeError as error:
            takes = ", ".join(map(str, signature.parameters.values()))
            raise TypeError(
                f"model.inputs gives {', '.join(self.sources)}, but "
                f"{type(model).__name__}.forward takes ({takes}): {error}"
            ) from None
        if self.pretrained:
            model.float()  # a checkpoint may be in half precision; how it runs is asked for apart
        return model.eval() if self.fake else model.eval().to(self.device)

    def ship(self) -> Shipped:
        """Build the model and bring it into its precision, compiled where its scheme compiles.

        Raises Skip where the scheme cannot do that.
        """
        if self.scheme is None:
            return Cast().ship(self, phases=True)
        scheme: Scheme = instantiate(self.scheme, _convert_="all")
        shipped = scheme.ship(self, phases=True)
        if shipped.compiles:
            compile_in_place(shipped.model)
        return shipped

    def computing(self) -> AbstractContextManager[object]:
        """Give what the model is to be called in: nothing, or the mode without memory."""
        return self.fake or nullcontext()

    def batch(self, **sizes: int) -> Batch:
        """Make real input on the device, at the workload's sizes or at others."""
        return self._made(self._draw(sizes))

    def _made(self, draw: Draw) -> Batch:
        tensors = {name: self._placed(source(draw)) for name, source in self.sources.items()}
        positional = self._positional()
        args = [tensors.pop(str(i)) for i in range(positional)]
        return Batch(tuple(args), tensors)

    def calibration(self, batches: int) -> Iterator[Batch]:
        """Make batches that quantization may look at: never what its outcome is judged by."""
        for number in range(batches):
            yield self._made(replace(self._draw({}), calibration=number))

    def notes(self) -> list[str]:
        """Say what a person should know of the input."""
        draw = self._draw({})
        told = {name: s.note(draw) for name, s in self.sources.items() if hasattr(s, "note")}
        return [f"{name}: {note}" for name, note in told.items() if note]

    @property
    def phases(self) -> list[str]:
        """Name the calls that are timed apart; a model whose YAML names none has `forward`."""
        return list(self.prepare) or ["forward"]

    def phase(self, name: str, model: nn.Module, batch: Batch) -> Phase:
        """Prepare the call of one phase; raises Skip where it does not apply."""
        if not self.prepare:
            return partial(batch.call, model)
        return self.prepare[name](model, batch)

    def takes(self, axis: str, size: int) -> bool:
        """Tell whether the YAML's limits admit a size."""
        limit = self.limits.get(axis, {})
        least, most = limit.get("min", 1), limit.get("max")
        above = most is not None and size > most
        return not (size < least or above or size % limit.get("multiple_of", 1))

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        """Give the loss as a scalar: the YAML's, or a default that any floating output has."""
        return (self.measure or mean_square)(outputs, batch)

    def _placed(self, tensor: Tensor) -> Tensor:
        return (self.fake.from_tensor(tensor) if self.fake else tensor).to(self.device)

    def _draw(self, sizes: Mapping[str, int]) -> Draw:
        return Draw({**self.axes, **sizes}, self.seed, self.text, self.image)

    def _positional(self) -> int:
        return sum(name.isdigit() for name in self.sources)


def misfits(path: str, node: Any, *, partial: bool = False) -> list[str]:
    """Import every `_target_` below `node` and hold its arguments against its signature.

    Nothing is called. Gives one line for each target that does not fit. With `partial`, the
    outermost targets are called with further arguments later, as phases and losses are.
    """
    found: list[str] = []
    children: Mapping[Any, Any] = {}
    if isinstance(node, Mapping):
        children = node
        if "_target_" in node:
            found += _misfit(path, node, partial or bool(node.get("_partial_")))
            partial = False
    elif isinstance(node, list):
        children = dict(enumerate(node))
    for key, value in children.items():
        found += misfits(f"{path}.{key}", value, partial=partial)
    return found


def _misfit(path: str, node: Mapping[Any, Any], partial: bool) -> list[str]:
    target = node["_target_"]
    try:
        function = get_object(target)
    except (Exception, SystemExit) as error:  # an import runs any code, which may raise anything
        cause = error.__cause__ or error
        return [f"{path}._target_={target}: cannot be imported: {type(cause).__name__}: {cause}"]
    try:
        # What a decorator wraps may take less than the whole: transformers' configurations do.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return []  # compiled callables have none
    given = {str(key): value for key, value in node.items() if not str(key).startswith("_")}
    bind = signature.bind_partial if partial else signature.bind
    try:
        bind(*node.get("_args_", ()), **given)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "nothing"
        return [f"{path}: {target}: {error}; it takes {takes}"]
    return []


def _pretrained(model: Mapping[str, Any]) -> Callable[[], Any] | None:
    """Give what builds the model with its weights, where these are not random."""
    if model["weights"] != "pretrained":
        return None
    if model["describe"] is not None:  # its recipe loads the weights itself
        return partial(instantiate, model["build"], _convert_="all")
    checkpoint, trust = Path(model["checkpoint"]), model["trust_remote_code"]
    return partial(build_pretrained, model["build"], checkpoint, trust_remote_code=trust)


def _later(node: Mapping[str, Any]) -> Callable[..., Any]:
    """Make what is called with further arguments later."""
    call: Callable[..., Any] = instantiate(node, _partial_=True, _convert_="all")
    return call
