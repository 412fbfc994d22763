"""In the pictures of all models every text lies within its box, in the file and in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import torch
from fontTools.ttLib import TTFont
from test_report import CHROMIUM
from test_workload import workload
from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.graph import font
from modelbench.measurement.graph.layout import Layout
from modelbench.measurement.graph.picture import Limits, picture
from modelbench.measurement.graph.trace import Costs, trace
from modelbench.stages.stage import Context
from modelbench.stages.visualization import Visualization

MODELS = {
    "cnn": ["model=cnn"],
    "unet": ["model=unet"],
    "gpt2": ["model=gpt2"],
    "clip": ["model=clip"],
    "stable_diffusion": ["model=stable_diffusion"],
}
NS = "{http://www.w3.org/2000/svg}"
SLACK = 1.0
"""Points by which a box may be crossed: a border's width."""


@dataclass(frozen=True)
class Box:
    """Of a text or of what it stands in, in points."""

    left: float
    right: float

    def holds(self, other: Box) -> bool:
        """Return whether the other lies within."""
        return self.left - SLACK <= other.left and other.right <= self.right + SLACK


@cache
def drawn(model: str) -> Path:
    """Draw a model's architecture once."""
    folder = Path(_FOLDER[0]) / model
    folder.mkdir()
    stage = Visualization(autograd=False)
    report = stage(
        workload(*MODELS[model]), Context(torch.device("cpu"), {}, folder, folder, lambda _: None)
    )
    assert report.warnings == []
    return folder / "graph"


_FOLDER: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    _FOLDER[:] = [str(tmp_path_factory.mktemp("pictures"))]


def _outline(group: ET.Element) -> Box:
    """Return the extent of a node's or a frame's shape."""
    xs: list[float] = []
    for shape in group.iter():
        kind = shape.tag.removeprefix(NS)
        if kind == "ellipse":
            middle, radius = float(shape.attrib["cx"]), float(shape.attrib["rx"])
            xs += [middle - radius, middle + radius]
        elif kind in {"polygon", "path"}:
            data = shape.attrib.get("points") or shape.attrib["d"]
            xs += [float(x) for x, _ in re.findall(r"(-?[\d.]+),(-?[\d.]+)", data)]
    return Box(min(xs), max(xs))


@cache
def _advances() -> dict[str, float]:
    """Return the width of each character of the embedded font, in ems."""
    with TTFont(font.FILE) as embedded:
        em, advances = embedded["head"].unitsPerEm, embedded["hmtx"]
        return {chr(code): advances[name][0] / em for code, name in embedded.getBestCmap().items()}


def _width(text: str, size: float) -> float:
    return size * sum(_advances()[character] for character in text.replace("\u00a0", " "))


def _text(element: ET.Element) -> Box:
    """Return the extent of a text, by the font that the file brings."""
    told = "".join(element.itertext())
    wide = _width(told, float(element.attrib["font-size"]))
    x, anchor = float(element.attrib["x"]), element.attrib["text-anchor"]
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * wide
    return Box(left, left + wide)


def _labels(svg: Path) -> Iterator[tuple[str, Box, Box]]:
    """Yield each text with what has to hold it."""
    root = ET.parse(svg).getroot()
    graph = root.find(f"{NS}g")
    assert graph is not None
    page = graph.find(f"{NS}polygon")
    assert page is not None
    holder = ET.Element("g")
    holder.append(page)
    for group in [graph, *graph.findall(f"{NS}g")]:
        if "edge" in group.attrib["class"]:
            continue
        boxed = group is not graph and any(
            child.tag.removeprefix(NS) in {"polygon", "path", "ellipse"} for child in group.iter()
        )
        box = _outline(group if boxed else holder)
        for text in group.findall(f"{NS}text") + group.findall(f"{NS}g/{NS}a/{NS}text"):
            yield "".join(text.itertext()), box, _text(text)


@pytest.mark.parametrize("model", MODELS)
def test_every_label_lies_within_its_box(model: str) -> None:
    """By the widths of the font that the file brings along; the title within the picture."""
    pictures = sorted(drawn(model).glob("*.svg"))
    assert pictures
    for svg in pictures:
        labels = list(_labels(svg))
        assert len(labels) > 10
        assert [told for told, box, text in labels if not box.holds(text)] == []
        content = svg.read_text(encoding="utf-8")
        assert "@font-face{font-family:Arimo;src:url(data:font/woff;base64," in content
        assert svg.with_suffix(".png").stat().st_size > 1000


def test_crosses_are_as_wide_as_they_are_drawn(tmp_path: Path) -> None:
    """Graphviz knows the widths of ASCII alone."""
    model = nn.Sequential(nn.Linear(8, 4096), nn.Unflatten(1, (2,) * 12), nn.ReLU())
    row = Batch((torch.zeros(2, 8),), {})
    macs = count_macs(model, lambda: row.call(model)).by_module
    limits = Limits(60, None, 20.0)
    file = tmp_path / "crosses.svg"
    file.write_bytes(
        picture(
            trace(model, row.named(), lambda: row.call(model), Costs(macs)),
            "Crosses",
            Layout.here(),
            limits,
        ).files["svg"]
    )
    labels = list(_labels(file))
    assert any(told.count("×") == 12 for told, _, _ in labels)
    assert all(box.holds(text) for _, box, text in labels)


SCRIPT = """() => {
    const around = shapes => {
        const all = shapes.map(each => each.getBoundingClientRect());
        const side = (which, pick) => pick(...all.map(box => box[which]));
        return {left: side('left', Math.min), right: side('right', Math.max),
                top: side('top', Math.min), bottom: side('bottom', Math.max)};
    };
    const page = document.querySelector('g.graph > polygon'), found = [];
    for (const group of document.querySelectorAll('g.graph, g.node, g.cluster')) {
        const whole = group.classList.contains('graph');
        const own = whole ? [] : [...group.querySelectorAll('polygon, path, ellipse')];
        const box = around(own.length ? own : [page]);
        for (const text of group.querySelectorAll(whole ? ':scope > text' : 'text')) {
            const t = text.getBoundingClientRect();
            if (t.left < box.left - 1.5 || t.right > box.right + 1.5 ||
                t.top < box.top - 1.5 || t.bottom > box.bottom + 1.5)
                found.push(text.textContent);
        }
    }
    return [found, document.fonts.size, [...document.fonts].every(f => f.status === 'loaded'),
            document.querySelectorAll('text').length];
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("model", MODELS)
def test_a_browser_draws_them_so(model: str, browser: Any) -> None:
    """In the font that the file brings, whatever fonts there are."""
    for svg in sorted(drawn(model).glob("*.svg")):
        page = browser.new_page()
        page.goto(svg.as_uri())
        page.evaluate("document.fonts.ready")
        outside, fonts, loaded, texts = page.evaluate(SCRIPT)
        page.close()
        assert texts > 10
        assert (outside, fonts, loaded) == ([], 1, True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        started = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def test_the_pictures_need_nothing_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphviz comes with its wheel."""
    monkeypatch.setenv("PATH", "")
    program = Layout.here().program
    assert program is not None
    assert Path(program).stem == "graphviz-pure"


def test_the_font_is_as_wide_as_arial() -> None:
    """Whose widths Graphviz knows, and lays out by."""
    assert _width("iM×", 1000) == pytest.approx(222 + 833 + 584, abs=2)
