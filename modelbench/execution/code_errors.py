"""Configuration errors that only the code which the configuration names can tell."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from hydra.utils import instantiate

from modelbench.config import schema
from modelbench.config.targets import signature_errors
from modelbench.execution.protocol import JobSpec
from modelbench.precision.convert import scheme_of
from modelbench.results import Skip, failures

log = logging.getLogger("modelbench.worker")


def code_errors(spec: JobSpec) -> list[str]:
    """Find what only the model's own code can tell; nothing is built."""
    model = dict(spec.config["model"])
    called_later = {key: model.pop(key, None) for key in ("phases", "loss")}
    found = signature_errors("model", model) + signature_errors("model", called_later, partial=True)
    found += signature_errors("precision.scheme", spec.config["precision"]["scheme"])
    for name, settings in schema.stages(spec.config).items():
        own = {key: value for key, value in settings.items() if key != "_target_"}
        for key, value in own.items():
            found += signature_errors(f"test.{name}.{key}", value, partial=True)
    return found or _source_errors(spec)


def precision_errors(config: Mapping[str, Any], device: torch.device) -> list[str]:
    """Return why the device cannot run the precision asked for."""
    precision = config["precision"]
    try:
        scheme_of(precision["scheme"]).refuse(device)
    except Skip as skip:
        return [f"precision={precision['name']}: {skip}"]
    return []


def _source_errors(spec: JobSpec) -> list[str]:
    """Find input sources that cannot be made, or need an axis that the YAML does not list."""
    found = []
    for key, node in spec.config["model"]["inputs"].items():
        where = f"model.inputs.{key}: {node['_target_']}"
        try:
            source = instantiate(node, _convert_="all")
            needed = source.axes() if hasattr(source, "axes") else ()
        except (Exception, SystemExit) as error:
            log.exception("%s", where)
            found.append(f"{where}: {failures.of_error(error.__cause__ or error, '')}")
            continue
        found += [
            f"{where} needs the axis {axis}; model.axes has {', '.join(spec.axes)}"
            for axis in needed
            if axis not in spec.axes
        ]
    return found
