"""What a class of transformers is for: which phases it has, and what it is trained to."""

from __future__ import annotations

import re

from modelbench.models.huggingface.files import Keys, like
from modelbench.models.huggingface.subject import Subject

LOSSES = (
    (r"ForCTC$", "ctc"),
    (r"ForMaskedLM$", "same_token"),
    (r"(Sequence|Token|Image|Video|Audio|AudioFrame)\w*Classification\w*$", "classes"),
    (r"For(SemanticSegmentation|ImageSegmentation)$", "brightness"),
    (r"Detection$", "nothing_there"),
    (r"ForDepthEstimation$", "depth"),
    (r"ForMultipleChoice$", "classes"),
    (r"ForQuestionAnswering$", "first_place"),
)
"""Ending of a class, and its loss."""


def task(subject: Subject) -> Keys:
    """Return phases and loss, and other keys of the YAML that go with them."""
    name = subject.kind.name
    if subject.generates and subject.decodes:
        return _seq2seq()
    headless = name.endswith("Model") and not name.endswith("LMHeadModel")
    if subject.generates and "input_ids" in subject.takes and not headless:
        return like("gpt2", "new_tokens", "phases", "loss")
    contrast = [s for s in ("image", "audio") if subject.kind.has(f"get_{s}_features")]
    if contrast and subject.kind.has("get_text_features") and "input_ids" in subject.takes:
        return _contrast(subject, contrast[0])
    loss = next((loss for ending, loss in LOSSES if re.search(ending, name)), None)
    return {"loss": {"_target_": f"modelbench.losses.{loss}"}} if loss else {}


def _seq2seq() -> Keys:
    phases = {
        "encode": {"_target_": "modelbench.phases.seq2seq.encode"},
        "decode": {"_target_": "modelbench.phases.seq2seq.Decoding"},
        "generate": {
            "_target_": "modelbench.phases.seq2seq.Generate", "new_tokens": "${model.new_tokens}",
        },
    }  # fmt: skip
    loss = {"_target_": "modelbench.losses.next_token", "tokens": "decoder_input_ids"}
    return {"new_tokens": 32, "phases": phases, "loss": loss}


def _contrast(subject: Subject, sense: str) -> Keys:
    keys = like("clip", "phases", "loss", "learning_rate")
    if sense == "audio":
        keys["phases"]["audio_encode"] = {
            "_target_": "modelbench.phases.contrastive.audio_encode"
        }  # fmt: skip
        del keys["phases"]["image_encode"]
    return keys if subject.says("logits_per_image", "logits_per_audio") else {}
