"""Our figures against torchvision's, and its pictures: benchmarks/torchvision_models.py [N].

All classifiers, or N of them drawn by a seed: parameters and GMACs as its weights' `num_params` and
`_ops` say, and how long the stage `visualization` takes, the autograd graph with it.
"""

from __future__ import annotations

import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

import torch
from hydra import compose, initialize_config_dir
from report import table
from torchvision.models import get_model_weights, list_models

from modelbench.config import schema
from modelbench.config.validate import check
from modelbench.measurement.compute.flops import count_macs
from modelbench.models.fake import fake_if_possible
from modelbench.models.workload import Workload
from modelbench.stages.stage import Context
from modelbench.stages.visualization import Visualization

PICTURE_S, SEED = 15.0, 0
NEAR = 1e-3
"""Share by which GMACs may differ from theirs, which are rounded to three places."""


def main() -> None:
    """Compare each, and tell."""
    import torchvision

    names = list_models(module=torchvision.models)
    if sys.argv[1:]:
        names = sorted(random.Random(SEED).sample(names, int(sys.argv[1])))
    rows, agree, slow = [], 0, 0
    for name in names:
        meta = get_model_weights(name).DEFAULT.meta
        workload = _workload(name)
        params, macs = _counted(workload)
        seconds, pictures = _drawn(workload)
        good = params == meta["num_params"]
        good &= abs(macs - meta["_ops"]) <= NEAR * meta["_ops"] + 5e-4
        fast = seconds <= PICTURE_S and pictures > 0
        agree, slow = agree + good, slow + (not fast)
        verdict = "as published" if good else f"MISSED: {meta['num_params']:,}, {meta['_ops']}"
        row = (name, f"{params:,}", f"{macs:.3f}", verdict, f"{seconds:.1f}")
        rows.append(row if fast else (*row[:-1], f"{seconds:.1f} MISSED"))
        print(*row, file=sys.stderr, flush=True)
    table("torchvision", ("arch", "params", "GMACs", "torchvision says", "pictures, s"), rows)
    print(f"as published: {agree} of {len(names)}")
    print(f"pictures in {PICTURE_S:g} s: {len(names) - slow} of {len(names)}")
    sys.exit(agree < len(names) or slow > 0)


def _workload(name: str) -> Workload:
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        config = compose("config", ["model=torchvision", f"model.arch={name}"])
    plain = check(config, [schema.CONF]).plain
    return Workload.of(plain, schema.axes(plain), torch.device("cpu"))


def _counted(workload: Workload) -> tuple[int, float]:
    """Return parameters and GMACs of one image."""

    def act(model: torch.nn.Module, batch: object) -> tuple[int, float]:
        call = partial(batch.call, model)  # type: ignore[attr-defined]
        with torch.inference_mode(False), torch.no_grad():
            macs = count_macs(model, call).total
        return sum(p.numel() for p in model.parameters()), macs / 1e9

    return fake_if_possible(workload, act)


def _drawn(workload: Workload) -> tuple[float, int]:
    """Draw as the stage does; return its seconds, and the pictures of the architecture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = Context(torch.device("cpu"), {}, folder, folder, lambda _: None)
        start = perf_counter()
        Visualization()(workload, context)
        seconds = perf_counter() - start
        return seconds, len(list(folder.rglob("model_graph_*.svg")))


if __name__ == "__main__":
    main()
