# %% [markdown]
# # Two candidate blocks
#
# A full convolution, or a depthwise one with a pointwise one behind it: which is faster here?
# Both are called by turns, A B B A, so that both see the same states of the machine.

# %%
import torch
from torch import nn

import modelbench

full = nn.Conv2d(64, 64, 3, padding=1)
separable = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 64, 1))
images = torch.randn(1, 64, 56, 56)

# %%
print(modelbench.summary(full, images))
print(modelbench.summary(separable, images))


# %%
def plain() -> torch.Tensor:
    """Call the full convolution."""
    return full(images)


def depthwise() -> torch.Tensor:
    """Call the two that stand for it."""
    return separable(images)


compared = modelbench.compare_calls(plain, depthwise, budget_s=2)
compared

# %% [markdown]
# Fewer multiply-accumulates are not the same share of the time: what is saved in MACs is partly
# spent on memory traffic and on one more launch.

# %%
print(f"{compared.verdict}: {compared.ratio:.2f} times the time")
with modelbench.timed("a hundred calls") as block:
    for _ in range(100):
        depthwise()
print(block)
