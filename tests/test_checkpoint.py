"""Trained weights are those that were saved, from files that cannot run code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from checkpoints import gpt2
from conftest import Command
from safetensors.torch import save_file
from test_workload import workload
from torch import nn

from modelbench.models.cnn import SimpleCNN

PRETRAINED = "model.weights=pretrained"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a checkpoint as `save_pretrained` writes it."""
    gpt2().save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def same(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two models have the same weights."""
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.mark.slow
def test_a_folder_of_transformers(folder: Path, command: Command) -> None:
    """Architecture and weights are the checkpoint's, and it is measured."""
    loaded = workload("model=gpt2", PRETRAINED, f"model.checkpoint={folder}").build()
    assert isinstance(loaded, transformers.GPT2LMHeadModel)
    assert same(loaded, gpt2())
    assert not loaded.training
    words = ["sequence_length=16", "model.new_tokens=2", "test.benchmark.min_s=0.1"]
    words.append("test=[structure,benchmark]")
    done = command("model=gpt2", PRETRAINED, f"model.checkpoint={folder}", *words)
    assert done.status == 0
    params = done.results["stages"]["structure"]["metrics"]["structure/params"]["value"]
    assert params == sum(p.numel() for p in gpt2().parameters())


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_state_dict_in_a_file(name: str, tmp_path: Path) -> None:
    """Of a model of our own; the seed has no part in it."""
    torch.manual_seed(7)
    saved = SimpleCNN()
    save: Any = save_file if name.endswith("safetensors") else torch.save
    save(saved.state_dict(), tmp_path / name)
    words = ["model=cnn", PRETRAINED, f"model.checkpoint={tmp_path / name}"]
    assert same(workload(*words).build(), saved)
    with pytest.raises(ValueError, match=r"does not fit: .*size mismatch for classifier.weight"):
        workload(*words, "model.num_classes=7").build()


class _Evil:
    """What a pickle could do."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("evil",)


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`weights_only` refuses what is no tensor."""
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": _Evil()}, tmp_path / "weights.pt")
    with pytest.raises(pickle.UnpicklingError):
        workload("model=cnn", PRETRAINED, f"model.checkpoint={tmp_path / 'weights.pt'}").build()
    assert not (tmp_path / "evil").exists()


def spoil(folder: Path, how: str) -> None:
    """Do to a checkpoint what happens to checkpoints."""
    weights = folder / "model.safetensors"
    if how == "no config":
        (folder / "config.json").unlink()
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "pickle":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif how == "empty":
        weights.unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", "has no config.json; expected a folder written by save_pretrained"),
        ("cut", "model.safetensors is corrupt or truncated"),
        ("pickle", "only pytorch_model.bin, a pickle, which can run any code"),
        ("empty", "has no .safetensors file; model.save_pretrained(FOLDER) writes one"),
    ],
)
def test_what_is_wrong_with_a_folder(
    how: str, message: str, folder: Path, command: Command
) -> None:
    """Said before anything is built, in one line."""
    spoil(folder, how)
    done = command("model=gpt2", "test=structure", PRETRAINED, f"model.checkpoint={folder}")
    assert done.status == 1
    assert message in done.err
    assert "a configuration error" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected model.checkpoint=FOLDER_FILE_OR_HUB_ID"),
        (["model.checkpoint=/no/such/folder"], "no such folder or file"),
        (["model.checkpoint=no-such-owner-here/no-such-model"], "run 'hf download no-such-owner"),
    ],
    ids=["none", "folder", "hub"],
)
def test_a_checkpoint_that_is_not_there(words: list[str], message: str, command: Command) -> None:
    """What was looked for, where, and how to get it."""
    done = command("model=gpt2", "test=structure", PRETRAINED, *words)
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err
