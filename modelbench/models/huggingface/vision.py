"""What a model of transformers sees: images, videos, patches."""

from __future__ import annotations

from modelbench.models.huggingface.files import Keys
from modelbench.models.huggingface.settings import config_class
from modelbench.models.huggingface.subject import Inputs, Subject, source

IMAGES = ("pixel_values", "image", "images", "pixel_values_images", "query_pixel_values")
VIDEOS = ("pixel_values_videos", "video", "videos")
FIXED = ("doesn't match model", "does not match model", "match the model", "match model input")
"""What vision transformers say that learn a position for each patch, and take no other size."""
USUAL, CLIP = 224, 8
"""Pixels and frames where the configuration does not say it."""
LARGEST = 672
"""Pixels of a model that takes any size, and names its greatest."""


def images(subject: Subject) -> list[Inputs]:
    """Return the ways in which a model may take its images, the most likely one first."""
    names = [n for n in IMAGES if n in subject.takes] or [subject.main]
    name, image = names[0], image_source(subject)
    ways: list[Inputs] = []
    if "hidden_states" in subject.takes and "grid_thw" in subject.takes:
        return [_grid(subject, "hidden_states", "grid_thw")]
    if subject.modalities == {"video"} or "VideoClassification" in subject.kind.name:
        ways.append({name: source("Video", image=image)})
    grids = [k for k in ("image_grid_thw", "grid_thw", "image_grid_hws") if k in subject.takes]
    if grids:
        ways.append(_grid(subject, name, grids[0]))
    plain: Inputs = {name: image}
    if "image_sizes" in subject.takes:
        sizes = source("Full", shape=["batch_size", 2], value="image_size")
        ways += [{name: {**image, "several": n}, "image_sizes": sizes} for n in _tiles(subject)]
        ways.append({name: image, "image_sizes": sizes})
    if subject.says("num_images", "image_num_patches", "num_tiles", "pixel_attention_mask"):
        ways += [{name: {**image, "several": 1}}, plain]
    else:
        ways += [plain, {name: {**image, "several": 1}}]
    clips = subject.settings.number("num_frames", "frames_per_clip") is not None
    if (clips or "video" in subject.modalities) and "text" not in subject.modalities:
        ways += [] if "Video" in str(ways[0]) else [{name: source("Video", image=image)}]
    return [way | _further(subject, way) for way in ways]


def videos(subject: Subject) -> list[Inputs]:
    """Return the ways in which a model may take its videos."""
    name = next(n for n in (*VIDEOS, subject.main) if n in subject.takes)
    image = image_source(subject)
    return [{name: source("Video", image=image, channels_first=first)} for first in (None, True)]


def axes(subject: Subject, *, frames: bool) -> Keys:
    """Return the axes of images, and which sizes they may have."""
    found: Keys = {"axes": {}, "limits": {}}
    size = image_size(subject)
    if isinstance(size, int):
        fixed = _fixed(subject)
        grid = {"grid_thw", "image_grid_thw", "image_grid_hws"} & subject.takes.keys()
        if grid:  # patches of any number, merged
            patch, merge = merged_patch(subject)
            step = patch * merge
            size, limit = max(step, min(size, USUAL) // step * step), {"multiple_of": step}
        else:
            size = size if fixed else min(size, LARGEST)
            limit = {"min": size, "max": size} if fixed else {}
        found["axes"]["image_size"], found["limits"]["image_size"] = size, limit
    if frames:
        own = subject.settings.number("num_frames", "frames_per_clip", "num_frames_per_clip")
        found["axes"]["num_frames"] = own or CLIP
    return found


def image_source(subject: Subject) -> Keys:
    """Return the source of images: the checkpoint's processor where there is one."""
    part = subject.settings.within("vision", "image", "encoder", "backbone")
    channels = part.number("num_channels", "in_channels", "in_chans", "image_channels", "channels")
    if channels is None:
        channels = subject.settings.number("num_channels", "in_channels", "num_image_channels")
    found = subject.found.image({"num_channels": channels or 3})
    size = image_size(subject)
    return found | ({} if isinstance(size, int) else {"height": size[0], "width": size[1]})


def image_size(subject: Subject) -> int | tuple[int, int]:
    """Return the side of an image, or height and width where they differ."""
    part = subject.settings.within("vision", "image", "encoder", "backbone")
    value = part.own.get("image_size") or part.own.get("img_size") or part.own.get("input_size")
    if value is None:
        value = subject.settings.find("image_size") or subject.found.image_size() or USUAL
    if isinstance(value, dict):
        value = [value.get("height", USUAL), value.get("width", USUAL)]
    if isinstance(value, list | tuple) and value:
        height, width = (value[0], value[-1]) if len(value) > 1 else (value[0], value[0])
        return int(height) if height == width else (int(height), int(width))
    return value if isinstance(value, int) else USUAL


def merged_patch(subject: Subject) -> tuple[int, int]:
    """Return the side of a patch, and how many beside each other become one token."""
    part = subject.settings.within("vision", "image")
    patch = part.number("patch_size", "spatial_patch_size") or 14
    return patch, part.number("spatial_merge_size", "merge_size", "merge_kernel_size") or 1


def _tiles(subject: Subject) -> list[int]:
    """Return the numbers of tiles beside the whole image, by the resolutions there are."""
    size, grid = image_size(subject), subject.settings.find("image_grid_pinpoints")
    if not isinstance(size, int) or not isinstance(grid, list):
        return []
    areas = [-(-height // size) * -(-width // size) for height, width in grid]
    return [1 + min(areas)] if areas else []


def _fixed(subject: Subject) -> bool:
    """Return whether the part that sees takes images of one size only."""
    part = subject.settings.within("vision", "image", "encoder", "backbone")
    kind = config_class(part.given.get("model_type"))
    beside = sorted(kind.file.parent.glob("modeling_*.py")) if kind else []
    codes = [subject.kind.text, *(kind.beside(file) for file in beside if kind)]
    return any(word in code for code in codes for word in FIXED)


def _grid(subject: Subject, name: str, grid: str) -> Inputs:
    patch, merge = merged_patch(subject)
    part = subject.settings.within("vision", "image")
    temporal = part.number("temporal_patch_size") or 1
    flat = None if not subject.says("grid_hws") else False
    patches = source(
        "Patches", image=image_source(subject), patch=patch, merge=merge, temporal=temporal,
        flat=flat,
    )  # fmt: skip
    counts = source("PatchGrid", patch=patch, frames=None if "thw" in grid else False)
    found = {name: patches, grid: counts}
    if "merge_sizes" in subject.takes:
        found["merge_sizes"] = source("Full", shape=["batch_size"], value=merge)
    return found


def _further(subject: Subject, way: Inputs) -> Inputs:
    """Return what has to be told beside an image."""
    found: Inputs = {}
    if subject.wants("pixel_mask"):
        found["pixel_mask"] = source("Full", shape=["batch_size", "image_size", "image_size"])
    return {name: node for name, node in found.items() if name not in way}
