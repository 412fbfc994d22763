"""Small checkpoints of each kind, as their libraries save them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors, trainers

transformers.utils.logging.disable_progress_bar()

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 64}  # fmt: skip
TEXT = {**SMALL, "vocab_size": 300}
VISION = {**SMALL, "image_size": 32}
CLIP_TEXT = {**TEXT, "bos_token_id": 0, "eos_token_id": 299}
BLOCKS = {"block_out_channels": (32, 32), "layers_per_block": 1}
UNET = {
    **BLOCKS, "sample_size": 16,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}  # fmt: skip


def gpt2() -> Any:
    """Build a GPT-2 of two layers and 40 positions."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=32, n_layer=2, n_head=2, vocab_size=300, n_positions=40,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config).eval()


def clip() -> Any:
    """Build a CLIP of two layers either side."""
    torch.manual_seed(0)
    vision = {**VISION, "patch_size": 16}
    config = transformers.CLIPConfig(text_config=CLIP_TEXT, vision_config=vision)
    return transformers.CLIPModel(config).eval()


def siglip() -> Any:
    """Build a SigLIP, which looks for no last token."""
    vision = {**VISION, "patch_size": 16}
    return transformers.SiglipModel(
        transformers.SiglipConfig(text_config=TEXT, vision_config=vision)
    )


def llama() -> Any:
    """Build a Llama in half precision."""
    config = transformers.LlamaConfig(**TEXT, max_position_embeddings=64)
    return transformers.LlamaForCausalLM(config).half()


def bert(head: str = "MaskedLM") -> Any:
    """Build a BERT with a head."""
    config = transformers.BertConfig(**TEXT, num_labels=5)
    return getattr(transformers, f"BertFor{head}")(config)


def roberta() -> Any:
    """Build an encoder whose last position is not its number of positions."""
    config = transformers.RobertaConfig(**TEXT, max_position_embeddings=34)
    return transformers.RobertaModel(config)


def vit() -> Any:
    """Build a classifier with learned positions."""
    config = transformers.ViTConfig(**VISION, patch_size=8, num_labels=5)
    return transformers.ViTForImageClassification(config)


def resnet() -> Any:
    """Build a classifier that takes any size."""
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=5
    )
    return transformers.ResNetForImageClassification(config)


def t5() -> Any:
    """Build an encoder and decoder, which is no kind that is understood."""
    config = transformers.T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=2, vocab_size=300
    )
    return transformers.T5ForConditionalGeneration(config)


def unconditional() -> Any:
    """Build a pipeline of one UNet."""
    return diffusers.DDPMPipeline(diffusers.UNet2DModel(**UNET), diffusers.DDPMScheduler())


def class_conditional() -> Any:
    """Build a UNet that is told a class."""
    return diffusers.UNet2DModel(**UNET, num_class_embeds=10)


def stable_diffusion() -> Any:
    """Build a pipeline of text encoder, UNet and VAE, with a tokenizer and its own sampler."""
    torch.manual_seed(0)
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(**CLIP_TEXT))
    unet = diffusers.UNet2DConditionModel(
        **BLOCKS, sample_size=8, cross_attention_dim=32, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        **BLOCKS, latent_channels=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    return diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer(), unet=unet,
        scheduler=diffusers.PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def tokenizer() -> Any:
    """Train a tokenizer of 290 tokens that puts one at either end."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        ["the quick brown fox"] * 20,
        trainers.BpeTrainer(vocab_size=290, special_tokens=special, initial_alphabet=alphabet),
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<pad>", padding_side="right", model_max_length=77,
    )  # fmt: skip


def image_processor() -> Any:
    """Make a processor with a mean and a deviation of its own."""
    return transformers.ViTImageProcessor(image_mean=[0.2] * 3, image_std=[0.4] * 3)


SAVED: Mapping[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        gpt2, clip, siglip, llama, bert, roberta, vit, resnet, t5,
        unconditional, class_conditional, stable_diffusion,
    )
}  # fmt: skip


def save(name: str, folder: Path) -> Path:
    """Save one of these and give its folder."""
    SAVED[name]().save_pretrained(folder / name)
    return folder / name
