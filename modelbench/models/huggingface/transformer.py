"""The models of transformers: what each takes follows from its class and its configuration."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from modelbench.models.huggingface import audio, series, text, vision
from modelbench.models.huggingface.files import Files, Keys, not_understood
from modelbench.models.huggingface.library import Class, Package, package
from modelbench.models.huggingface.settings import Settings, config_class
from modelbench.models.huggingface.subject import Inputs, Subject
from modelbench.models.huggingface.tasks import task

SOUNDS = ("input_features", "input_values", "audio_values", "audio", "audio_mel", "spectrogram")
MOST = 12
"""Ways of giving the input that are tried, at most."""


def describe_transformer(found: Files, config: Keys) -> Keys:
    """Describe a model by its class, which its configuration names."""
    name, where = _class_name(found, config)
    subject = Subject(found, Settings(config), _class(found, config, where))
    ways = _ways(subject)
    if not ways or not subject.takes:
        taken = subject.takes.values()
        raise ValueError(not_understood(found, "transformers", where, taken, subject.main))
    keys = task(subject)
    axes, limits = _axes(subject, ways)
    if "new_tokens" in keys:
        limits["new_tokens"] = {}
        room = limits.get("sequence_length", {}).get("max", 1 << 30) - keys["new_tokens"]
        axes["sequence_length"] = min(axes["sequence_length"], max(1, room))
    return {
        "build": found.recipe("transformers", name),
        "axes": {"batch_size": 1, **axes},
        "limits": limits,
        "inputs": ways[0],
        **({"alternatives": ways[1:]} if len(ways) > 1 else {}),
        **({"classes": names} if (names := _classes(config)) else {}),
        **keys,
    }


def _classes(config: Keys) -> list[str]:
    """Return the names of the classes, unless they are those that transformers makes up."""
    named = {int(place): str(name) for place, name in (config.get("id2label") or {}).items()}
    made_up = all(name == f"LABEL_{place}" for place, name in named.items())
    return [] if made_up else [named[place] for place in sorted(named)]


def _class_name(found: Files, config: Keys) -> tuple[str, str]:
    """Return the class that is built, and the one whose code tells what it takes."""
    named = (config.get("architectures") or [None])[0]
    code = config.get("auto_map", {})
    own = [auto for auto in code if auto.startswith("AutoModel")]
    if own and not found.trust_remote_code:
        files = sorted({str(place).rpartition("--")[2].split(".")[0] for place in code.values()})
        raise ValueError(
            f"model.checkpoint={found.told}: needs its own code ({', '.join(files)}.py), which is "
            "run only with model.trust_remote_code=true; read it first"
        )
    if own:
        auto = next((auto for auto in own if auto != "AutoModel"), own[0])
        return auto, str(code[auto]).rpartition("--")[2]
    if named is None:
        raise ValueError(
            f"model.checkpoint={found.told}: its config.json names no architectures, so its class "
            "is unknown; a model's save_pretrained writes them"
        )
    return str(named), str(named)


def _class(found: Files, config: Keys, where: str) -> Class:
    """Find the code of a class; raises ValueError where there is none."""
    if "." in where:  # the checkpoint's own: file.Class
        module, _, name = where.rpartition(".")
        kind = Package(found.folder).find(name, found.folder / f"{module}.py")
        if kind is None:
            raise ValueError(f"model.checkpoint={found.told}: there is no {name} in {module}.py")
        return kind
    library = package("transformers")
    if library is None:
        raise ValueError(
            "model=huggingface: transformers is not installed; pip install transformers"
        )
    near = config_class(config.get("model_type"))
    files = _modeling(near.file) if near else []
    kind = next((k for file in files if (k := library.find(where, file))), None)
    kind = kind or library.search("models/*/modeling_*.py", where)
    if kind is None:
        raise ValueError(
            f"model.checkpoint={found.told}: transformers has no class {where}; a newer version "
            "may have it (pip install -U transformers)"
        )
    return kind


def _modeling(configuration: Path) -> list[Path]:
    own = configuration.with_name(configuration.name.replace("configuration_", "modeling_"))
    others = sorted(configuration.parent.glob("modeling_*.py"))
    return [own, *(file for file in others if file != own)]


def _ways(subject: Subject) -> list[Inputs]:
    """Return whole inputs, the most likely first; none where it takes what cannot be told."""
    if "past_values" in subject.takes:
        return series.series(subject)
    given, senses = _senses(subject)
    if _reads(subject, given):
        senses.append(_texts(subject, given))
    if subject.decodes and senses:
        alone: list[Inputs] = [] if subject.takes["decoder_input_ids"].required else [{}]
        senses.append([text.decoder_tokens(subject), *alone])
    ways = [_joined(parts) for parts in product(*senses)] if senses else []
    if subject.decodes:  # those in which the decoder is given its own text, first
        ways.sort(key=lambda way: "decoder_input_ids" not in way)
    if given and subject.main == "input_ids":  # last, the text alone
        written = text.decoder_tokens(subject) if subject.decodes else {}
        ways = [*ways[: MOST - 1], text.tokens(subject) | written]
    needed = {argument.name for argument in subject.takes.values() if argument.required}
    return [way for way in ways if needed <= way.keys()][:MOST]


def _senses(subject: Subject) -> tuple[str | None, list[list[Inputs]]]:
    """Return what it takes beside text: which sense a text has placeholders for, and the ways."""
    told, main, takes = subject.modalities, subject.main, subject.takes
    sees = [name for name in vision.IMAGES if name in takes]
    sounds = [name for name in SOUNDS if name in takes]
    given: str | None = None
    senses: list[list[Inputs]] = []
    if sees and ({"image", "video"} & told or main in sees or subject.wants(sees[0])):
        given, senses = "image", [vision.images(subject)]
    elif any(subject.wants(name) for name in vision.VIDEOS):
        senses = [vision.videos(subject)]
    elif {"hidden_states", "grid_thw"} <= takes.keys():
        senses = [vision.images(subject)]
    heard = sounds and (("audio" in told and given is None) or main in sounds)
    if heard or (sounds and subject.wants(sounds[0])):
        senses.append(audio.sounds(subject, main if main in sounds else sounds[0]))
        given = given or "audio"
    return given, senses


def _reads(subject: Subject, given: str | None) -> bool:
    wanted = subject.wants("input_ids") or (given and "text" in subject.modalities)
    return "input_ids" in subject.takes and bool(wanted)


def _texts(subject: Subject, given: str | None) -> list[Inputs]:
    placed = given and any(subject.settings.has(key) for key in text.SEEN[given])
    if not given or not placed:
        return [text.tokens(subject)]
    grid = {"image_grid_thw", "grid_thw", "image_grid_hws"} & subject.takes.keys()
    patch, merge = vision.merged_patch(subject)
    return [text.prompt(subject, given, patch * merge if grid else None)]


def _axes(subject: Subject, ways: list[Inputs]) -> tuple[Keys, Keys]:
    """Return the axes that the sources have, with their sizes and limits."""
    first = ways[0]
    targets = {str(node["_target_"]).rpartition(".")[2] for way in ways for node in way.values()}
    found: list[Keys] = []
    if targets & {"Image", "Video", "Patches"}:
        found.append(vision.axes(subject, frames="Video" in targets))
    if targets & {"Audio", "Spectrogram"}:
        found.append(audio.axes(subject, first))
    if targets & {"Tokens", "Prompt"}:
        found.append(text.axes(subject))
    axes = {axis: size for each in found for axis, size in each["axes"].items()}
    limits = {axis: limit for each in found for axis, limit in each["limits"].items()}
    return axes, limits


def _joined(parts: tuple[Inputs, ...]) -> Inputs:
    return {name: node for part in parts for name, node in part.items()}
