"""The command line before Hydra runs it: every error in it, in all the jobs it stands for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hydra_plugins.modelbench_jobs import with_jobs
from modelbench.config import schema
from modelbench.config.preloads import ahead
from modelbench.config.quoting import quoted, with_number
from modelbench.config.sections import first_line
from modelbench.config.validate import changed_types, check
from modelbench.execution.cli.compose import Composer
from modelbench.execution.cli.output_dir import reserve
from modelbench.execution.cli.overrides import Reader, as_typed
from modelbench.execution.resuming import Asked, unlike

MOST = 64
"""Jobs of a sweep that are composed beforehand; of a larger one, each value once."""


@dataclass
class Plan:
    """What a command line comes to."""

    overrides: list[str]
    errors: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    """What the models are built with and the fork server may import: installed packages."""


def plan(
    overrides: Sequence[str],
    folders: Sequence[Path],
    *,
    multirun: bool,
    dry: bool = False,
    resumed: Asked | None = None,
) -> Plan:
    """Compose the jobs that `overrides` stand for and collect every error in them.

    Unless `dry`, the folder for their files is made, or is that of the sweep that is `resumed`.
    """
    schema.register()
    words = [word for text in overrides for word in with_number(text)]
    made = Plan([word if multirun else as_typed(word) for word in words])
    made.errors += [f"--config-dir {f}: no such folder" for f in folders if not f.is_dir()]
    folders = [folder for folder in folders if folder.is_dir()]
    with initialize_config_dir(str(schema.CONF), version_base="1.3", job_name="modelbench"):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        sampler = any(text.startswith("hydra/sweeper=") for text in made.overrides)
        places = [schema.CONF, *folders]
        reader = Reader(parser, places, multirun, sampler, made.errors)
        choices = [found for text in made.overrides if (found := reader.variants(text))]
        paths = ",".join(quoted(f"file://{folder}") for folder in folders)
        extra = [f"hydra.searchpath=[{paths}]"] if folders else []
        jobs: list[list[str]] = []
        if multirun and not made.errors:
            jobs = _listed([*extra, *(c[0] for c in choices)], choices, reader)
        composer = Composer(parser, places)
        composed = [
            _check([*extra, *job], places, composer, made)
            for job in with_jobs(jobs, list(_combinations(choices)))
        ]
        if resumed:
            if math.prod(map(len, choices)) <= MOST:  # else they are not all here
                made.errors += unlike(resumed, composed)
            made.overrides += resumed.places
        elif not (made.errors or dry):
            _reserve([*extra, *(c[0] for c in choices)], choices, made, multirun=multirun)
    made.errors = list(dict.fromkeys(made.errors))
    return made


def _check(
    overrides: list[str], places: Sequence[Path], composer: Composer, made: Plan
) -> dict[str, Any]:
    """Compose one job, add what is wrong with it, and return it."""
    plain: dict[str, Any] = {}
    try:
        config = composer.compose(overrides)
        checked = check(config, places)
        found, plain = checked.errors, checked.plain
        if any(override.startswith("model.") for override in overrides):
            # The YAML's own value is the type of a key that no schema knows.
            groups = [o for o in overrides if not o.startswith("model.")]
            before = _model(composer.compose(groups))
            found += changed_types("model", before, _model(config))
        if not found:
            made.targets += ahead(checked.plain)
    except YAMLError as error:
        found = [f"cannot parse YAML: {' '.join(str(error).split())}"]
    except (HydraException, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        found = [first_line(error)]
    made.errors += found
    return plain


def _listed(first: list[str], choices: list[list[str]], reader: Reader) -> list[list[str]]:
    """Return the jobs that an experiment lists; what its sweeper varies is added to `choices`."""
    try:
        sweeper = compose("config", first, return_hydra_config=True).hydra.sweeper
    except (HydraException, OmegaConfBaseException):
        return []  # the check of the jobs says it
    given = {override.partition("=")[0] for override in first}
    params = (sweeper.get("params") or {}).items()
    varied = (reader.variants(f"{key}={value}") for key, value in params if key not in given)
    choices += [variants for variants in varied if variants]
    return [
        [single for text in job for single in reader.variants(text)]
        for job in sweeper.get("jobs") or []
    ]


def _combinations(choices: list[list[str]]) -> Iterator[list[str]]:
    """Yield each job's overrides; of a large sweep, one override varied at a time."""
    if math.prod(map(len, choices)) <= MOST:
        yield from map(list, itertools.product(*choices))
        return
    first = [variants[0] for variants in choices]
    yield first
    for index, variants in enumerate(choices):
        for variant in variants[1:]:
            yield [*first[:index], variant, *first[index + 1 :]]


def _reserve(first: list[str], choices: list[list[str]], made: Plan, *, multirun: bool) -> None:
    """Make the folder of the job or sweep, and add it to the overrides.

    Hydra would work it out again for each job of a sweep, and give two runs that start within a
    second the same one.
    """
    config = compose("config", first, return_hydra_config=True)
    if config.hydra.sweeper.get("jobs") and not multirun:
        made.errors.append("this experiment lists several jobs; it needs --multirun")
        return
    with open_dict(config):  # what varies gives a sweep its name
        config.hydra.overrides.task = [_varied(variants) for variants in choices]
    key = "hydra.sweep.dir" if multirun else "hydra.run.dir"
    named = any(override.partition("=")[0] == key for override in made.overrides)
    folder, error_text = reserve(Path(OmegaConf.select(config, key)), named=named)
    made.errors += [error_text] if error_text else []
    made.overrides.append(f"{key}={quoted(str(folder))}")


def _varied(variants: list[str]) -> str:
    key = variants[0].partition("=")[0]
    values = [variant.partition("=")[2] for variant in variants]
    names = key.lstrip("+") in {"experiment", "model"}
    return f"{key}={','.join(values)}" if names or len(values) > 1 else f"{key}="


def _model(config: DictConfig) -> Any:
    """Return the model's section as written, less what the schema checks already."""
    raw = OmegaConf.to_container(config.model, resolve=False)
    assert isinstance(raw, dict)
    checked = {"name", "axes", "limits", "weights", "checkpoint"}
    return {key: value for key, value in raw.items() if key not in checked}
