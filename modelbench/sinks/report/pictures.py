"""Pictures within a page: as data, with words for who does not see them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

KINDS = {".svg": "image/svg+xml", ".png": "image/png"}
LARGEST = 1_000_000
"""Bytes of one picture, as it is embedded."""

# By how a file's name begins: what it shows. What stands behind the last `-` names its subject.
TOLD = {
    "model_graph_": "The architecture: modules as they ran, and the tensors between them",
    "model_time_": "The architecture, coloured by the time that each part takes",
    "layers_time-": "The slowest layers: own time with its interval, and how fast they compute",
    "icicle-": "Blocks within blocks, each as wide as its time",
    "timeline-": "One call over time: which module ran when, within which",
    "training_memory": "Memory over one training step, with the layers in which it grows most",
    "runtimes": "Each runtime against eager PyTorch, and the size of its files",
    "recommend": "What was tried: speed against fidelity and against size",
    "autograd_": "The graph of the backward pass",
    "roofline": "Roofline: each phase against this machine's compute and memory peaks",
    "latency-": "Every timed sample in order, and the distribution",
    "dynamic-": "How latency, memory and multiply-accumulates grow with the size",
    "training": "Loss and gradient norm over the steps",
    "quantization": "Each precision: size on disk against fidelity and speed",
    "memory": "Memory by component, estimated and measured",
    "generate": "What the model generated",
    "sweep-": "The sweep's jobs over what was varied",
    "effects": "Candidate over baseline, with 95% intervals; grey is within the threshold",
    "distributions": "Samples of both; a line for each process's median, the candidate's dashed",
}


@dataclass(frozen=True)
class Picture:
    """One picture of a page."""

    name: str
    """The file beside the page that it was made of."""
    source: str
    """All of it, as a data URI."""
    told: str
    """What it shows."""
    large: bool
    """Whether one may want to see it in its own size."""
    folded: bool
    """Whether it is shown only on demand."""


@dataclass
class Album:
    """The pictures that still fit into one page."""

    folder: Path
    left: int
    """Bytes."""

    def add(self, names: Sequence[str]) -> tuple[list[Picture], list[str]]:
        """Embed the pictures among some files; give them, and the files that are left beside."""
        shown: list[Picture] = []
        for name in _best(names):
            file = self.folder / name
            if not file.is_file():
                continue
            picture = _picture(name, file.read_bytes())
            if len(picture.source) > min(LARGEST, self.left):
                continue
            self.left -= len(picture.source)
            shown.append(picture)
        embedded = {str(PurePosixPath(p.name).with_suffix("")) for p in shown}
        kinds = [n for n in names if str(PurePosixPath(n).with_suffix("")) not in embedded]
        return shown, kinds


def _best(names: Sequence[str]) -> Iterator[str]:
    """Yield each picture once, as vectors where there are some."""
    for name in names:
        path = PurePosixPath(name)
        vectors = str(path.with_suffix(".svg")) in names
        if path.suffix == ".svg" or (path.suffix in KINDS and not vectors):
            yield name


def _picture(name: str, content: bytes) -> Picture:
    path = PurePosixPath(name)
    begins, told = next(((b, t) for b, t in TOLD.items() if path.stem.startswith(b)), ("", ""))
    within = path.parts[0] if len(path.parts) > 2 else ""  # what made it: one of several runtimes
    subject = ", ".join(filter(None, [path.stem.removeprefix(begins), within]))
    data = base64.b64encode(content).decode()
    return Picture(
        name,
        f"data:{KINDS[path.suffix]};base64,{data}",
        ": ".join(filter(None, [told, subject])),
        large=path.parts[0] == "graph",
        folded=begins == "autograd_",
    )
