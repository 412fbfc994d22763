# %% [markdown]
# # A language model and its perplexity
#
# A small GPT-2 is saved as a checkpoint with its tokenizer, as `save_pretrained` does; use a folder
# of your own instead. Its weights are random here, so its perplexity is that of chance.

# %%
import tempfile
from pathlib import Path

import tokenizers
import torch
import transformers

import modelbench

folder = Path(tempfile.mkdtemp())
text = Path(modelbench.__file__).with_name("losses.py").read_text(encoding="utf-8")
(folder / "text.txt").write_text(text, encoding="utf-8")

words = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
trainer = tokenizers.trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>"])
words.train_from_iterator([text], trainer)
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")

torch.manual_seed(0)
config = transformers.GPT2Config(
    n_embd=64, n_layer=2, n_head=2, vocab_size=500, n_positions=64, bos_token_id=0, eos_token_id=0
)
transformers.GPT2LMHeadModel(config).save_pretrained(folder / "gpt2")
tokenizer.save_pretrained(folder / "gpt2")

# %%
results = modelbench.measure(
    "huggingface",
    test="quantization",
    overrides=[
        f"model.checkpoint={folder / 'gpt2'}",
        "model.weights=pretrained",
        "sequence_length=32",
        "data=text",
        f"data.file={folder / 'text.txt'}",
        "test.quantization.schemes=[bf16]",
    ],
)
results

# %%
print(f"perplexity in fp32: {results['quantization/fp32/perplexity']:.1f}")
rise = results["quantization/bf16/perplexity_drop"]
print(
    f"in bf16 it is {rise:+.2%} of that, verdict:",
    results.stages["quantization"].details["bf16"]["quality"]["verdict"],
)
