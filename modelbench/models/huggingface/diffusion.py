"""The models and pipelines of diffusers: what each takes and gives."""

from __future__ import annotations

from collections.abc import Mapping

from modelbench.models.huggingface.files import Files, Keys, like, not_understood


def describe_model(found: Files, config: Keys, part: str = "") -> Keys:
    """Describe an unconditional or class-conditional UNet, alone or in its pipeline."""
    name = config["_class_name"]
    if name != "UNet2DModel":
        raise ValueError(not_understood(found, "diffusers", name, ()))
    size = config.get("sample_size") or 64
    size = size if isinstance(size, int) else size[0]
    shape = ["batch_size", config.get("in_channels", 3), "image_size", "image_size"]
    inputs: Keys = {
        "sample": {"_target_": "modelbench.inputs.Noise", "shape": shape},
        "timestep": {"_target_": "modelbench.inputs.Labels", "num_classes": 1000},
    }
    if config.get("num_class_embeds"):
        classes = config["num_class_embeds"]
        inputs["class_labels"] = {"_target_": "modelbench.inputs.Labels", "num_classes": classes}
    return {
        "build": found.recipe("diffusers", name, part),
        "axes": {"batch_size": 1, "image_size": size},
        "inputs": inputs,
    }


def describe_pipeline(found: Files) -> Keys:
    """Describe a folder of diffusers with several models."""
    index = found.read("model_index.json")
    classes = {
        part: entry[1]
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1]
    }
    models = {"text_encoder": "CLIPTextModel", "unet": "UNet2DConditionModel",
              "vae": "AutoencoderKL"}  # fmt: skip
    if models.items() <= classes.items() and "text_encoder_2" not in classes:
        return _stable_diffusion(found, classes)
    if classes.get("unet") == "UNet2DModel" and "vae" not in classes and "vqvae" not in classes:
        return describe_model(found, found.read("unet/config.json"), "unet")
    if {"vae"} <= classes.keys() and {"transformer", "unet"} & classes.keys():
        return _pipeline(found, classes)
    raise ValueError(not_understood(found, "diffusers", index.get("_class_name"), ()))


def _pipeline(found: Files, classes: Mapping[str, str]) -> Keys:
    """Describe a pipeline with a denoiser in the latents of a VAE: DiT, SDXL, SD 3, Flux."""
    part = "transformer" if "transformer" in classes else "unet"
    denoiser, vae = found.read(f"{part}/config.json"), found.read("vae/config.json")
    lacking = [p for p, kind in classes.items() if kind.endswith(("Tokenizer", "TokenizerFast"))
               and not (found.folder / p).is_dir()]  # fmt: skip
    if lacking:
        raise ValueError(
            f"model.checkpoint={found.told}: has no {', '.join(lacking)}, which its pipeline needs "
            "to read the prompt; expected a folder written by the pipeline's save_pretrained"
        )
    shrinks = 2 ** (len(vae.get("block_out_channels", [1] * 4)) - 1)
    packs = denoiser.get("patch_size") or 2
    levels = len(denoiser.get("block_out_channels", []))
    step = shrinks * (2 ** max(0, levels - 1) if part == "unet" else 2 * packs)
    sample = denoiser.get("sample_size") or 64
    size = max(step, (sample if isinstance(sample, int) else sample[0]) * shrinks // step * step)
    fixed = not any(p.startswith("text_encoder") for p in classes)  # it is told no height
    limit = {"min": size, "max": size} if fixed else {"min": step, "multiple_of": step}
    latents = ["batch_size", vae.get("latent_channels", 4), *[f"image_size/{shrinks}"] * 2]
    target = "modelbench.models.pipeline.Pipeline"
    how = "from_pretrained" if found.weights == "pretrained" else "from_config"
    phases = "modelbench.phases.pipeline"
    return {
        "build": {
            "_target_": f"{target}.{how}", "folder": str(found.folder),
            "prompt": "${model.prompt}",
        },
        "prompt": "a lighthouse at dusk",
        "steps": 20,
        "axes": {"batch_size": 1, "image_size": size},
        "limits": {"image_size": limit, "steps": {"min": 1, "max": 1000}},
        "inputs": {"noise": {"_target_": "modelbench.inputs.Noise", "shape": latents}},
        "phases": {
            **{name: {"_target_": f"{phases}.{name}"}
               for name in ("text_encode", "denoise_step", "vae_decode")},
            "generate": {"_target_": f"{phases}.Generate", "steps": "${model.steps}"},
        },
        "loss": {"_target_": "modelbench.losses.denoising"},
    }  # fmt: skip


def _stable_diffusion(found: Files, classes: Mapping[str, str]) -> Keys:
    """Describe text encoder, UNet and VAE, as `stable_diffusion` does."""
    text, unet, vae = (
        found.read(f"{part}/config.json") for part in ("text_encoder", "unet", "vae")
    )
    target = "modelbench.models.stable_diffusion.StableDiffusion"
    if found.weights == "pretrained":
        build: Keys = {"_target_": f"{target}.from_pretrained", "folder": str(found.folder)}
    else:
        place = {"pretrained_model_name_or_path": str(found.folder / "scheduler")}
        build = {
            "_target_": target,
            "text_encoder": found.recipe("transformers", "CLIPTextModel", "text_encoder"),
            "unet": found.recipe("diffusers", "UNet2DConditionModel", "unet"),
            "vae": found.recipe("diffusers", "AutoencoderKL", "vae"),
            "scheduler": {"_target_": f"diffusers.{classes['scheduler']}.from_pretrained", **place},
        }
    keys = like("stable_diffusion", "steps", "guidance_scale", "limits", "inputs", "phases", "loss")
    shrinks = 2 ** (len(vae["block_out_channels"]) - 1)
    latent = f"image_size/{shrinks}"
    tokens = found.tokens(text, "tokenizer", pad=True)
    if "tokenizer" not in tokens:
        tokens["end"] = text["vocab_size"] - 1
    keys["inputs"]["input_ids"] = tokens
    keys["inputs"]["noise"]["shape"] = ["batch_size", unet["in_channels"], latent, latent]
    positions = text["max_position_embeddings"]
    keys["limits"]["image_size"] = {"min": shrinks, "multiple_of": shrinks}
    keys["limits"]["sequence_length"] = {"max": positions}
    size = (unet.get("sample_size") or 64) * shrinks
    axes = {"batch_size": 1, "image_size": size, "sequence_length": positions}
    return {"build": build, "axes": axes, **keys}
