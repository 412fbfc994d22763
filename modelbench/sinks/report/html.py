"""The page of one job, from what `results.json` holds and the files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import modelbench
from modelbench.results import Metric
from modelbench.sinks.report.pictures import Album, Picture
from modelbench.sinks.tables import alike, cell, figure, headed, parted

BYTES, FRAGMENT_BYTES = 4_500_000, 1_500_000
"""Of all pictures of a page, and of a notebook's cell."""

# What a person asks first, in this order, and what it is called.
HEADLINES = {
    "structure/params": "parameters",
    "structure/macs_g": "multiply-accumulates",
    "benchmark/*/p50_ms": "median latency, {}",
    "memory/inference_peak_mib": "peak memory, inference",
    "memory/training_peak_mib": "peak memory, training",
    "recommend/speedup": "speedup of what is recommended",
    "algorithm/loss_drop": "loss reduction in training",
    "algorithm/accuracy_after": "accuracy after training",
    "quantization/int8/size_ratio": "int8 size, of fp32",
    "quantization/int8/speedup": "int8 speedup over fp32",
    "quantization/int8/sqnr_db": "int8 fidelity (SQNR)",
}
PERCENT = {"share"}
UNSAID = {"count", "exponent", "loss", "cosine", "output"}
"""Units that say no more than the metric's name."""


@dataclass(frozen=True)
class Section:
    """One stage."""

    name: str
    status: str
    reason: str | None
    seconds: float
    plain: Mapping[str, Metric]
    """Its metrics, by their short names."""
    parts: list[dict[str, Mapping[str, Metric]]]
    """Those of phases, axes, schemes or parts, grouped by what they have in common."""
    tables: list[Mapping[str, Any]]
    notes: list[str]
    warnings: list[str]
    pictures: list[Picture]
    files: list[str]
    """Beside the page."""


def job_page(document: Mapping[str, Any], folder: Path) -> str:
    """Write the page of a job; `document` is the content of its `results.json`."""
    sections = _sections(document, Album(folder, BYTES))
    return render(
        "job.html.j2",
        title=f"{document['name']}: {document['status']}",
        job=document,
        sections=sections,
        figures=list(_headlines(sections)),
        environment=dict(_flat("", document["environment"])),
    )


def job_fragment(document: Mapping[str, Any], folder: Path) -> str:
    """Write the same for a notebook's cell: short, without colours of its own."""
    sections = _sections(document, Album(folder, FRAGMENT_BYTES))
    return render(
        "fragment.html.j2", job=document, sections=sections, figures=list(_headlines(sections))
    )


def render(template: str, **values: Any) -> str:
    """Fill in a template; everything is escaped."""
    return _templates().get_template(template).render(version=modelbench.__version__, **values)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("modelbench.sinks.report", "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters["figure"] = written
    found.filters["cell"] = cell
    found.filters["headed"] = headed
    found.filters["anchor"] = lambda text: "".join(c if c.isalnum() else "-" for c in text)
    return found


def written(metric: Metric) -> str:
    """Write a value with its unit."""
    if metric.unit in PERCENT:
        return f"{metric.value:.1%}"
    return figure(metric) + ("" if metric.unit in UNSAID else f" {metric.unit}")


def _sections(document: Mapping[str, Any], album: Album) -> list[Section]:
    return [_section(name, stage, album) for name, stage in document["stages"].items()]


def _section(name: str, stage: Mapping[str, Any], album: Album) -> Section:
    metrics = {key: Metric(**each) for key, each in stage["metrics"].items()}
    plain, parts = parted(name, metrics)
    shown, files = album.add(stage["artifacts"])
    return Section(
        name, stage["status"], stage["reason"], stage["seconds"], plain, alike(parts),
        list(stage["details"].get("tables", [])), list(stage["details"].get("notes", [])),
        list(stage["warnings"]), shown, files,
    )  # fmt: skip


def _headlines(sections: list[Section]) -> Iterator[tuple[str, str]]:
    """Yield the key figures: what each is called, and its value."""
    named = {f"{s.name}/{short}": metric for s in sections for short, metric in s.plain.items()}
    for section in sections:
        for part, metrics in (item for group in section.parts for item in group.items()):
            named |= {f"{section.name}/{part}/{short}": m for short, m in metrics.items()}
    for pattern, words in HEADLINES.items():
        for name, metric in named.items():
            if fnmatchcase(name, pattern):
                subject = name.split("/")[1]
                yield words.format(subject), written(metric)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield nested values under names such as `versions.torch`; what is not known is left out."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(f"{name}.", value)
        elif value is not None:
            yield name, value
