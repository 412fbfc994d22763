"""A job composed in this process, without Hydra's own command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelbench.config.error import ConfigurationError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from modelbench.results import Job


def composed(words: Sequence[str], folders: Sequence[Path], place: Path) -> Job:
    """Return the job of a command line, whose files go to `place`; raises ConfigurationError."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from modelbench.config import schema
    from modelbench.config.quoting import with_number
    from modelbench.config.validate import Checked, check
    from modelbench.execution.cli.overrides import as_typed
    from modelbench.execution.cli.plan import plan
    from modelbench.execution.job import described

    schema.register()
    with _own_hydra():
        try:
            typed = [as_typed(word) for text in words for word in with_number(text)]
            checked = check(_config(typed, folders), [schema.CONF, *folders])
        except (HydraException, OmegaConfBaseException):
            checked = Checked({}, ["the configuration cannot be composed"])
        if checked.errors or any(word.startswith("model.") for word in words):
            # The command line's own check, which takes longer and names each error.
            made = plan(words, folders, multirun=False, dry=True)
            if errors := made.errors or checked.errors:
                raise ConfigurationError(errors)
    own = [f"--config-dir={shlex.quote(str(each))}" for each in folders]
    command = " ".join(["python -m modelbench", *own, shlex.join(words)])
    return described(checked.plain, command, place)


def _config(words: Sequence[str], folders: Sequence[Path]) -> DictConfig:
    from hydra import compose, initialize_config_dir

    from modelbench.config.quoting import quoted
    from modelbench.config.schema import CONF

    paths = ",".join(quoted(f"file://{each}") for each in folders)
    search = [f"hydra.searchpath=[{paths}]"] if folders else []
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="modelbench"):
        return compose("config", [*search, *words])


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Let the caller be a Hydra application itself."""
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = before  # by now it may be another instance
