"""What a caller has in hand, turned into a model's YAML: then all is as on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from modelbench.config.error import ConfigurationError
from modelbench.system.file_name import file_name

if TYPE_CHECKING:
    from torch import Tensor, nn

    from modelbench.inputs import Source

    Inputs = Tensor | Sequence[Tensor | Source] | Mapping[str, Tensor | Source]
    Made = nn.Module | Callable[[], nn.Module]
    Loss = Callable[..., Any]

HERE = "modelbench.execution.api.here.module"
FOLDER, INPUTS, MODULE, LOSS = "module", "inputs.pt", "module.pt", "loss.pt"
USUAL = {"batch_size": 1, "image_size": 224, "sequence_length": 128}
"""Sizes of sources that tensors say nothing of."""
LEAST_IMAGE = 8
"""Pixels of a square from which on it is taken for an image whose size can be changed."""


class Unpicklable(Exception):  # noqa: N818  (what was found)
    """The module cannot be handed to another process; the message says why."""


@dataclass(frozen=True)
class Live:
    """A module with its inputs: a YAML and files below a job's folder."""

    option: str
    """By which `model=` chooses the YAML."""
    folder: Path

    @classmethod
    def of(cls, module: Made, inputs: Inputs | None, loss: Loss | None, job: Path) -> Live:
        """Write all of it.

        Raises ConfigurationError where the inputs are no inputs, and Unpicklable.
        """
        module = getattr(module, "_orig_mod", module)  # precision=fp32_compiled compiles it again
        return cls._written(module, inputs, loss, job, _build(module, job / FOLDER))

    @classmethod
    def here(cls, module: Made, inputs: Inputs | None, loss: Loss | None, job: Path) -> Live:
        """Write all but the module, which stays in this process."""
        build = {"_target_": HERE}
        return cls._written(module, inputs, loss, job, build)

    @classmethod
    def _written(
        cls,
        module: Made,
        inputs: Inputs | None,
        loss: Loss | None,
        job: Path,
        build: dict[str, Any],
    ) -> Live:
        name, folder = file_name(cls.name_of(module)), job / FOLDER
        (folder / "model").mkdir(parents=True, exist_ok=True)
        node = {"name": name, "weights": "given", "build": build, **_inputs(inputs, folder)}
        if loss is not None and build["_target_"] == HERE:
            node["loss"] = {"_target_": "modelbench.execution.api.here.loss"}
        elif loss is not None:
            node["loss"] = _loss(loss, folder)
        option = f"given_{name}"  # such as none of ours is called: Hydra would take that one
        OmegaConf.save(OmegaConf.create(node), folder / "model" / f"{option}.yaml")
        return cls(option, folder)

    @staticmethod
    def name_of(module: Made) -> str:
        """Name a module by its class, and what makes one by itself."""
        from torch import nn

        if isinstance(module, nn.Module):
            return type(module).__name__
        return getattr(module, "__name__", type(module).__name__).strip("<>") or "module"


def _build(module: Any, folder: Path) -> dict[str, Any]:
    """Return the recipe: the path of a class or function that can be imported, else a file."""
    from torch import nn

    from modelbench.models.live import save

    if not isinstance(module, nn.Module) and (path := _importable(module)):
        return {"_target_": path}
    file = folder / MODULE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = save(module, file)
    except Exception as error:  # what objects raise that refuse cannot be listed
        raise Unpicklable(f"{type(error).__name__}: {error}") from error
    return {"_target_": "modelbench.models.live.load", "file": str(file)}


def _loss(loss: Any, folder: Path) -> dict[str, Any]:
    from modelbench.models.live import save

    if path := _importable(loss):
        return {"_target_": path}
    try:
        save(loss, folder / LOSS)
    except Exception as error:  # as above
        raise Unpicklable(f"the loss: {type(error).__name__}: {error}") from error
    return {"_target_": "modelbench.models.live.loss", "file": str(folder / LOSS)}


def _importable(made: Any) -> str | None:
    """Return the dotted path of a class or function that another process can import, too."""
    module, name = getattr(made, "__module__", None), getattr(made, "__qualname__", "<")
    if module in {None, "__main__", "builtins"} or "<" in name:
        return None
    found: Any = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    # A method that is bound, or what a decorator has put in its place, is another object there.
    return f"{module}.{name}" if found is made else None


def _inputs(inputs: Any, folder: Path) -> dict[str, Any]:
    """Return the YAML's axes and inputs, and write the tensors."""
    import torch
    from torch import Tensor

    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if isinstance(inputs, Sequence) and not isinstance(inputs, str):
        inputs = {str(place): value for place, value in enumerate(inputs)}
    if not isinstance(inputs, Mapping) or not inputs:
        raise ConfigurationError([
            f"inputs={inputs!r}: expected a tensor, a tuple of tensors, or a mapping from forward "
            "arguments to tensors or to sources such as modelbench.inputs.Image(3)"
        ])  # fmt: skip
    tensors = {
        str(n): value.detach().cpu().clone() for n, value in inputs.items() if _is_tensor(value)
    }
    torch.save(tensors, folder / INPUTS)
    axes, places = _axes(tensors)
    sources: dict[str, Any] = {}
    for name, value in inputs.items():
        if _is_tensor(value):
            sources[str(name)] = {
                "_target_": "modelbench.inputs.given.Given", "file": str(folder / INPUTS),
                "name": str(name), "places": places[str(name)],
            }  # fmt: skip
        else:
            sources[str(name)] = _source(str(name), value)
            for axis in value.axes():
                axes.setdefault(axis, USUAL.get(axis, 1))
    return {"axes": axes, "inputs": sources}


def _is_tensor(value: Any) -> bool:
    from torch import Tensor

    return isinstance(value, Tensor)


def _source(name: str, value: Any) -> dict[str, Any]:
    """Write a source as a YAML has it."""
    from dataclasses import fields, is_dataclass

    if not (is_dataclass(value) and callable(value) and hasattr(value, "axes")):
        raise ConfigurationError([
            f"inputs.{name}: found {type(value).__name__}, expected a tensor or a source such as "
            "modelbench.inputs.Image(3)"
        ])  # fmt: skip
    kind = type(value)
    given = {entry.name: getattr(value, entry.name) for entry in fields(value)}
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **given}


def _axes(tensors: Mapping[str, Tensor]) -> tuple[dict[str, int], dict[str, dict[str, list[int]]]]:
    """Return the axes that the tensors' shapes suggest, and each one's dimensions of them.

    The first dimension that all share is the batch; a square of four dimensions is an image;
    integers of two dimensions are tokens.
    """
    axes: dict[str, int] = {}
    places: dict[str, dict[str, list[int]]] = {name: {} for name in tensors}
    sized = [tensor for tensor in tensors.values() if tensor.ndim]
    if sized and all(tensor.shape[0] == sized[0].shape[0] for tensor in sized):
        axes["batch_size"] = sized[0].shape[0]
        for name, tensor in tensors.items():
            if tensor.ndim:
                places[name]["batch_size"] = [0]
    for axis, dims, suits in (
        ("image_size", [2, 3], _is_image), ("sequence_length", [1], _is_text),
    ):  # fmt: skip
        sizes = {tensor.shape[dims[-1]] for tensor in tensors.values() if suits(tensor)}
        if len(sizes) == 1:
            axes[axis] = sizes.pop()
            for name, tensor in tensors.items():
                if suits(tensor):
                    places[name][axis] = dims
    return axes, places


def _is_image(tensor: Tensor) -> bool:
    square = tensor.ndim == 4 and tensor.shape[2] == tensor.shape[3] >= LEAST_IMAGE
    return square and tensor.is_floating_point()


def _is_text(tensor: Tensor) -> bool:
    return tensor.ndim == 2 and not tensor.is_floating_point() and not tensor.is_complex()
