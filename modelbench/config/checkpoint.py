"""Where trained weights come from: a folder, a file, or a hub. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelbench.config.download import fetch_url, hub_file

PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
CONFIGURATION = ["*.json", "*.txt", "*.model"]
"""What describes a model: its configuration, tokenizer and image processor."""
DOUBLES = ["*.fp16.*", "*non_ema*", "safety_checker/*"]
"""Weights in a pipeline that are there twice, or not wanted."""


def errors(model: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong with `model.checkpoint`, as far as the disk can tell."""
    checkpoint = model["checkpoint"]
    if model["weights"] != "pretrained":
        if checkpoint is not None and model["describe"] is None:
            yield (
                f"model.checkpoint={checkpoint}: model.weights={model['weights']} loads none; "
                "expected model.weights=pretrained"
            )
        return
    if checkpoint is None:
        yield "model.weights=pretrained: expected model.checkpoint=FOLDER_FILE_OR_HUB_ID"
        return
    path = Path(checkpoint)
    if hub_file(checkpoint) is not None:
        return  # fetched, or said to be out of reach, before the job starts
    if path.is_dir():
        yield from _folder(path)
    elif path.is_file():
        yield from _file(path)
    elif _no_hub_id(checkpoint):
        yield f"model.checkpoint={checkpoint}: no such folder or file"


def fetch(checkpoint: str, *, weights: bool, code: bool = False) -> str:
    """Return the folder or file of a checkpoint, fetched from the hub where it is not on this disk.

    Without `weights` the configuration is enough. Never fetches a pickle, and code only where it
    is asked for. Raises LookupError with what was looked for, where, and how to get it.
    """
    if Path(checkpoint).exists():
        return checkpoint
    if hub_file(checkpoint) is not None:
        return str(fetch_url(checkpoint))
    if _no_hub_id(checkpoint):
        raise LookupError(f"model.checkpoint={checkpoint}: no such folder or file")
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [*CONFIGURATION, *(["*.py"] if code else [])]
    try:
        folder = snapshot_download(checkpoint, allow_patterns=wanted, local_files_only=True)
        if not weights or any(Path(folder).rglob("*.safetensors")):
            return folder
    except LocalEntryNotFoundError:
        pass  # not here yet
    try:
        folder = snapshot_download(checkpoint, allow_patterns=wanted)
        if weights:
            # A pipeline's folder may have its weights once more, as one file at the top.
            several = (Path(folder) / "model_index.json").is_file()
            tensors = ["*/*.safetensors" if several else "*.safetensors"]
            folder = snapshot_download(checkpoint, allow_patterns=tensors, ignore_patterns=DOUBLES)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = str(error).partition("\n")[0]
        raise LookupError(
            f"model.checkpoint={checkpoint}: no such folder, not in the cache {HF_HUB_CACHE}, "
            f"and could not be downloaded from the Hub ({why}); with network access, run "
            f"'hf download {checkpoint}', and copy the folder or the cache here"
        ) from error
    return folder


def _no_hub_id(checkpoint: str) -> bool:
    return Path(checkpoint).is_absolute() or checkpoint[:1] == "." or checkpoint.count("/") > 1


def _folder(path: Path) -> Iterator[str]:
    if (path / "model_index.json").is_file():  # a pipeline, with a folder for each model
        for part in sorted(path.glob("*/config.json")):
            if part.parent.name != "safety_checker":
                yield from _folder(part.parent)
        return
    if not (path / "config.json").is_file():
        yield (
            f"model.checkpoint={path}: has no config.json; expected a folder written by "
            "save_pretrained"
        )
    tensors = sorted(path.glob("*.safetensors"))
    if not tensors:
        pickles = [file.name for file in path.iterdir() if file.suffix in PICKLES]
        found = f"only {', '.join(pickles)}, a pickle, which can run any code" if pickles else ""
        yield (
            f"model.checkpoint={path}: has no .safetensors file{', ' if found else ''}{found}; "
            "model.save_pretrained(FOLDER) writes one"
        )
    for file in tensors:
        yield from _file(file)


def _file(path: Path) -> Iterator[str]:
    """Read a file's header, which tells how long the file must be."""
    if path.suffix != ".safetensors":
        return  # a state dict, which torch reads with weights_only=True
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return
    except (SafetensorError, OSError) as error:
        yield f"model.checkpoint: {path} is corrupt or truncated ({error}); download it again"
