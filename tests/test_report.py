"""The report says first what matters, needs nothing beside it, and can be read by everybody."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from PIL import Image

from modelbench.results import Metric
from modelbench.sinks.report.charts import charts
from modelbench.sinks.report.html import job_page, written
from modelbench.sinks.report.jobs import Jobs
from modelbench.sinks.report.pictures import LARGEST, Album
from modelbench.sinks.report.sweep import sweep_page
from modelbench.sinks.report.vega import drawn

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def document(**stages: Any) -> dict[str, Any]:
    """Return the content of a `results.json`."""
    blank: dict[str, Any] = {"status": "passed", "reason": None, "seconds": 1.0, "metrics": {},
                             "details": {}, "warnings": [], "artifacts": []}  # fmt: skip
    return {
        "name": "<b>job</b>", "status": "passed", "reason": None, "model": "unet", "device": "cpu",
        "precision": "fp32", "axes": {"batch_size": 1},
        "command": "python -m modelbench model='<x>'",
        "environment": {"cpu": "an & b", "versions": {"torch": "2"}, "git_commit": None},
        "stages": {name: blank | stage for name, stage in stages.items()},
    }  # fmt: skip


def parsed(page: str) -> ET.Element:
    """Read a page, which is well-formed XML as well, so that nothing in it can be unclosed."""
    return ET.fromstring(page.removeprefix("<!doctype html>"))


def held(root: ET.Element) -> None:
    """Hold a page against what makes it valid, accessible and self-contained."""
    assert root.attrib["lang"] == "en"
    identities = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(identities) == len(set(identities))
    levels = [int(e.tag[1]) for e in root.iter() if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for element in root.iter():
        if element.tag == "img":
            assert element.attrib["alt"]
            assert element.attrib["src"].startswith("data:image/")
        if element.tag == "th":
            assert element.attrib["scope"] in {"row", "col"}
        for name in ("aria-labelledby", "for"):
            assert element.attrib.get(name, identities[0]) in identities
        link = element.attrib.get("href", "#")
        assert not re.match(r"(https?:)?//", link)
        if link.startswith("#") and link != "#":
            assert link[1:] in identities


def test_the_verdict_comes_first() -> None:
    """What failed with its reason, what was skipped, what was warned of, then the figures."""
    page = job_page(
        document(
            structure={"metrics": {"structure/params": {"value": 31_043_521, "unit": "count"}}},
            memory={"status": "failed", "reason": "killed; try image_size=64"},
            dynamic={"status": "skipped", "reason": "no axis"},
            benchmark={
                "warnings": ["times had not stabilised"],
                "metrics": {"benchmark/forward/p50_ms": {"value": 1.5, "unit": "ms"}},
            },
        ),
        Path(),
    )
    root = parsed(page)
    held(root)
    text = " ".join("".join(root.itertext()).split())
    order = ["memory failed: killed; try image_size=64", "dynamic was skipped: no axis",
             "2 of 4 stages passed: structure, benchmark", "Warnings",
             "benchmark: times had not stabilised", "Key figures", "31,043,521",
             "median latency, forward", "1.500 ms", "Structure passed", "Run it again",
             "Environment"]  # fmt: skip
    places = [
        text.replace(" ,", ",").replace(" :", ":").find(o.replace(" ,", ",").replace(" :", ":"))
        for o in order
    ]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert "python -m modelbench model='<x>'" in text
    assert "git_commit" not in text
    assert "<b>job" not in page


def test_figures_are_written_for_people() -> None:
    """With a unit where it says something."""
    assert written(Metric(0.713, "share")) == "71.3%"
    assert written(Metric(4.13, "times")) == "4.130 times"
    assert written(Metric(94538, "count")) == "94,538"
    assert written(Metric(1.5, "exponent")) == "1.500"


def test_pictures_are_embedded_once_and_within_the_size(tmp_path: Path) -> None:
    """As vectors where there are some; what is too large stays beside the page, and is named."""
    for name, size in (("plots/a.svg", 10), ("plots/a.png", 10), ("graph/b.svg", LARGEST),
                       ("images/generate.png", 10), ("layers.csv", 5)):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    names = [
        "plots/a.png",
        "plots/a.svg",
        "graph/b.svg",
        "images/generate.png",
        "layers.csv",
        "gone.svg",
    ]
    shown, files = Album(tmp_path, 100).add(names)
    assert [picture.name for picture in shown] == ["plots/a.svg", "images/generate.png"]
    assert files == ["graph/b.svg", "layers.csv", "gone.svg"]
    assert Album(tmp_path, 60).add(names)[0] == shown[:1]


def rows() -> list[dict[str, Any]]:
    """Return the jobs of a sweep over two sizes and two precisions, of which one failed."""
    found: list[dict[str, Any]] = []
    for size in (32, 64):
        for precision in ("fp32", "bf16"):
            row = {"job": len(found), "name": f"net-{size}-{precision}", "model": "net",
                   "test": "benchmark", "device": "cpu", "precision": precision,
                   "status": "passed", "reason": None, "image_size": size}  # fmt: skip
            factor = 2 if precision == "fp32" else 1
            metrics = {"structure/params": 5, "benchmark/forward/p50_ms": float(size * factor),
                       "benchmark/forward/ci95_low_ms": size * factor - 1.0,
                       "benchmark/forward/ci95_high_ms": size * factor + 1.0}  # fmt: skip
            found.append(row | metrics)
    found.append({**found[0], "job": 4, "status": "failed", "reason": "died <here>"})
    del found[4]["benchmark/forward/p50_ms"], found[4]["structure/params"]
    return found


def test_a_sweep_has_a_table_and_charts_of_what_varied(tmp_path: Path) -> None:
    """What is the same in every job is not drawn; every metric is a column."""
    content = {"id": "a-sweep", "status": "failed", "jobs": rows()}
    page, files = sweep_page(content, "python -m modelbench --multirun", tmp_path)
    assert files == [f"plots/sweep-multiples.{e}" for e in ("png", "svg")]
    root = parsed(page)
    held(root)
    text = " ".join("".join(root.itertext()).split())
    assert "4 of 5 jobs passed." in text
    assert "job 4, net-32-fp32, failed: died <here>" in text
    heads = ["".join(th.itertext()) for th in root.iter("th")]
    assert heads[:6] == ["job", "model", "image_size", "precision", "status",
                         "benchmark/forward/p50_ms"]  # fmt: skip
    assert {"structure/params", "device", "reason"} <= set(heads)
    assert not any("ci95" in head for head in heads)
    place = heads.index("benchmark/forward/p50_ms")
    cells = [["".join(td.itertext()) for td in tr.iter("td")] for tr in root.iter("tr")][1:]
    assert [row[place] for row in cells] == ["64.000", "32.000", "128.000", "64.000", ""]


def test_charts_of_many_jobs_have_a_legend_that_can_be_read() -> None:
    """Of eighty models none; of what has few values one; and what few jobs have comes last."""
    many = [{**rows()[0], "job": n, "model": f"net{n}", "structure/params": n + 1,
             "benchmark/forward/p50_ms": float(n % 7 + 1), "precision": ("fp32", "int8")[n % 2]}
            for n in range(80)]  # fmt: skip
    many[0]["algorithm/loss_last"] = 0.5
    many[1]["algorithm/loss_last"] = 0.7
    jobs = Jobs(many)
    assert jobs.varied == ["model", "precision"]
    assert jobs.main(8) == ["benchmark/forward/p50_ms", "structure/params", "algorithm/loss_last"]
    assert jobs.label(many[3]) == "net3"  # the model alone tells them apart
    assert jobs.label(many[3], ("model",)) == "int8"
    found = charts(jobs)
    assert list(found) == ["scatter", "multiples", "parallel"]
    points = found["scatter"][1]["layer"][1]["encoding"]
    assert points["color"]["scale"]["domain"] == ["fp32", "int8"]
    assert len(found["multiples"][1]["concat"]) == 2


def test_the_front_of_a_scatter(tmp_path: Path) -> None:
    """Joins the jobs that none beats in both metrics, whichever way each is better."""
    pairs = [(10, 20), (20, 40), (15, 10), (5, 5), (30, 40), (30, 50)]
    jobs = [
        {**rows()[0], "job": n, "model": f"net{n}", "benchmark/forward/p50_ms": float(ms),
         "quantization/int8/sqnr_db": float(db)}
        for n, (ms, db) in enumerate(pairs)
    ]  # fmt: skip
    _, spec = charts(Jobs(jobs))["scatter"]
    spec = {**spec, "layer": spec["layer"][1:]}
    spec["params"][2]["value"] = spec["params"][3]["value"] = False
    drawn({"front": spec}, tmp_path)
    svg = (tmp_path / "front.svg").read_text(encoding="utf-8")
    assert (
        len(re.findall(r'opacity="0\.45"', svg)) == 2
    )  # (15, 10) and (30, 40): others are as fast and more faithful


def test_where_nothing_differs_there_are_no_charts() -> None:
    """And a sweep without jobs has a page all the same."""
    two = [row for row in rows() if row["image_size"] == 32 and row["status"] == "passed"]
    assert list(charts(Jobs(two))) == ["multiples"]
    assert charts(Jobs(two[:1])) == {} == charts(Jobs([]))


def test_a_page_that_cannot_be_made_loses_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has why."""
    monkeypatch.setattr("modelbench.sinks.report.html._headlines", lambda _: 1 / 0)
    done = command("model=toy", "test=structure")
    assert (done.status, done.results["status"]) == (0, "passed")
    folder = done.files[0].parent
    assert not (folder / "report.html").exists()
    assert "ZeroDivisionError" in (folder / "model_test.log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Make a report with every kind of section, and that of a sweep."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "graph").mkdir()
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="900pt" height="2400pt"><text>n</text></svg>'
    )
    (folder / "graph/model_graph_Net.svg").write_text(svg, encoding="utf-8")
    units = {"p50_ms": "ms", "speedup": "times", "coverage_macs": "share"}
    metrics = {
        f"quantization/{scheme}/{short}": {"value": 0.5, "unit": unit}
        for scheme in ("fp32", "fp32_compiled", "bf16", "int8", "int8_weight_only", "int8_dynamic")
        for short, unit in units.items()
    }
    told = document(
        visualization={"artifacts": ["graph/model_graph_Net.svg"]},
        quantization={"metrics": metrics, "warnings": ["w" * 300], "details": {"notes": ["n"]}},
        memory={"status": "failed", "reason": "out of memory"},
    )
    (folder / "report.html").write_text(job_page(told, folder), encoding="utf-8")
    page, _ = sweep_page({"id": "s", "status": "failed", "jobs": rows()}, "again", folder)
    (folder / "sweep.html").write_text(page, encoding="utf-8")
    yield [folder / "report.html", folder / "sweep.html"]


def _append(to: list[str], event: Any) -> None:
    """Keep what a request asks for, and what else was said."""
    to.append(getattr(event, "url", None) or getattr(event, "text", None) or str(event))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_it(pages: list[Path], tmp_path: Path) -> None:
    """No error, no request to a host, nothing wider than a phone, nothing that axe objects to."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for page, width in [*((page, 390) for page in pages), (pages[-1], 1280)]:
            tab: Any = browser.new_page(viewport={"width": width, "height": 800})
            troubles: list[str] = []
            asked: list[str] = []
            tab.on("console", partial(_append, troubles))
            tab.on("pageerror", partial(_append, troubles))
            tab.on("request", partial(_append, asked))
            tab.goto(page.as_uri())
            if page.name == "sweep.html":
                tab.wait_for_selector("table.dataTable")
                tab.wait_for_selector(".chart svg")
            assert troubles == []
            own = ("data:", "blob:")
            assert {url for url in asked if not url.startswith(own)} == {page.as_uri()}
            assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
            found = Axe().run(tab).response["violations"]
            assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
            tab.screenshot(path=tmp_path / "page.png", full_page=True)
            with Image.open(tmp_path / "page.png") as image:
                assert image.width == width
                assert len(image.convert("L").getcolors() or []) > 20  # something is drawn
        # By time; what has none comes last, and first when it is turned round.
        rows_are = """order => JSON.stringify(order) === JSON.stringify(
            [...document.querySelectorAll("tbody tr")].map(row => row.cells[0].innerText))"""
        for order in (["1", "0", "3", "2", "4"], ["4", "2", "3", "0", "1"]):
            tab.click("th:has-text('benchmark/forward/p50_ms')")
            tab.wait_for_function(rows_are, arg=order, timeout=5000)
        browser.close()


def test_a_run_leaves_its_report(command: Command) -> None:
    """Of the job, with the command that repeats it, and the name of its file on the terminal."""
    done = command("model=toy", "test=[structure,visualization]")
    page = (done.files[0].parent / "report.html").read_text(encoding="utf-8")
    root = parsed(page)
    held(root)
    assert "report.html" in done.out
    assert len(list(root.iter("img"))) == 2
    assert json.loads(done.files[0].read_text(encoding="utf-8"))["command"] in "".join(
        root.itertext()
    )
