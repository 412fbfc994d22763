"""What a person reads."""

from __future__ import annotations

import io

import pytest
from rich.console import Console as Terminal

from modelbench.results import Metric, Result, Summary
from modelbench.sinks.console import Console
from modelbench.sinks.tables import figure, stage_table, sweep_table


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (31_043_521, "count", "31,043,521"),
        (118.466, "MiB", "118.47"),
        (48.167387, "GMACs", "48.167"),
        (0.010323, "GMACs", "0.0103"),
        (411.2049, "ms", "411.205"),
        (0.0000189, "GMACs", "0.0000189"),
        (0, "ms", "0.000"),
        (-0.05, "dB", "-0.0500"),
        (2.5, "count", "2.500"),
    ],
)
def test_figures_have_the_digits_that_help(value: float, unit: str, text: str) -> None:
    """Thousands apart, few decimals, three digits of what is small."""
    assert figure(Metric(value, unit)) == text


def drawn(thing: object, *, width: int = 100) -> str:
    """Draw something as into a pipe."""
    out = io.StringIO()
    Terminal(file=out, width=width, highlight=False).print(thing)
    return out.getvalue()


def test_parts_are_columns() -> None:
    """Phases side by side, units at the end of the line, absent figures left empty."""
    metrics = {
        "benchmark/load_s": Metric(1.5, "s"),
        "benchmark/prefill/p50_ms": Metric(200, "ms"),
        "benchmark/prefill/p90_ms": Metric(210, "ms"),
        "benchmark/decode/p50_ms": Metric(30, "ms"),
    }
    lines = drawn(stage_table(Result("benchmark", "passed", 3, metrics=metrics))).splitlines()
    assert lines[0] == "benchmark passed in 3.0 s"
    assert lines[1].split() == ["load_s", "1.50", "s"]
    assert lines[2].split() == ["prefill", "decode"]
    assert lines[3].split() == ["p50_ms", "200.000", "30.000", "ms"]
    assert lines[4].split() == ["p90_ms", "210.000", "ms"]


def test_a_reason_is_shown_as_it_is() -> None:
    """Square brackets are no markup."""
    text = drawn(stage_table(Result("x", "failed", 0, "IndexError: [red] [/nothing]")))
    assert "IndexError: [red] [/nothing]" in text


def test_a_sweep_has_a_row_for_each_job() -> None:
    """With what it has: a job that wrote nothing still has its reason."""
    rows = [
        {"job": 0, "model": "cnn", "precision": "fp32", "status": "passed", "reason": None,
         "image_size": 64, "structure/macs_g": 0.04},
        {"job": 1, "status": "failed", "reason": "the job ended before it wrote results.json"},
    ]  # fmt: skip
    text = drawn(sweep_table(rows), width=140)
    assert "image" in text
    assert "size" in text
    assert "0.040" in text
    assert "the job ended before it wrote results.json" in text
    drawn(sweep_table([]))


def test_progress_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never between events: no thread runs beside the model."""
    import threading

    console = Console()
    out = io.StringIO()
    console._terminal = Terminal(file=out, force_terminal=True, width=80)
    before = threading.active_count()
    console.progress("benchmark", "timing [forward]")
    assert threading.active_count() == before
    assert "timing [forward]" in out.getvalue()
    console.close(Summary("passed"))
    console._terminal = Terminal(file=(out := io.StringIO()))
    console.progress("benchmark", "timing forward")
    assert out.getvalue() == ""
