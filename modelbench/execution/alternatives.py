"""Several ways of giving a model its input, of which the first counts that it runs on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from modelbench.inputs import Prompt
from modelbench.inputs.batch import Batch
from modelbench.measurement.isolated import Ended, Send, isolated
from modelbench.models.workload import Workload
from modelbench.results.attempts import in_one_line
from modelbench.system.forking import FORKS

log = logging.getLogger(__name__)

Inputs = Mapping[str, Any]


def has_alternatives(config: Mapping[str, Any]) -> bool:
    """Return whether there are several ways, or one whose prompt has yet to be counted."""
    model = config["model"]
    asked = any("asks" in node for node in model["inputs"].values())
    return asked or bool(model["alternatives"])


def found_inputs(
    config: Mapping[str, Any], axes: Mapping[str, int], device: torch.device
) -> Mapping[str, Any]:
    """Return `working_inputs`, found in a process of its own where this one is to be forked.

    Once torch has computed in a process, its forks wait for threads that they do not have. One
    that dies leaves the inputs as they are, and the stages die of them, each for itself.
    """
    if not FORKS or device.type != "cpu":
        return working_inputs(config, axes, device)
    try:
        (found,) = isolated(partial(_send_inputs, config, axes, device), device)
    except Ended as ended:
        log.info("the alternative inputs are not tried: %s", ended)
        return {"alternatives": []}
    return dict(found)


def _send_inputs(
    config: Mapping[str, Any], axes: Mapping[str, int], device: torch.device, send: Send
) -> None:
    send(working_inputs(config, axes, device))


def working_inputs(
    config: Mapping[str, Any], axes: Mapping[str, int], device: torch.device
) -> Mapping[str, Any]:
    """Return what is to be changed in the model's section: the inputs that the model runs on.

    Where it runs on none of them it is the first, with which the stages then fail for the model's
    own reason.
    """
    model = config["model"]
    ways = [model["inputs"], *model["alternatives"]]
    first: Inputs = ways[0]
    try:
        built = Workload.of(config, axes, device).build()
    except Exception:  # the stages say why it cannot be built, each for itself
        log.info("the alternative inputs are not tried", exc_info=True)
        return {"alternatives": []}
    first_error = ""
    for number, way in enumerate(ways):
        given = {**config, "model": {**model, "inputs": way}}
        workload = Workload.of(given, axes, device)
        with workload.computing(), torch.inference_mode():
            try:
                counted = _counted(way, workload, built)
                if number == 0:
                    first = counted
                Workload.of(
                    {**config, "model": {**model, "inputs": counted}}, axes, device
                ).batch().call(built)
            except Exception as error:  # the model's code may raise anything
                names = ", ".join(f"{k}: {_short(node)}" for k, node in way.items())
                log.info("does not run on %s: %s", names, in_one_line(error))
                first_error = first_error or f"with {names} it raises {in_one_line(error)}"
                continue
        note = None
        if lacking := sorted(first.keys() - counted.keys()):
            note = f"{', '.join(lacking)}: left out, since {first_error}"
        return {"inputs": counted, "alternatives": [], "input_note": note}
    return {"inputs": first, "alternatives": []}


def _counted(way: Inputs, workload: Workload, model: nn.Module) -> Inputs:
    """Let each prompt know how many placeholders it has to have."""
    asking = {name for name, node in way.items() if "asks" in node}
    if not asking:
        return way
    others = {name: source for name, source in workload.sources.items() if name not in asking}
    given: Batch = replace(workload, sources=others).batch()
    prompts = {name: s for name, s in workload.sources.items() if isinstance(s, Prompt)}
    found = {name: prompts[name].counted(model, given.named()) for name in asking}
    return {
        name: {**{k: v for k, v in node.items() if k != "asks"}, "count": found[name]}
        if name in asking else node
        for name, node in way.items()
    }  # fmt: skip


def _short(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]
