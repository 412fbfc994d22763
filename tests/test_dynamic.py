"""The dynamic stage finds which sizes a model takes, and what they cost."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Command

from modelbench.stages.dynamic.growth import Power
from modelbench.stages.dynamic.search import find_constraints

SEARCH, CALL = "test.dynamic.search_s=10", "test.dynamic.call_s=1000000"


def stage_of(command: Command, *words: str) -> dict[str, Any]:
    """Run the stage on a planted model."""
    done = command("model=planted", "test=dynamic", "test.dynamic.batch_size=[1,2]", SEARCH, *words)
    stage: dict[str, Any] = done.results["stages"]["dynamic"]
    assert done.status == (stage["status"] == "failed")
    assert "Traceback" not in done.out + done.err
    return stage


def told(stage: dict[str, Any], axis: str) -> str:
    """Return the sentence about an axis."""
    (note,) = (n for n in stage["details"]["notes"] if n.startswith(f"{axis}: "))
    return str(note)


def values(stage: dict[str, Any]) -> dict[str, float]:
    """Return the metrics by their short names."""
    return {name.partition("/")[2]: m["value"] for name, m in stage["metrics"].items()}


def test_a_sound_model_takes_any_size(command: Command) -> None:
    """With the curves and exact MACs, which grow as the square."""
    sizes = "test.dynamic.image_size=[8,16,32]"
    stage = stage_of(command, sizes, "test.dynamic.export=true")
    assert stage["status"] == "passed"
    # How far it is run depends on how quick the machine is.
    sentence = r"any size from 1 up \(run up to [\d,]+, shape-only up to 2,048\); also non-square"
    assert re.search(sentence, told(stage, "image_size"))
    assert "the same alone and in a batch" in told(stage, "batch_size")
    macs = stage["curves"]["dynamic/image_size/macs_g"]
    batch = 2
    assert macs == {str(s): batch * (s * s * 3 * 4 * 9 + 4 * 5) / 1e9 for s in (8, 16, 32)}
    assert set(stage["curves"]["dynamic/image_size/p50_ms"]) == {"8", "16", "32"}
    found = values(stage)
    assert (found["passed"], found["failed"]) == (5, 0)
    assert found["image_size/macs_exponent"] == pytest.approx(2, abs=0.01)
    assert "torch.export works, batch_size, image_size dynamic" in stage["details"]["notes"]
    assert "plots/dynamic-image_size.png" in stage["artifacts"]


def test_a_model_that_takes_multiples_of_8(command: Command) -> None:
    """The divisor, the limits, and each wrong size with its error."""
    sizes = "test.dynamic.image_size=[24,30,32,128]"
    stage = stage_of(command, "model.build._target_=planted.Eights", sizes)
    assert "any multiple of 8 from 16 to 64 (8 and 72 do not work)" in told(stage, "image_size")
    found = values(stage)
    assert (found["image_size/divisor"], found["image_size/smallest"]) == (8, 16)
    assert found["image_size/largest"] == 64
    assert (found["passed"], found["failed"]) == (4, 2)
    assert "image_size=30: ValueError: cannot take 30 pixels" in stage["warnings"]
    assert stage["status"] == "passed"


@pytest.mark.parametrize(
    ("name", "size", "wanted"),
    [
        ("Early", 299, "any size from 75 up (74 does not work; run up to "),
        (
            "Late",
            128,
            "any size from 1 to 2,048 (2,049 does not work); also non-square",
        ),
        # What shapes alone do not show, and what cannot be run on shapes alone.
        ("Positions", 32, "any size from 1 to 100 (101 does not work); also non-square"),
        ("Numbers", 32, "any size from 5 to 50 (4 and 51 do not work)"),
    ],
)
def test_borders_are_found_far_away_and_run(
    command: Command, name: str, size: int, wanted: str
) -> None:
    """The sentence names both sides, says what the runs have shown, and how far they went."""
    words = (f"image_size={size}", "batch_size=1", "test.dynamic.memory_mib=400", CALL)
    stage = stage_of(command, f"model.build._target_=planted.{name}", *words)
    assert stage["status"] == "passed"
    assert wanted in told(stage, "image_size")
    least, greatest = {"Early": (75, None), "Numbers": (5, 50), "Positions": (1, 100)}.get(
        name, (1, 2048)
    )
    found = values(stage)
    assert found["image_size/smallest"] == least
    assert greatest in (None, found["image_size/largest"])


def test_nothing_is_foreseen_of_a_size_that_a_run_has_ruled_out(command: Command) -> None:
    """Shapes alone show no limit of 100, and the largest on shapes is too slow to be run."""
    words = ("image_size=32", "batch_size=1", "test.dynamic.call_s=0.05")
    stage = stage_of(command, "model.build._target_=planted.Positions", *words)
    said = told(stage, "image_size")
    greatest = re.search(r"to ([\d,]+) \([\d,]+ does not work", said)
    estimated = re.search(r"([\d,]+) takes [\d,]+ MiB \(estimated; not run", said)
    assert greatest is None or estimated is None


def test_limits_and_the_sentence_do_not_contradict_each_other(command: Command) -> None:
    """What the model takes beyond its limits is said, and what it does not take within them."""
    limits = "model.limits={image_size: {multiple_of: 16, max: 96}}"
    stage = stage_of(command, "model.build._target_=planted.Eights", limits)
    said = told(stage, "image_size")
    assert "any multiple of 8 from 16 to 64 (8 and 72 do not work)" in said
    assert "model.limits allows only multiples of 16 from 16 to 96" in said
    assert "model.limits allows image_size=96, which does not work" in stage["warnings"]


def test_a_model_that_takes_one_size(command: Command) -> None:
    """It is said, and no failure."""
    stage = stage_of(command, "model.build._target_=planted.OneSize")
    assert "image_size: 32 only" in told(stage, "image_size")
    assert stage["status"] == "passed"


def test_a_batch_leak_fails(command: Command) -> None:
    """Alone a sample has other statistics."""
    stage = stage_of(command, "model.build._target_=planted.Leaks")
    assert stage["status"] == "failed"
    assert "differs when it is run alone and in a batch" in stage["reason"]


def test_a_size_that_ends_the_process_ends_no_other(command: Command) -> None:
    """What came before and what comes after is measured."""
    sizes = "test.dynamic.image_size=[32,48,64]"
    stage = stage_of(command, "model.build._target_=planted.Dies", sizes)
    assert "image_size=48: the process exited with status 7" in stage["warnings"]
    assert set(stage["curves"]["dynamic/image_size/p50_ms"]) == {"32", "64"}


def test_a_model_that_works_at_no_size_fails(command: Command) -> None:
    """With the usual sizes, and each error in one line."""
    stage = stage_of(command, "model.inputs.images.channels=4")
    assert stage["status"] == "failed"
    assert "no size of batch_size, image_size works; the defaults are batch" in stage["reason"]
    assert any(
        w.startswith("image_size=32: RuntimeError: Given groups=1") for w in stage["warnings"]
    )
    assert any(
        "sizes are tried only by running the model" in note for note in stage["details"]["notes"]
    )


def test_what_needs_too_much_is_not_run(command: Command) -> None:
    """It is estimated, and so is the largest that fits, which is run."""
    words = ("test.dynamic.image_size=[32,64,128,2048]", "test.dynamic.memory_mib=20", CALL)
    stage = stage_of(command, *words)
    said = told(stage, "image_size")
    assert "2,048 needs 0.7 GiB and was not run (test.dynamic.memory_mib)" in said
    largest = values(stage)["image_size/largest"]
    assert 128 < largest < 2048
    assert f"{int(largest):,} takes 20 MiB (estimated" in said


def test_a_text_model(command: Command) -> None:
    """Positions end; a mask covers padding."""
    words = ("test.dynamic.sequence_length=[32,1024,1100]", "test.dynamic.batch_size=[1]")
    small = ("n_layer: 1", "n_head: 2", "n_embd: 16", "vocab_size: 300")
    config = "{_target_: transformers.GPT2Config, " + ", ".join(small) + "}"
    done = command(
        "model=gpt2", "test=dynamic", f"model.build.config={config}", "sequence_length=32",
        "model.inputs.input_ids.vocab_size=300", SEARCH, CALL, *words,
    )  # fmt: skip
    stage = done.results["stages"]["dynamic"]
    assert "any size from 1 to 1,024 (1,025 does not work)" in told(stage, "sequence_length")
    assert "the same with and without trailing padding" in told(stage, "sequence_length")
    assert any(w.startswith("sequence_length=1100: IndexError") for w in stage["warnings"])


def test_wrong_lists_are_configuration_errors(command: Command) -> None:
    """Zero, a negative size, text, each said before anything runs."""
    for given, wanted in (
        ("[0]", "expected more than 0"),
        ("[-8]", "more than 0"),
        ("[a]", "Integer"),
    ):
        done = command("test=dynamic", f"test.dynamic.image_size={given}")
        assert done.status == 1
        assert wanted in done.err
        assert "test.dynamic.image_size" in done.err or "image_size=" in done.err
        assert done.files == []


@pytest.mark.parametrize(
    ("works", "size", "wanted"),
    [
        (lambda n: n % 16 == 0, 256, "any multiple of 16 from 16 up (tried up to 16,384)"),
        (lambda n: True, 32, "any size from 1 up (tried up to 2,048)"),
        (lambda n: n >= 53, 224, "any size from 53 up (52 does not work; tried up to 14,336)"),
        (lambda n: n >= 75, 299, "any size from 75 up (74 does not work; tried up to 19,136)"),
        (lambda n: n <= 2048, 128, "any size from 1 to 2,048 (2,049 does not work)"),
        (lambda n: n == 224, 224, "224 only, of the sizes tried"),
        (
            lambda n: n % 14 == 0 and 28 <= n <= 518,
            224,
            "any multiple of 14 from 28 to 518 (14 and 532 do not work)",
        ),
        (lambda n: n <= 77, 77, "any size from 1 to 77 (78 does not work)"),
        (lambda n: n % 8 == 3, 35, "steps of 8 from 3 up (tried up to 2,235)"),
        (lambda n: n % 128 == 0, 256, "any multiple of 128 from 128 up (tried up to 16,384)"),
        (
            lambda n: n in {224, 448, 672},
            224,
            "any multiple of 224 from 224 to 672 (896 does not work)",
        ),
        (
            lambda n: n.bit_count() == 1,
            32,
            "some multiple of 32 from 32 to 128, but not 96 (160 does not work)",
        ),
        (lambda n: n != 225, 224, "some size from 1 up, but not 225 (tried up to 14,336)"),
        (
            lambda n: n >= 75 or n in {72, 73},
            299,
            "some size from 72 up, but not 74 (71 does not work; tried up to 19,136)",
        ),
    ],
)
def test_needs_are_found_over_the_whole_range(
    works: Callable[[int], bool], size: int, wanted: str
) -> None:
    """Also far from the usual size, windows and holes too, with both sides of each border."""
    assert find_constraints(works, size, lambda: False).told() == wanted


@pytest.mark.parametrize("seed", range(200))
def test_any_two_borders_and_a_step_are_found(seed: int) -> None:
    """Wherever they are, in fewer calls than a tenth of the range."""
    rng = random.Random(seed)
    step = rng.choice([1, 2, 4, 7, 8, 14, 16, 32, 48])
    least = step * rng.randint(1, 40)
    usual = least + step * rng.randint(1, 60)
    greatest = usual + step * rng.randint(0, 900)
    tried: list[int] = []

    def works(n: int) -> bool:
        tried.append(n)
        return n % step == 0 and least <= n <= greatest

    constraints = find_constraints(works, usual, lambda: False, 10**6)
    assert (constraints.step, constraints.divisor) == (step, step)
    assert (constraints.least, constraints.greatest) == (least, greatest)
    assert constraints.holes == constraints.also == []
    assert len(tried) == len(set(tried)) < 140


def test_a_run_has_the_last_word() -> None:
    """What shapes alone have shown on its side is not believed any more."""
    constraints = find_constraints(lambda n: True, 256, lambda: False)
    assert constraints.revised({1024: True}).told(1024) == (
        "any size from 1 up (run up to 1,024, shape-only up to 16,384)"
    )
    limited = constraints.revised({1024: True, 1025: False})
    assert limited.told(1024) == "any size from 1 to 1,024 (1,025 does not work)"
    assert not any(limited.claims(n) for n in (1025, 4096, 16384))
    higher = constraints.revised({1: False, 64: True})
    assert (higher.least, higher.below) == (64, 1)
    assert "none tried between 1 and 64" in higher.told()


def test_a_search_that_has_no_time_says_so() -> None:
    """And claims nothing that it has not seen."""
    found = find_constraints(lambda n: True, 100, lambda: True)
    assert not found.complete
    assert found.told() == "100; no time was left to search for others"
    calls = iter(range(12))
    some = find_constraints(lambda n: n >= 75, 299, lambda: next(calls, None) is None)
    assert some.told().startswith("any size from 107 up (43 does not work; none tried between")
    assert some.told().endswith("tried up to 300; search incomplete)")


def test_a_power_law_is_fitted() -> None:
    """With its exponent's interval; not from two points."""
    fit = Power.of({size: 3.0 * size**1.5 for size in (1, 2, 4, 8)})
    assert fit is not None
    assert fit.exponent == pytest.approx(1.5)
    assert fit.interval[0] == pytest.approx(fit.interval[1]) == pytest.approx(1.5)
    noisy = Power.of({1: 1.0, 2: 2.2, 4: 3.9, 8: 8.1})
    assert noisy is not None
    assert noisy.interval[0] < noisy.exponent < noisy.interval[1]
    assert Power.of({1: 1.0, 2: 2.0}) is None
    assert Power.of({1: 0.0, 2: 2.0, 3: 4.0}) is None


def test_sizes_of_an_axis_that_is_not_there_are_wrong(command: Command) -> None:
    """And so is an empty list."""
    stage = stage_of(command, "test.dynamic.sequence_length=[8]")
    assert "planted has no such axis; it has batch_size, image_size" in stage["reason"]
    done = command("test=dynamic", "test.dynamic.image_size=[]")
    assert "image_size=[]: expected one size or more" in done.err


@pytest.mark.slow
def test_time_may_come_before_samples(command: Command) -> None:
    """A sample is cut where it is."""
    words = ("model=sequence", "test=dynamic", "test.dynamic.batch_size=[1,2]")
    done = command(*words, "test.dynamic.sequence_length=[4,6]")
    stage = done.results["stages"]["dynamic"]
    assert stage["status"] == "passed", stage["reason"]
    assert "the same alone and in a batch" in told(stage, "batch_size")


def test_what_is_random_tells_nothing_of_the_batch(command: Command) -> None:
    """It is warned of, and does not fail."""
    sizes = "test.dynamic.image_size=[32]"
    stage = stage_of(command, "model.build._target_=planted.Random", sizes)
    assert stage["status"] == "passed"
    assert any("changes from call to call in eval mode" in w for w in stage["warnings"])


def test_input_that_fits_nowhere_is_never_made(command: Command) -> None:
    """A million pixels squared are estimated on shapes alone, and not run."""
    stage = stage_of(command, "test.dynamic.image_size=[32,1000000]")
    assert stage["status"] == "passed"
    assert re.search(r"1,000,000 needs [\d,.]+ GiB and was not run", told(stage, "image_size"))


def test_where_nothing_fits_it_is_skipped(command: Command) -> None:
    """Also what would tell more of the axis is not run."""
    stage = stage_of(command, "test.dynamic.memory_mib=0.0001", "test.dynamic.image_size=[32]")
    assert stage["status"] == "skipped"
    assert "every size takes over 0 MiB" in stage["reason"]
