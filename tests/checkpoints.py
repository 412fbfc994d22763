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
    """Build an encoder and a decoder."""
    config = transformers.T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=2, vocab_size=300
    )
    return transformers.T5ForConditionalGeneration(config)


def decisions() -> Any:
    """Build a model of states, actions and rewards, which is no kind that is understood."""
    config = transformers.DecisionTransformerConfig(
        hidden_size=16, n_layer=1, n_head=1, state_dim=3, act_dim=2
    )
    return transformers.DecisionTransformerModel(config)


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


def whisper() -> Any:
    """Build a speech recogniser of 100 frames."""
    config = transformers.WhisperConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=300,
        num_mel_bins=16, max_source_positions=50, max_target_positions=64, bos_token_id=1,
        eos_token_id=2, pad_token_id=0, decoder_start_token_id=1, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    return transformers.WhisperForConditionalGeneration(config)


def wav2vec2() -> Any:
    """Build a recogniser of letters in a waveform."""
    config = transformers.Wav2Vec2Config(
        **TEXT, conv_dim=(16, 16), conv_stride=(5, 4), conv_kernel=(10, 8),
        num_feat_extract_layers=2, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return transformers.Wav2Vec2ForCTC(config)


def audio_classifier() -> Any:
    """Build a transformer over the patches of a spectrogram."""
    config = transformers.ASTConfig(**SMALL, max_length=64, num_mel_bins=16, num_labels=5)
    return transformers.ASTForAudioClassification(config)


def detector() -> Any:
    """Build a detector without a convolutional backbone."""
    config = transformers.YolosConfig(
        **SMALL, image_size=[32, 32], patch_size=8, num_detection_tokens=5, num_labels=4
    )
    return transformers.YolosForObjectDetection(config)


def segmenter() -> Any:
    """Build a network whose map of classes is a quarter of the image."""
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=16, num_labels=4,
    )  # fmt: skip
    return transformers.SegformerForSemanticSegmentation(config)


def depth() -> Any:
    """Build an estimator of depth."""
    config = transformers.GLPNConfig(
        hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=16,
    )  # fmt: skip
    return transformers.GLPNForDepthEstimation(config)


def video() -> Any:
    """Build a classifier of four frames."""
    config = transformers.VideoMAEConfig(
        **SMALL, image_size=32, patch_size=8, num_frames=4, tubelet_size=2, num_labels=5
    )
    return transformers.VideoMAEForVideoClassification(config)


def llava() -> Any:
    """Build a LLaVA: the features of an image in the place of its tokens."""
    vision = transformers.CLIPVisionConfig(**SMALL, image_size=32, patch_size=8)
    text = transformers.LlamaConfig(**TEXT, max_position_embeddings=256)
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=299, image_seq_length=16
    )
    return transformers.LlavaForConditionalGeneration(config)


def qwen_vl() -> Any:
    """Build a Qwen-VL: an image of any size in patches, of which four become one token."""
    vision = {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64,
              "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2,
              "out_hidden_size": 32, "deepstack_visual_indexes": [0],
              "num_position_embeddings": 64}  # fmt: skip
    text = {**TEXT, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4,
                                "mrope_section": [2, 3, 3]}}  # fmt: skip
    config = transformers.Qwen3VLConfig(
        vision_config=vision, text_config=text, image_token_id=290, video_token_id=291,
        vision_start_token_id=292, vision_end_token_id=293,
    )  # fmt: skip
    return transformers.Qwen3VLForConditionalGeneration(config)


def forecaster() -> Any:
    """Build a forecaster of three series."""
    config = transformers.PatchTSTConfig(
        num_input_channels=3, context_length=32, patch_length=8, patch_stride=8,
        prediction_length=8, num_hidden_layers=1, d_model=16, num_attention_heads=2, ffn_dim=32,
    )  # fmt: skip
    return transformers.PatchTSTForPrediction(config)


def mixtral() -> Any:
    """Build a mixture of four experts, with two end tokens and a window of 8."""
    config = transformers.MixtralConfig(
        **TEXT, num_key_value_heads=1, num_local_experts=4, num_experts_per_tok=2,
        eos_token_id=[7, 8], sliding_window=8, max_position_embeddings=64,
    )  # fmt: skip
    return transformers.MixtralForCausalLM(config)


VAE_BLOCKS = {
    "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 8, "sample_size": 32, "shift_factor": 0.06,
}  # fmt: skip


def dit() -> Any:
    """Build a pipeline that is told a class, and no text."""
    transformer = diffusers.DiTTransformer2DModel(
        sample_size=16, num_layers=1, patch_size=4, attention_head_dim=8, num_attention_heads=2,
        in_channels=4, out_channels=8, num_embeds_ada_norm=1000, norm_type="ada_norm_zero",
        norm_elementwise_affine=False,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(**BLOCKS, **VAE_BLOCKS)
    return diffusers.DiTPipeline(
        transformer=transformer, vae=vae, scheduler=diffusers.DDIMScheduler()
    )


def flux() -> Any:
    """Build a pipeline of a transformer over packed latents, with two text encoders."""
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(**CLIP_TEXT, max_position_embeddings=77)
    )
    t5 = transformers.T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=2, vocab_size=300
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), tokenizer=tokenizer(),
        vae=diffusers.AutoencoderKL(**BLOCKS, **VAE_BLOCKS), text_encoder=text,
        text_encoder_2=transformers.T5EncoderModel(t5), tokenizer_2=tokenizer(),
        transformer=transformer,
    )  # fmt: skip


SAVED: Mapping[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        gpt2, clip, siglip, llama, bert, roberta, vit, resnet, t5,
        unconditional, class_conditional, stable_diffusion, whisper, wav2vec2, audio_classifier,
        detector, segmenter, depth, video, llava, qwen_vl, forecaster, mixtral, dit, flux,
        decisions,
    )
}  # fmt: skip


def save(name: str, folder: Path) -> Path:
    """Save one of these and give its folder."""
    SAVED[name]().save_pretrained(folder / name)
    return folder / name
