"""What a checkpoint of transformers or diffusers is, told from its configuration alone.

Imports neither torch nor these libraries: a command line is checked with what stands here.
"""

from __future__ import annotations

from pathlib import Path

from modelbench.config.checkpoint import fetch
from modelbench.models.huggingface.diffusion import describe_model, describe_pipeline
from modelbench.models.huggingface.files import Files, Keys
from modelbench.models.huggingface.transformer import describe_transformer


def describe(checkpoint: str | None, weights: str, trust_remote_code: bool) -> Keys:
    """Return the keys of the YAML that describes a checkpoint, a folder or an id on the hub.

    Raises ValueError for one that is not understood, LookupError for one that cannot be had.
    """
    if checkpoint is None:
        raise ValueError(
            "model.checkpoint: missing; expected a folder written by save_pretrained, or a Hub id"
        )
    folder = Path(fetch(str(checkpoint), weights=False, code=trust_remote_code))
    if folder.is_file():
        raise ValueError(f"model.checkpoint={checkpoint}: is a file; expected the folder it is in")
    found = Files(folder, str(checkpoint), weights, trust_remote_code)
    if (folder / "model_index.json").is_file():
        keys = describe_pipeline(found)
    else:
        config = found.read("config.json")
        one = describe_model if "_class_name" in config else describe_transformer
        keys = one(found, config)
    return {"name": Path(str(checkpoint)).name, **keys}
