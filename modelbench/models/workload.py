"""What is under test: the model, its input and the calls that are measured."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from modelbench.inputs import Draw, Source
from modelbench.inputs.batch import Batch
from modelbench.inputs.data import Data
from modelbench.losses import classes, mean_square
from modelbench.models.lazy import build_fake, initialise
from modelbench.models.pretrained import build_pretrained
from modelbench.models.shapes import Shapes
from modelbench.system.seed import seed_all

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
    data: Data | None = None
    """Labelled data: the user's, or the YAML's."""
    own_data: bool = False
    """Whether it is the user's, by which the model's quality is judged."""
    learning_rate: float = 1e-3
    """Of training, unless its optimizer has one."""
    pretrained: Callable[[], Any] | None = None
    """Builds the model with its weights, unless these are random."""
    weights: str = "random"
    """As the YAML has it."""
    scheme: Mapping[str, Any] | None = None
    """The precision's `scheme`; None for single precision."""
    runtime: Mapping[str, Any] | None = None
    """The runtime's `engine`; None for eager PyTorch."""
    fake: Shapes | None = None
    """Where the model is built without memory: shapes are computed, numbers are not."""
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    input_note: str | None = None
    seed: int = 0
    text: str | None = None
    image: Path | None = None

    @classmethod
    def of(
        cls, config: Mapping[str, Any], axes: Mapping[str, int], device: torch.device
    ) -> Workload:
        """Make a workload of a checked configuration."""
        model = config["model"]
        sources = {
            str(key): instantiate(node, _convert_="all") for key, node in model["inputs"].items()
        }
        return cls(
            name=model["name"],
            axes=axes,
            device=device,
            recipe=model["build"],
            sources=sources,
            prepare={name: _later(node) for name, node in (model["phases"] or {}).items()},
            measure=_later(model["loss"]) if model["loss"] else None,
            data=_data(config, sources),
            own_data=_own(config),
            learning_rate=model["learning_rate"],
            pretrained=_pretrained(model),
            weights=model["weights"],
            scheme=config["precision"]["scheme"],
            runtime=config["runtime"]["engine"],
            fake=Shapes() if model["weights"] == "fake" else None,
            limits=model["limits"],
            input_note=model["input_note"],
            seed=config["seed"],
            text=config["text"],
            image=Path(config["image"]) if config["image"] else None,
        )

    def build(self) -> nn.Module:
        """Build the model afresh, random weights seeded, in evaluation mode, on the device.

        Raises TypeError for a recipe that gives no module or one whose forward takes other
        arguments than the YAML names.
        """
        seed_all(self.seed)
        build = self.pretrained or partial(instantiate, self.recipe, _convert_="all")
        # Without memory nothing can be moved to a device: it is made there.
        real = replace(self, fake=None, device=torch.device("cpu")).batch
        model = build_fake(build, real, self.fake, self.device) if self.fake else build()
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"{self.recipe['_target_']} returned {type(model).__name__}; "
                "expected torch.nn.Module"
            )
        self._fitting(model)
        if self.pretrained:
            model.float()  # a checkpoint may be in half precision, which is not asked for
        model.eval()
        if self.fake:
            return model
        initialise(model, real)
        return model.to(self.device)

    def _fitting(self, model: nn.Module) -> None:
        """Raise TypeError where forward takes other arguments than the YAML names."""
        try:
            signature = inspect.signature(model.forward)
        except ValueError:  # a scripted one has none
            return
        named = [name for name in self.sources if not name.isdigit()]
        try:
            signature.bind(*range(self._positional()), **dict.fromkeys(named))
        except TypeError as error:
            takes = ", ".join(map(str, signature.parameters.values()))
            raise TypeError(
                f"model.inputs gives {', '.join(self.sources)}, but "
                f"{type(model).__name__}.forward takes ({takes}): {error}"
            ) from None

    def computing(self) -> AbstractContextManager[object]:
        """Return what the model is to be called in: nothing, or the mode without memory."""
        return self.fake or nullcontext()

    def batch(self, **sizes: int) -> Batch:
        """Make real input on the device, at the workload's sizes or at others."""
        return self._made(self._draw(sizes))

    def _made(self, draw: Draw) -> Batch:
        tensors = {name: self._placed(source(draw)) for name, source in self.sources.items()}
        positional = self._positional()
        args = [tensors.pop(str(i)) for i in range(positional)]
        return Batch(tuple(args), tensors)

    def calibration(self, batches: int, **sizes: int) -> Iterator[Batch]:
        """Make batches of other content, which quantization may look at; `batch` has none of it."""
        if self.own_data and not sizes:
            yield from islice(self._of_training(), batches)
            return
        for number in range(batches):
            yield self._made(replace(self._draw(sizes), calibration=number))

    def _of_training(self) -> Iterator[Batch]:
        """Yield batches of the user's data that are not tested on, at the workload's size."""
        places = torch.arange(self.axes.get("batch_size", 1), device=self.device)
        for batch in self.labelled(test=False):
            few = len(next(iter(batch.named().values())))
            yield replace(batch.map(itemgetter(places % few)), labels=None)

    def labelled(self, *, test: bool) -> Iterator[Batch]:
        """Yield labelled batches on the device: of training without end, of testing once."""
        assert self.data is not None
        given = (self.data.test if test else self.data.training)(self._draw({}))
        for batch in given:
            labels = None if batch.labels is None else batch.labels.to(self.device)
            yield replace(self._whole(batch).map(self._placed), labels=labels)

    def _whole(self, batch: Batch) -> Batch:
        """Add the arguments that labelled data has none of, as many samples of them."""
        given = batch.named()
        named = dict(given)
        if given.keys() != self.sources.keys():
            own = self.batch(batch_size=len(next(iter(given.values()))))
            named = {**own.named(), **given}
        positional = [named.pop(str(place)) for place in range(self._positional())]
        return Batch(tuple(positional), named)  # also what the YAML does not name, such as a mask

    def notes(self) -> list[str]:
        """Return what a person should know of the input."""
        draw = self._draw({})
        told = {name: s.note(draw) for name, s in self.sources.items() if hasattr(s, "note")}
        notes = [f"{name}: {note}" for name, note in told.items() if note]
        return [*notes, self.input_note] if self.input_note else notes

    @property
    def phases(self) -> list[str]:
        """Return the calls that are timed separately; where the YAML names none, `forward`."""
        return list(self.prepare) or ["forward"]

    def phase(self, name: str, model: nn.Module, batch: Batch) -> Phase:
        """Prepare the call of one phase; raises Skip where it does not apply."""
        if not self.prepare:
            return partial(batch.call, model)
        return self.prepare[name](model, batch)

    def takes(self, axis: str, size: int) -> bool:
        """Return whether the YAML's limits admit a size."""
        limit = self.limits.get(axis, {})
        least, most = limit.get("min", 1), limit.get("max")
        above = most is not None and size > most
        return not (size < least or above or size % limit.get("multiple_of", 1))

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        """Return the loss as a scalar: the YAML's, or a default that any floating output has."""
        usual = mean_square if batch.labels is None else classes
        return (self.measure or usual)(outputs, batch)

    def chance_level(self, outputs: Any, batch: Batch) -> float | None:
        """Return the loss at chance level; None where the loss does not know it."""
        start = getattr(getattr(self.measure, "func", None), "start", None)
        return start(outputs, batch) if start else None

    def _placed(self, tensor: Tensor) -> Tensor:
        if self.fake is None:
            return tensor.to(self.device)
        with self.fake:  # outside it the device's driver would be started
            return self.fake.from_tensor(tensor).to(self.device)

    def _draw(self, sizes: Mapping[str, int]) -> Draw:
        return Draw({**self.axes, **sizes}, self.seed, self.text, self.image)

    def _positional(self) -> int:
        return sum(name.isdigit() for name in self.sources)


def _data(config: Mapping[str, Any], sources: Mapping[str, Source]) -> Data | None:
    """Return the labelled data: the user's, else that of the model's YAML."""
    if not _own(config):
        own: Data | None = instantiate(config["model"]["data"], _convert_="all")
        return own
    given = instantiate(config["data"], _convert_="all")
    bound: Data = given.bound(sources) if hasattr(given, "bound") else given
    return bound


def _own(config: Mapping[str, Any]) -> bool:
    return bool(config["data"].get("_target_"))


def _pretrained(model: Mapping[str, Any]) -> Callable[[], Any] | None:
    """Return what builds the model with its weights, where these are not random."""
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
