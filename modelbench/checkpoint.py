"""Where trained weights come from: a folder, a file, or a hub. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
PARTS = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""What is fetched from a hub: never a pickle, never code."""


def mistakes(model: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong with `model.checkpoint`, as far as the disk can tell."""
    checkpoint = model["checkpoint"]
    if model["weights"] != "pretrained":
        return
    if checkpoint is None:
        yield "model.weights=pretrained: expected model.checkpoint=FOLDER_FILE_OR_HUB_ID"
        return
    path = Path(checkpoint)
    if path.is_dir():
        yield from _folder(path)
    elif path.is_file():
        yield from _file(path)
    elif path.is_absolute() or checkpoint.startswith(".") or checkpoint.count("/") > 1:
        yield f"model.checkpoint={checkpoint}: there is no such folder or file"


def fetch(checkpoint: str) -> str:
    """Give the folder or file of a checkpoint, fetched from the hub where it is not on this disk.

    Raises LookupError with what was looked for, where, and how to get it.
    """
    if Path(checkpoint).exists():
        return checkpoint
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return snapshot_download(checkpoint, allow_patterns=PARTS, local_files_only=True)
    except LocalEntryNotFoundError:
        pass  # not here yet
    try:
        return snapshot_download(checkpoint, allow_patterns=PARTS)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = str(error).partition("\n")[0]
        raise LookupError(
            f"model.checkpoint={checkpoint}: no such folder here, not in the cache {HF_HUB_CACHE}, "
            f"and the hub did not give it ({why}); where there is a network, run "
            f"'hf download {checkpoint}', and copy the folder or the cache here"
        ) from error


def _folder(path: Path) -> Iterator[str]:
    if not (path / "config.json").is_file():
        yield f"model.checkpoint={path}: has no config.json; expected what save_pretrained writes"
    tensors = sorted(path.glob("*.safetensors"))
    if not tensors:
        pickles = [file.name for file in path.iterdir() if file.suffix in PICKLES]
        found = f"only {', '.join(pickles)}, a pickle, which could run any code" if pickles else ""
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
        yield f"model.checkpoint: {path} is damaged or cut short ({error}); fetch it again"
