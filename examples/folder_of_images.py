# %% [markdown]
# # INT8, judged by your own pictures
#
# scikit-learn's digits as a folder of pictures, a small net trained on it, and whether INT8 stays
# within 1% of its accuracy: by the interval that so many pictures carry.

# %%
import itertools
import tempfile
from pathlib import Path

import torch
from PIL import Image
from sklearn.datasets import load_digits

import modelbench
from modelbench.inputs import Image as ImageInput
from modelbench.inputs.draw import Draw
from modelbench.inputs.image_folder import ImageFolder
from modelbench.models.cnn import SimpleCNN

folder = Path(tempfile.mkdtemp()) / "digits"
pixels, labels = load_digits(return_X_y=True)
for number, (image, label) in enumerate(zip(pixels.reshape(-1, 8, 8), labels, strict=True)):
    (folder / str(label)).mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray((image * 15.9).astype("uint8")).resize((16, 16))
    picture.save(folder / str(label) / f"{number:04}.png")

# %% [markdown]
# Training sees three of four pictures; the fourth is what accuracy is measured on.

# %%
data = ImageFolder(str(folder), batch_size=64).bound({"images": ImageInput(1)})
torch.manual_seed(0)
net = SimpleCNN(input_channels=1, num_classes=10)
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
draw = Draw({"image_size": 16, "batch_size": 64})
for batch in itertools.islice(data.training(draw), 300):
    loss = torch.nn.functional.cross_entropy(net(batch.kwargs["images"]), batch.labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"after 300 steps the loss is {loss.item():.3f}")

# %%
results = modelbench.measure(
    net,
    {"images": ImageInput(1)},
    test="quantization",
    overrides=[
        "image_size=16",
        "data=images",
        f"data.folder={folder}",
        "data.batch_size=64",
        "test.quantization.schemes=[bf16,int8]",
        "test.quantization.max_drop=1%",
    ],
)
results

# %%
print(f"fp32: {results['quantization/fp32/accuracy']:.1%} right")
for scheme in ("bf16", "int8"):
    if f"quantization/{scheme}/accuracy" not in results:
        continue
    low, high = (
        results[f"quantization/{scheme}/accuracy_drop_ci_{end}"] for end in ("low", "high")
    )
    verdict = results.stages["quantization"].details[scheme]["quality"]["verdict"]
    print(f"{scheme}: lost {low:.2%} to {high:.2%}: {verdict} the bound of 1%")
