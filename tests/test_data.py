"""Data of one's own judges a precision: by paired outcomes, and with the interval they carry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import save, tokenizer
from conftest import Command
from PIL import Image as Pillow

from modelbench.config.share import share
from modelbench.inputs import Image, Tokens
from modelbench.inputs.draw import Draw
from modelbench.inputs.hf_dataset import HfDataset
from modelbench.inputs.hf_texts import HfTexts
from modelbench.inputs.image_folder import ImageFolder
from modelbench.inputs.text_file import TextFile
from modelbench.measurement.numerics.quality import (
    Outcomes,
    drop,
    of_accuracy,
    of_perplexity,
    worst_class,
)

DRAW = Draw({"batch_size": 2, "image_size": 8, "sequence_length": 6})
SOURCES = {"images": Image(3)}


def pictures(root: Path, classes: dict[str, int], size: int = 10) -> Path:
    """Write so many pictures of each class, each class of one colour."""
    for place, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture = Pillow.new(
                "RGB", (size, size + number % 3), (80 * place, 40, 255 - 80 * place)
            )
            picture.save(root / name / f"{number:03}.png")
    return root


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    """Every fourth picture is tested on, none of them is trained on; labels follow the alphabet."""
    data = ImageFolder(str(pictures(tmp_path / "p", {"b": 9, "a": 8}))).bound(SOURCES)
    assert data.names == ["a", "b"]
    (batch,) = data.test(DRAW)
    assert batch.kwargs["images"].shape == (5, 3, 8, 8)
    assert batch.labels is not None and batch.labels.tolist() == [0, 0, 1, 1, 1]
    assert float(batch.kwargs["images"][0, 0, 0, 0]) == pytest.approx(80 / 255)
    assert float(batch.kwargs["images"][4, 0, 0, 0]) == pytest.approx(0)
    trained = next(data.training(DRAW))
    assert trained.labels is not None and len(trained.labels) == 12
    first, second = (next(data.training(DRAW)) for _ in range(2))
    assert torch.equal(first.kwargs["images"], second.kwargs["images"])


def test_folders_of_parts_and_other_names(tmp_path: Path) -> None:
    """`train` and `val` part them; `classes` gives the model's order."""
    pictures(tmp_path / "train", {"cat": 3, "dog": 2})
    pictures(tmp_path / "val", {"cat": 1, "dog": 2})
    data = ImageFolder(str(tmp_path), classes=["dog", "bird", "cat"]).bound(SOURCES)
    (batch,) = data.test(DRAW)
    assert batch.labels is not None and batch.labels.tolist() == [2, 0, 0]
    with pytest.raises(ValueError, match="the data's dog is not among them"):
        ImageFolder(str(tmp_path), classes=["cat"])
    with pytest.raises(ValueError, match="expected a model with one image as input, found ids"):
        data.bound({"ids": Tokens(10)})
    grey = ImageFolder(str(tmp_path)).bound({"x": Image(1, mean=(0.5,), std=(0.5,))})
    (batch,) = grey.test(DRAW)
    assert batch.kwargs["x"].shape == (3, 1, 8, 8)
    assert float(batch.kwargs["x"].min()) >= -1


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_of_pictures(tmp_path: Path, delimiter: str) -> None:
    """By whatever parts its columns."""
    pictures(tmp_path, {"all": 8})
    rows = [
        f"all/{number:03}.png{delimiter}{'odd' if number % 2 else 'even'}" for number in range(8)
    ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join([f"path{delimiter}label", *rows]), encoding="utf-8")
    data = ImageFolder(str(tmp_path), table="labels.csv").bound(SOURCES)
    assert data.names == ["even", "odd"]
    (batch,) = data.test(DRAW)
    assert batch.labels is not None and batch.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\n", "no rows below the header; expected two columns"),
        ("path\na.png\n", "line 1 has one column; expected two columns"),
        ("path,label\na.png,\n", r"line 2 has no label \(1 such lines\)"),
        ("path,label\na.png,x\n", "1 of its pictures are not below .*, first a.png"),
        ("path,label\na.png,M\xfcller\n", r"not UTF-8 \(byte 18\); save it as UTF-8"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    """Is an error with its line."""
    (tmp_path / "labels.csv").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=said):
        ImageFolder(str(tmp_path), table="labels.csv")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """Is an error before anything is built."""
    with pytest.raises(ValueError, match="no such folder"):
        ImageFolder(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="expected a folder for each class"):
        ImageFolder(str(tmp_path))
    pictures(tmp_path, {"a": 1})
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match=r"b: a class without pictures"):
        ImageFolder(str(tmp_path))


def test_broken_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One is left out and named; over one in a hundred is a failure."""
    data = ImageFolder(str(pictures(tmp_path / "p", {"a": 8, "b": 8}))).bound(SOURCES)
    (tmp_path / "p" / "a" / "000.png").write_bytes(b"no picture")
    (batch,) = data.test(DRAW)
    assert batch.labels is not None and batch.labels.tolist() == [0, 1, 1]
    assert "000.png" in caplog.text
    (tmp_path / "p" / "a" / "004.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 4 pictures cannot be read, over 1%: .*000.png"):
        list(data.test(DRAW))


def test_a_text(tmp_path: Path) -> None:
    """In sequences of the model's length, by its tokenizer."""
    folder = tmp_path / "tokenizer"
    tokenizer().save_pretrained(folder)
    file = tmp_path / "text.txt"
    file.write_text("the model is measured before it is trusted " * 12, encoding="utf-8")
    data = TextFile(file=str(file)).bound({"input_ids": Tokens(300, tokenizer=str(folder))})
    (batch, *_) = data.test(DRAW)
    assert batch.kwargs["input_ids"].shape == (4, 6)
    assert batch.labels is None
    with pytest.raises(ValueError, match="has no tokenizer, without which"):
        TextFile(file=str(file)).bound({"input_ids": Tokens(300)})
    with pytest.raises(ValueError, match="found images: Image"):
        TextFile(file=str(file)).bound(SOURCES)
    file.write_text("short", encoding="utf-8")
    with pytest.raises(ValueError, match="expected 4 or more"):
        list(data.test(Draw({"sequence_length": 5})))
    file.write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="not UTF-8"):
        TextFile(file=str(file))


def test_a_table_of_texts(tmp_path: Path) -> None:
    """Padded and masked, with labels."""
    folder = tmp_path / "tokenizer"
    tokenizer().save_pretrained(folder)
    file = tmp_path / "texts.csv"
    rows = [f"the model,{'good' if number % 2 else 'bad'}" for number in range(8)]
    file.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    sources = {"input_ids": Tokens(300, tokenizer=str(folder)), "attention_mask": Tokens(2)}
    data = TextFile(file=str(file)).bound(sources)
    (batch,) = data.test(Draw({"batch_size": 2, "sequence_length": 30}))
    assert data.names == ["bad", "good"]
    assert batch.labels is not None and batch.labels.tolist() == [0, 0]
    first, second = batch.kwargs["attention_mask"].sum(1).tolist()
    assert first == second < 30


def of(right: list[bool], labels: list[int]) -> Outcomes:
    """Make outcomes of which only this is known."""
    nothing = np.empty(0)
    return Outcomes(np.array(labels), np.array(right), np.array(right), nothing, 2, 0.0, 0.0)


@pytest.mark.parametrize(("lost", "samples"), [
    (0.0, 200), (0.0, 2000), (0.01, 500), (0.01, 5000), (0.03, 200), (0.03, 2000),
])  # fmt: skip
def test_intervals_of_paired_accuracy_hold(lost: float, samples: int) -> None:
    """In 93 of 100 or more, and 'within the bound' is wrong at most 5 times in 100."""
    rng = np.random.default_rng(0)
    held, wrong = [], []
    for _ in range(600):
        before = rng.random(samples) < 0.8
        # Some samples change either way, as rounding does, beside the true loss.
        draw = rng.random(samples)
        after = np.where(before, draw > 0.0125 + lost / 0.8, draw < 0.05)
        found = of_accuracy(before, after)
        held.append(found.interval[0] <= lost <= found.interval[1])
        wrong.append(found.verdict(0.0099) == "within" and lost > 0.0099)
    assert 0.93 <= np.mean(held) <= (0.98 if samples >= 2000 else 1)
    assert np.mean(wrong) <= 0.05


def test_a_verdict_needs_samples() -> None:
    """Too few to tell, and about how many would."""
    before = np.ones(400, bool)
    after = before.copy()
    assert of_accuracy(before, after).verdict(0.01) == "within"
    after[:3] = False
    few = of_accuracy(before, after)
    assert few.verdict(0.01) == "too few samples"
    needed = few.needed(0.01)
    assert needed is not None and 400 < needed < 10_000
    after[:40] = False
    assert of_accuracy(before, after).verdict(0.01) == "beyond"
    same = of([True, True, False, False], [0, 0, 1, 1])
    worse = of([True, False, False, False], [0, 0, 1, 1])
    assert worst_class(same, worse) == (0, 0.5)
    assert drop(same, worse).value == 0.25


def test_perplexity_is_paired_too() -> None:
    """By each sequence's loss."""
    rng = np.random.default_rng(1)
    before = rng.normal(3, 0.5, 200)
    found = of_perplexity(before, before + np.log(1.02) + rng.normal(0, 0.01, 200))
    assert found.interval[0] < 0.02 < found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.005
    assert found.verdict(0.03) == "within"
    assert of_perplexity(before[:1], before[:1]).verdict(0.01) == "too few samples"


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.02", 0.02), (0.5, 0.5), ("0%", 0)])
def test_a_share(text: str | float, value: float) -> None:
    """Written either way."""
    assert share(text, "max_drop") == pytest.approx(value)


@pytest.mark.parametrize("text", ["much", "100%", -0.1, "-1%", "nan"])
def test_no_share(text: str | float) -> None:
    """Is refused."""
    with pytest.raises(ValueError, match=r"expected a share such as 1% or 0\.01"):
        share(text, "max_drop")


def test_quantization_by_accuracy(command: Command, tmp_path: Path) -> None:
    """Of fp32 and each scheme, with the drop, its interval and the verdict."""
    folder = pictures(tmp_path / "pictures", {"a": 40, "b": 40, "c": 40})
    words = ["model=cnn", "model.num_classes=10", "test=quantization", "image_size=8"]
    schemes = "test.quantization.schemes=[bf16]"
    done = command(*words, schemes, "data=images", f"data.folder={folder}")
    stage = done.results["stages"]["quantization"]
    assert stage["status"] == "passed", stage["reason"]
    metrics = {
        name.removeprefix("quantization/"): m["value"] for name, m in stage["metrics"].items()
    }
    assert metrics["data/samples"] == 30
    assert 0 <= metrics["fp32/accuracy"] <= 1
    low, high = (metrics[f"bf16/accuracy_drop_ci_{end}"] for end in ("low", "high"))
    assert low <= metrics["bf16/accuracy_drop"] <= high
    quality = stage["details"]["bf16"]["quality"]
    assert quality["verdict"] in {"within", "too few samples"}
    assert quality["worst_class"] in {"a", "b", "c"}
    assert "plots/quantization.png" in stage["artifacts"]
    assert not any("was lost" in warning for warning in stage["warnings"])
    assert "samples" in done.out and "(test.quantization.max_drop)" in done.out


@pytest.mark.slow
def test_training_on_pictures(command: Command, tmp_path: Path) -> None:
    """Three colours are soon told apart; the accuracy is of what was kept from training."""
    folder = pictures(tmp_path / "pictures", {"a": 40, "b": 40, "c": 40})
    words = ["model=cnn", "test=algorithm", "image_size=8", "data=images"]
    done = command(*words, f"data.folder={folder}", "test.algorithm.min_drop=0.1")
    metrics = done.results["stages"]["algorithm"]["metrics"]
    assert metrics["algorithm/accuracy_after"]["value"] > 0.9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data=images"], "data.folder: missing"),
        (["data=images", "data.folder=nowhere"], "data.folder=nowhere: no such folder"),
        (["data=pictures"], "data=pictures: unknown data"),
        (["data=text", "data.file=nowhere"], "file=nowhere: no such file"),
        (["test.quantization.max_drop=much"], "max_drop=much: expected a share"),
    ],
)
def test_wrong_data(command: Command, words: list[str], said: str) -> None:
    """Is said before a model is built."""
    done = command("model=cnn", "test=quantization", *words)
    assert done.status == 1
    assert said in done.err


def test_classes_that_do_not_fit(command: Command, tmp_path: Path) -> None:
    """Name the model's outputs."""
    folder = pictures(tmp_path / "pictures", dict.fromkeys("abcd", 4))
    words = ["model=cnn", "model.num_classes=3", "test=quantization", "image_size=8"]
    done = command(*words, "data=images", f"data.folder={folder}")
    assert done.status == 1
    assert "the labels have class 3 (from 0), but the model has 3 outputs" in done.out


def test_classes_of_a_checkpoint(command: Command, tmp_path: Path) -> None:
    """Give the labels their places, whatever the folders' order; others are refused at once."""
    checkpoint = save("resnet", tmp_path)
    file = checkpoint / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    names = ["zebra", "ant", "bee"]
    config["id2label"] = {str(place): name for place, name in enumerate(names)}
    file.write_text(json.dumps(config), encoding="utf-8")
    folder = pictures(tmp_path / "pictures", {"ant": 4, "zebra": 4})
    words = ["model=huggingface", f"model.checkpoint={checkpoint}", "model.weights=random",
             "data=images", f"data.folder={folder}"]  # fmt: skip
    done = command(*words, "test=structure", "image_size=32")
    assert done.results["config"]["data"]["classes"] == names
    data = ImageFolder(str(folder), classes=names).bound(SOURCES)
    labels = [batch.labels for batch in data.test(DRAW) if batch.labels is not None]
    assert torch.cat(labels).tolist() == [1, 0]
    pictures(folder, {"wasp": 4})
    done = command(*words, "test=structure", "image_size=32")
    assert done.status == 1
    assert "classes=[zebra, ant, bee]: the data's wasp is not among them" in done.err
    assert command(*words, "test=structure", "image_size=32", "data.classes=null").status == 0


@pytest.mark.slow
def test_perplexity_of_a_checkpoint(command: Command, tmp_path: Path) -> None:
    """By its own tokenizer, and of each scheme."""
    folder = save("gpt2", tmp_path)
    tokenizer().save_pretrained(folder)
    file = tmp_path / "text.txt"
    file.write_text("the model is measured before it is trusted " * 200, encoding="utf-8")
    words = ["model=huggingface", f"model.checkpoint={folder}", "test=quantization"]
    data = ["data=text", f"data.file={file}", "sequence_length=16"]
    done = command(*words, *data, "test.quantization.schemes=[bf16]")
    metrics = done.results["stages"]["quantization"]["metrics"]
    assert metrics["quantization/fp32/perplexity"]["value"] > 1
    assert "quantization/bf16/perplexity_drop_ci_high" in metrics


@pytest.mark.filterwarnings("ignore")  # the library's own
def test_a_saved_dataset(tmp_path: Path) -> None:
    """By its columns, with its classes' names."""
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as Column

    features = Features({"image": Column(), "label": ClassLabel(names=["no", "yes"])})
    made = [Pillow.new("RGB", (9, 12), (20 * n, 0, 0)) for n in range(8)]
    rows = {"image": made, "label": [n % 2 for n in range(8)]}
    whole = Dataset.from_dict(rows, features=features)
    whole.save_to_disk(tmp_path / "whole")
    turned = HfDataset(str(tmp_path / "whole"), classes=["yes", "no"]).bound(SOURCES)
    assert [b.labels.tolist() for b in turned.test(DRAW) if b.labels is not None] == [[1, 1]]
    with pytest.raises(ValueError, match="the data's no is not among them"):
        HfDataset(str(tmp_path / "whole"), classes=["yes"])
    data = HfDataset(str(tmp_path / "whole"), batch_size=4).bound(SOURCES)
    assert data.names == ["no", "yes"]
    (batch,) = data.test(DRAW)
    assert batch.kwargs["images"].shape == (2, 3, 8, 8)
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 0]
    trained = next(data.training(DRAW))
    assert trained.labels is not None
    assert len(trained.labels) == 4
    whole.train_test_split(0.5).save_to_disk(tmp_path / "parts")
    (batch,) = HfDataset(str(tmp_path / "parts")).bound(SOURCES).test(DRAW)
    assert len(batch.kwargs["images"]) == 4
    with pytest.raises(ValueError, match="no column picture; it has image, label"):
        HfDataset(str(tmp_path / "whole"), image="picture")
    with pytest.raises(ValueError, match="not a dataset that save_to_disk wrote"):
        HfDataset(str(tmp_path))
    with pytest.raises(ValueError, match="found ids: Tokens"):
        data.bound({"ids": Tokens(10)})


@pytest.mark.filterwarnings("ignore")  # the library's own
def test_texts_of_a_saved_dataset(tmp_path: Path) -> None:
    """Padded with labels, by number or by name, or on end; what is missing is named."""
    from datasets import Dataset

    folder, place = tmp_path / "tokenizer", tmp_path / "texts"
    tokenizer().save_pretrained(folder)
    texts = [f"the model is measured {'well' * (n % 2)}" for n in range(8)]
    labels = ["yes" if n % 2 else "no" for n in range(8)]
    Dataset.from_dict({"text": texts, "label": labels}).save_to_disk(place)
    sources = {"input_ids": Tokens(300, tokenizer=str(folder))}
    draw = Draw({"batch_size": 2, "sequence_length": 30})
    data = HfTexts(folder=str(place), label="label", classes=["yes", "no"]).bound(sources)
    (batch,) = data.test(draw)
    assert batch.kwargs["input_ids"].shape == batch.kwargs["attention_mask"].shape == (2, 30)
    assert batch.labels is not None and batch.labels.tolist() == [1, 1]
    on_end = HfTexts(folder=str(place)).bound(sources)
    (batch, *_) = on_end.test(Draw({"sequence_length": 6}))
    assert batch.labels is None
    assert batch.kwargs["input_ids"].shape[1] == 6
    with pytest.raises(ValueError, match="expected more text"):
        list(on_end.test(Draw({"sequence_length": 5000})))
    with pytest.raises(ValueError, match=r"no column body; it has text, label \(data.text\)"):
        HfTexts(folder=str(place), text="body")
    with pytest.raises(ValueError, match="for texts, data=hf_text"):
        HfDataset(str(place))
