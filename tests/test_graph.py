"""The picture of an architecture shows what ran, once, and can be read."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import idioms
import pytest
import torch
from conftest import Command
from PIL import Image
from test_workload import workload
from torch import Tensor, nn

from modelbench.inputs import Noise
from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.graph.autograd import autograd
from modelbench.measurement.graph.dot import source
from modelbench.measurement.graph.fold import Item, View, view
from modelbench.measurement.graph.layout import INSTALL, Layout, LayoutError
from modelbench.measurement.graph.levels import Levels
from modelbench.measurement.graph.picture import LONGEST, Limits, picture
from modelbench.measurement.graph.trace import Costs, Trace, trace
from modelbench.models.unet import UNet
from modelbench.models.workload import Workload
from modelbench.stages.stage import Context
from modelbench.stages.visualization import Visualization

HERE = Layout.here()
IMAGE = Batch((torch.zeros(1, 3, 32, 32),), {})
ROW = Batch((torch.zeros(2, 8),), {})


def traced(model: nn.Module, batch: Batch = ROW) -> Trace:
    """Follow a model in evaluation."""
    model.eval()
    costs = Costs(count_macs(model, lambda: batch.call(model)).by_module)
    return trace(model, batch.named(), lambda: batch.call(model), costs)


def told(item: Item) -> str:
    """Name what is drawn."""
    node = item.first
    return node.kind if node.role == "join" else node.path or node.role


def edges(shown: View) -> set[tuple[str, str]]:
    """Name what is joined."""
    return {(told(one), told(other)) for one, other in shown.edges}


class Residual(nn.Module):
    """Dropout and an operation in place lie on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout()
        self.second = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Return x and what is made of it."""
        y: Tensor = self.second(self.drop(self.act(self.first(x))))
        return x * 2 + y.view(-1, 8).contiguous()


def test_the_flow_is_what_ran() -> None:
    """What changes nothing is no node, what joins is one, the rest belongs to its source."""
    shown = view(traced(Residual()), 60)
    assert edges(shown) == {
        ("0", "first"), ("first", "act"), ("act", "second"), ("second", "add"), ("0", "add"),
        ("add", "output"),
    }  # fmt: skip
    assert {(told(a), told(b)) for a, b in Levels.of(shown).skips} == {("0", "add")}


class Conditioned(nn.Module):
    """One embedding is told to two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 3)
        self.first, self.second = nn.Bilinear(8, 3, 8), nn.Bilinear(8, 3, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Embed x, and take it along."""
        told = self.embed(x)
        out: Tensor = self.second(self.first(x, told), told)
        return out


def test_a_condition_is_no_skip() -> None:
    """Though it also leads there by another way; what it is told to has another shape."""
    shown = view(traced(Conditioned()), 60)
    assert ("embed", "second") in edges(shown)
    assert "embed" not in {told(one) for one, _ in Levels.of(shown).skips}


class Attention(nn.Module):
    """Three projections that are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Attend to x, of one batch."""
        q, k, v = (p(x)[None] for p in (self.q, self.k, self.v))
        return x + nn.functional.scaled_dot_product_attention(q, k, v)[0]


class Blocks(nn.Module):
    """A list of equal blocks."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Attention() for _ in range(count))

    def forward(self, x: Tensor) -> Any:
        """Return a dataclass, as many models do."""
        for block in self.blocks:
            x = block(x)
        return Output(x, x.sum())


@dataclass
class Output:
    """No tuple and no dict."""

    hidden: Tensor
    loss: Tensor


def test_equal_blocks_are_drawn_once() -> None:
    """With all their MACs; projections beside each other are not taken together."""
    found = traced(Blocks(12))
    shown = view(found, 60)
    (blocks,) = shown.root.children
    assert (blocks.times, blocks.params) == (12, 3 * 64)
    assert [told(item) for item in shown.shown()] == [
        "blocks.0.q", "blocks.0.k", "blocks.0.v", "attention", "add",
    ]  # fmt: skip
    assert ("add", "output") in edges(shown)
    attention = 2 * (2 * 2 * 8)  # queries by keys, and what comes of it by values
    assert found.macs == 12 * (3 * 2 * 64 + attention)
    assert sum(item.macs for item in shown.shown()) == found.macs
    assert "blocks.0 to 11: Attention ×12" in source(shown, "Blocks")


class Fused(nn.Module):
    """One projection for all three, and a module whose only child changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.scale = Scale()

    def forward(self, x: Tensor) -> Tensor:
        """Attend to x, of one batch."""
        q, k, v = self.qkv(x)[None].chunk(3, -1)
        out: Tensor = self.scale(nn.functional.scaled_dot_product_attention(q, k, v)[0])
        return out


class Scale(nn.Module):
    """A parameter behind a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.factor = nn.Dropout(), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        out: Tensor = self.drop(x) * self.factor
        return out


def test_attention_is_seen_also_of_one_source() -> None:
    """And so is a module of which only what it computes by itself counts."""
    assert edges(view(traced(Fused()), 60)) == {
        ("0", "qkv"), ("qkv", "attention"), ("attention", "scale"), ("scale", "output"),
    }  # fmt: skip


def test_modules_of_a_class_are_opened_while_there_is_room() -> None:
    """And to a depth where that is asked for."""
    found = traced(Blocks(12))
    assert [told(item) for item in view(found, 3).shown()] == ["blocks.0"]
    assert [told(item) for item in view(found, 60, depth=1).shown()] == ["blocks.0"]
    assert len(list(view(found, 3, depth=2).shown())) == 5


def test_a_pattern_that_repeats_is_one_frame() -> None:
    """Of any period."""
    layers = [layer for _ in range(5) for layer in (nn.Linear(8, 8), nn.ReLU())]
    shown = view(traced(nn.Sequential(*layers, nn.Linear(8, 1))), 60)
    run, last = shown.root.children
    assert (run.run, run.times, len(run.children), last.times) == (True, 5, 2, 1)
    assert edges(shown) == {("0", "0"), ("0", "1"), ("1", "10"), ("10", "output")}


def test_a_long_flat_module_stays_readable() -> None:
    """Its layers all differ, so that none can be folded."""
    widths = [8 + i for i in range(151)]
    flat = nn.Sequential(*itertools.starmap(nn.Linear, itertools.pairwise(widths)))
    drawn = picture(traced(flat), "Flat", HERE, Limits(60, None, 60.0))
    assert drawn.nodes <= 60
    assert drawn.legible


def test_the_u_net_looks_like_one() -> None:
    """Four bridges, and the decoder climbs."""
    shown = view(traced(UNet(widths=(4, 8, 16, 32, 64)), IMAGE), 60)
    levels = Levels.of(shown)
    assert {(told(a), told(b)) for a, b in levels.bridges} == {
        (name, "cat") for name in ("stem", "encoder.0", "encoder.1", "encoder.2")
    }
    assert levels.bottom is not None
    assert told(levels.bottom) == "encoder.3"
    assert {"upsample.0", "decoder.3", "head", "output"} <= {told(item) for item in levels.ascent}
    text = source(shown, "UNet")
    assert text.count("dir=back") == len(shown.edges) - 4 - 9  # of the way down there are 9


def test_a_module_called_twice_is_drawn_twice() -> None:
    """Where something lies between the calls; its MACs are shared between them."""
    shared = nn.Linear(8, 8)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.act = shared, nn.Tanh()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"out": self.shared(self.act(self.shared(x)))}

    shown = view(traced(Twice()), 60)
    assert [told(item) for item in shown.shown()] == ["shared", "act", "shared"]
    assert [item.macs for item in shown.shown()] == [128, 0, 128]


def hostile() -> Trace:
    """Follow a model whose names mean something to DOT and HTML."""
    inner = nn.Linear(8, 8)
    type(inner)  # the class is renamed below, not nn.Linear itself
    strange = type('"<b>&\\N', (nn.Sequential,), {})(inner)
    model = nn.Sequential()
    model.add_module('<script>alert("1")</script>\\', strange)
    model.add_module("{a|b}", nn.ReLU())
    return traced(model)


def test_names_cannot_break_out() -> None:
    """Of DOT or of SVG, in titles neither."""
    drawn = picture(hostile(), "<i>&", HERE, Limits(60, 2, 20.0))
    root = ET.fromstring(drawn.files["svg"])
    text = "".join(root.itertext())
    assert '<script>alert("1")</script>\\' in text.replace("\u00a0", " ")
    assert "<i>&: 72 params" in text.replace("\u00a0", " ")
    assert not [e for e in root.iter() if e.tag.rpartition("}")[2] in {"script", "i", "b"}]


def test_a_picture_that_is_too_large_is_drawn_with_fewer_nodes() -> None:
    """So that its text can be read when it is seen whole."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(*(nn.Linear(width + i, width + i + 1) for i in range(8)))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.body(x)
            return out

    class Stack(nn.Sequential):
        pass

    found = traced(Stack(*(Block(8 + 8 * i) for i in range(6))))
    drawn = picture(found, "Stack", HERE, Limits(60, None, 20.0))
    assert drawn.legible
    assert drawn.nodes == 8
    large = picture(found, "Stack", HERE, Limits(60, 3, 20.0))
    assert not large.legible
    assert large.nodes == 50


@pytest.mark.timing
def test_a_layout_that_takes_too_long_is_ended() -> None:
    """With the reason, and so is one that cannot be run at all."""
    dense = " ".join(f"{a} -> {b};" for a in range(60) for b in range(a))  # seconds of work
    with pytest.raises(LayoutError, match=r"did not finish in 0\.01 s"):
        HERE.draw(f"digraph {{{dense}}}", "svg", 0.01)
    with pytest.raises(LayoutError, match="pip install graphviz-pure"):
        Layout("/nowhere/dot").draw("digraph {a -> b}", "svg", 5)
    with pytest.raises(LayoutError, match="Graphviz failed"):
        HERE.draw("digraph {", "svg", 20)


def test_the_stage_writes_what_the_contract_names(command: Command) -> None:
    """And the picture is not larger than it may be."""
    done = command("model=unet", "test=visualization", "model.build.widths=[4,8,16,32,64]")
    stage = done.results["stages"]["visualization"]
    assert (done.status, stage["warnings"]) == (0, [])
    folder = done.files[0].parent
    names = ["graph/model_graph_UNet.dot", "graph/model_graph_UNet.svg"]
    names += ["graph/model_graph_UNet.png"]
    names += ["graph/autograd_UNet.dot", "graph/autograd_UNet.svg"]
    assert stage["artifacts"] == names
    for name in names:
        assert (folder / name).stat().st_size > 1000
    with Image.open(folder / names[2]) as image:
        assert max(image.size) <= 4000
    assert stage["metrics"]["visualization/nodes"]["value"] == 24
    root = ET.parse(folder / "graph/model_graph_UNet.svg").getroot()
    width, height = (float(root.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    assert max(width, height) <= LONGEST


def test_without_any_graphviz_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what to install; the stage has its sources."""
    monkeypatch.setattr(Layout, "here", lambda: Layout(None))
    context = Context(torch.device("cpu"), {}, tmp_path, tmp_path, lambda _: None)
    report = Visualization()(workload("model=cnn"), context)
    assert report.artifacts == ["graph/autograd_SimpleCNN.dot"]
    (warning,) = report.warnings
    assert warning == f"SimpleCNN is not drawn: Graphviz was not found; {INSTALL}"
    page = Path(__file__).parent.parent / "docs" / "troubleshooting.md"
    assert INSTALL in page.read_text(encoding="utf-8")


def test_what_takes_too_long_to_draw_leaves_its_source(command: Command) -> None:
    """And the reason; the architecture is missed, the graph of autograd is not."""
    done = command("model=toy", "test=visualization", "test.visualization.layout_s=0.001")
    stage = done.results["stages"]["visualization"]
    assert stage["status"] == "passed"
    assert stage["artifacts"] == ["graph/autograd_Toy.dot"]
    assert stage["warnings"] == ["Toy is not drawn: Graphviz did not finish in 0.001 s"]
    assert "its source is graph/autograd_Toy.dot" in "".join(stage["details"]["notes"])


class Dense(nn.Module):
    """Each layer is told by all before it."""

    def __init__(self, depth: int = 40) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8 * (i + 1), 8) for i in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """Go on from all that is known."""
        known = [x]
        for layer in self.layers:
            known.append(layer(torch.cat(known, 1)))
        return known[-1]


def test_a_dense_autograd_graph_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphviz is given less time for it than for the architecture, which is drawn."""
    given: list[float] = []
    draw = Layout.draw

    def seen(self: Layout, source: str, ending: str, timeout_s: float, dpi: int = 72) -> bytes:
        given.append(timeout_s)
        if "AccumulateGrad" in source:
            raise LayoutError(f"Graphviz did not finish in {timeout_s:g} s")
        return draw(self, source, ending, timeout_s, dpi)

    monkeypatch.setattr(Layout, "draw", seen)
    context = Context(torch.device("cpu"), {}, tmp_path, tmp_path, lambda _: None)
    dense = replace(
        workload("model=toy"), recipe={"_target_": f"{__name__}.Dense"},
        sources={"0": Noise(("batch_size", 8))}, prepare={}, measure=None,
    )  # fmt: skip
    report = Visualization()(dense, context)
    assert given[-1] == 5 < given[0] == 20
    assert "graph/model_graph_Dense.svg" in report.artifacts
    assert "did not finish in 5 s (test.visualization.autograd_layout_s)" in report.notes[-1]


def test_a_model_that_looks_at_numbers_is_drawn_for_real(command: Command) -> None:
    """Which way it took is what is seen."""
    done = command("model=toy", "test=visualization", "model.build._target_=toys.Numbers")
    stage = done.results["stages"]["visualization"]
    assert stage["status"] == "passed", stage["reason"]
    assert stage["metrics"]["visualization/nodes"]["value"] == 3


def test_scripted_parts_are_drawn_as_what_is_around_them() -> None:
    """Hooks cannot see into them, nor be registered there."""
    model = idioms.Scripted()
    batch = Batch((torch.rand(2, 3, 8, 8),), {})
    shown = view(traced(model, batch), 60)
    assert [told(item) for item in shown.shown()]
    assert all("ScriptModule" not in item.first.kind for item in shown.shown())


def test_a_model_that_gives_a_generator_has_a_reason(command: Command) -> None:
    """No picture, and no failure."""
    done = command("model=toy", "test=visualization", "model.build._target_=toys.Lazy")
    stage = done.results["stages"]["visualization"]
    assert stage["status"] == "skipped"
    assert "Lazy" in stage["reason"]


def test_wrong_settings_are_configuration_errors(command: Command) -> None:
    """Each with what was expected."""
    done = command("model=toy", "test=visualization", "test.visualization.nodes=3")
    assert done.status == 1
    assert "nodes=3: expected 10 or more" in done.err
    done = command("model=toy", "test=visualization", "test.visualization.depth=0")
    assert "depth=0: expected 1 or more, or null" in done.err
    done = command("model=toy", "test=visualization", "test.visualization.layout=3")
    known = "(known: autograd, autograd_layout_s, depth, layout_s, nodes, timeout_s)"
    assert f"unknown key; did you mean layout_s? {known}" in done.err


def test_text_is_legible_by_the_formula() -> None:
    """At 1,600 pixels for the whole, 14 points are 9 pixels."""
    assert math.isclose(14 * 1600 / LONGEST, 9)


def test_the_graph_of_a_deep_network_is_followed_to_its_end() -> None:
    """Of 600 layers in a row, for each of which torchviz calls itself anew."""
    layers = [nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(600)]
    model, batch = nn.Sequential(*layers), Batch((torch.ones(1, 2),), {})
    workload = Workload("deep", {}, torch.device("cpu"), {}, {})
    assert autograd(workload, model, batch).operations > 1200
