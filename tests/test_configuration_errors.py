"""Every error is one line that says what was found and what was expected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CONFIGS, Command

CASES = [
    ("model=cnm", "model=cnm: unknown model; did you mean cnn?"),
    ("test=benhcmark", "unknown test; did you mean benchmark?"),
    ("test=[fine,foo]", "test=foo: unknown test"),
    ("test=[]", "test: no stage is chosen"),
    ("precision=fp33", "unknown precision; did you mean fp32?"),
    ("device=gpu", "(known: auto, cpu, cuda, mps, xpu)"),
    ("tracker=wandb", "(known: mlflow, none)"),
    ("imge_size=3", "imge_size: unknown key; did you mean image_size?"),
    ("+imge_size=3", "imge_size: unknown key; did you mean image_size?"),
    ("model.imput_channels=1", "model.imput_channels: unknown key"),
    ("+model.foo.bar=1", "model.foo: unknown key"),
    ("test.fine.timeout=1", "test.fine.timeout: unknown key; did you mean timeout_s?"),
    ("test.benchmark.budget=1", "test.benchmark.budget: unknown key; did you mean budget_s?"),
    ("test.benhcmark.budget_s=1", "test.benhcmark: unknown stage; did you mean benchmark?"),
    ("test.fine=3", "test.fine=3: found the integer 3, expected the settings of a stage"),
    ("device.thread=2", "device.thread: unknown key; did you mean threads?"),
    ("image_size=abc", "image_size=abc: found the string 'abc', expected an integer or null"),
    ("image_size=1.5", "found the number 1.5, expected an integer"),
    ("image_size=-1", "image_size=-1: impossible; the minimum is 4"),
    ("batch_size=0", "batch_size=0: impossible; the minimum is 1"),
    ("batch_size=true", "batch_size=True: found the boolean True, expected an integer"),
    ("sequence_length=8", "model cnn has no such axis; it has batch_size, image_size"),
    ("model.axes.image_size=x", "model.axes.image_size: Value 'x' of type 'str'"),
    ("model.num_classes=ten", "found the string 'ten', expected an integer such as 10"),
    ("seed=-1", "seed=-1: expected 0 to 4294967295"),
    ("device.threads=0", "device.threads=0: expected 1 or more"),
    ("test.fine.timeout_s=0", "test.fine.timeout_s=0.0: expected more than 0"),
    ("test.fine.timeout_s=soon", "found the string 'soon', expected a number"),
    ("model.weights=trained", "weights=trained: expected random or pretrained or fake"),
    ("model.build._target_=modelbench.models.cnn.CNN", "modelbench.models.cnn has no 'CNN'"),
    ("model.build._target_=nowhere.Net", "no module 'nowhere' is installed"),
    ("model.build._target_=${model.nothing}", "refers to 'nothing', which is not in model"),
    ("~model.build._target_", "model.build: expected _target_"),
    ("model.inputs.images=3", "model.inputs.images: expected a source"),
    ("model.inputs=null", "model.inputs=None: expected a mapping"),
    ("image=missing.jpg", "image=missing.jpg: no such file"),
    (f"image={CONFIGS / 'toys.py'}", "not an image that Pillow can read"),
    ("image_size=64,128", "image_size=64,128: several values need --multirun"),
    ("image_size", "image_size: expected KEY=VALUE"),
    ("=3", "=3: expected KEY=VALUE"),
    ("unet", "unet: expected KEY=VALUE, did you mean model=unet?"),
    ("test=structure,benchmark", "for several stages use test=[structure,benchmark]"),
    ("hydra.run.dir=taken/below", f"output folder {Path('taken/below')}: not writable"),
    ("model.build.depth=3", "got an unexpected keyword argument 'depth'; it takes input_channels"),
    ("model.inputs.images.size=3", "got an unexpected keyword argument 'size'; it takes channels"),
    ("model.build=5", "model.build: expected _target_"),
    ("test.fine.timeout_s=inf", "found the number inf, expected a number"),
    ("test.benchmark.budget_s=.inf", "test.benchmark.budget_s=.inf: found the string"),
    ("test.fine.timeout_s=1e12", "expected more than 0 and at most 10,000,000"),
    ("model=[cnn,unet]", "model=cnn,unet: only test takes a list"),
    ("model=gpt2 model.new_tokens=0", "model.new_tokens=0: impossible; the minimum is 1"),
    ("model=stable_diffusion model.steps=0", "model.steps=0: impossible; the minimum is"),
    ("model=stable_diffusion model.steps=1001", "the maximum is 1000"),
    ("model=stable_diffusion model.guidance_scale=inf", "expected a finite number"),
    (
        "model=stable_diffusion model.variant=tinny",
        "'tinny', which is not in model.sizes",
    ),
    ("model=stable_diffusion image_size=500", "takes multiples of 8; the nearest are 496 and 504"),
    ("model=gpt2 sequence_length=1025", "too large for gpt2; the maximum is 1024"),
    ("model=gpt2 model.checkpoint=x", "model.weights=random loads none; expected model.weights"),
    ("+model.inputs.x={_target_: modelbench.inputs.Noise, shape: [x-1]}", "shape entry 'x-1'"),
    ("model.limits.image_size.multiple_of=0", "expected 1 <= min <= max and multiple_of >= 1"),
    ("+model.limits.batch_size=4", "model.limits.batch_size"),
    ("~model", "model.name: missing; expected a string"),
    ("precision.name=int8", "precision.name=int8: expected fp32"),
    ("device.name=tpu", "device.name=tpu: expected auto, cpu, cuda, cuda:1, mps or xpu"),
    ("+model.inputs.x={_target_: toys.Licensed}", "toys.Licensed: ValueError: licence missing"),
    ("model.inputs.images={_target_: modelbench.inputs.Noise, shape: 5}", "model.inputs.images: "),
    ("model.build={_target_: exits.Net}", "cannot be imported: SystemExit: 2"),
    ("model.build={_target_: badly.Net}", "cannot be imported: SyntaxError: "),
    ("+model.inputs.x={_target_: modelbench.inputs.Tokens, vocab_size: 5}", "needs the axis seq"),
]


@pytest.mark.parametrize(("override", "message"), CASES, ids=[case[0][:40] for case in CASES])
def test_each_error_is_said(command: Command, override: str, message: str) -> None:
    """One clear line, status 1, no traceback, no model built."""
    Path("taken").write_text("a file where a folder is wanted")
    Path("badly.py").write_text("class Net:\n    def forward(self:\n")
    sys.path.insert(0, str(Path.cwd()))
    several = override.split(" ") if override.startswith("model=") else [override]
    done = command("test=[fine]", *several)
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err + done.out
    assert not any("fine" in file.read_text() for file in done.folder.rglob("model_test.log"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\n\tbuild: 1\n", "cannot parse YAML: "),
        ("- a list\n", "ConfigTypeError raised while composing config: "),
        ("name: x\n", "model.build: missing; expected a value"),
        ("nmae: x\nbuild: {_target_: toys.Toy}\n", "model.nmae: unknown key; did you mean name?"),
    ],
    ids=["tab", "list", "empty", "typo"],
)
def test_errors_in_a_yaml_of_ones_own(
    command: Command, tmp_path: Path, text: str, message: str
) -> None:
    """In a folder whose name Hydra's grammar would trip over."""
    folder = tmp_path / "it's [my] cfg (1)" / "model"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(text)
    done = command("--config-dir", str(folder.parent), "model=own")
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err


def test_values_are_what_their_types_say(command: Command) -> None:
    """Numbers in quotes, numbers as text, sentences as they are typed."""
    words = ["batch_size='2'", "model.name=2024", "text=What's up, (world)?", "~seed"]
    done = command("model=toy", "test=fine", *words)
    assert done.err == ""
    assert done.results["axes"] == {"batch_size": 2}
    assert done.results["model"] == "2024"
    assert done.results["config"]["text"] == "What's up, (world)?"
    assert done.results["seed"] == 0


def test_an_interval_wants_a_sweeper(command: Command) -> None:
    """Hydra's basic one cannot sample."""
    done = command("--multirun", "model=toy", "test=fine", "batch_size=interval(1,3)")
    assert "an interval needs a sampling sweeper" in done.err


def test_all_mistakes_come_together(command: Command) -> None:
    """Four unlike errors, four lines."""
    done = command("model=unet", "image_size=7", "imge_size=3", "seed=x", "test.benchmark.min=1")
    assert done.err.startswith("modelbench: 4 configuration errors")
    assert "image_size=7: too small for unet; the minimum is 16" in done.err
    assert done.err.count("\n  - ") == 4
    assert not done.files


def test_sizes_obey_the_limits_of_the_model(command: Command) -> None:
    """The nearest sizes and the greatest one are named."""
    done = command("model=unet", "image_size=100")
    assert "unet takes multiples of 16; the nearest are 96 and 112" in done.err
    done = command("model=encoder", "sequence_length=65")
    assert "too large for encoder; the maximum is 64" in done.err


def test_every_job_of_a_sweep_is_checked_first(command: Command) -> None:
    """A size that only one of the models cannot take stops the sweep before its first job."""
    done = command("--multirun", "model=cnn,unet", "image_size=64,8", "test=fine")
    assert done.status == 1
    assert "image_size=8: too small for unet" in done.err
    assert not done.files


def test_flags_that_do_not_exist(command: Command, tmp_path: Path) -> None:
    """Argparse's own message, and our status."""
    done = command("--frobnicate")
    assert done.status == 1
    assert "unrecognized arguments: --frobnicate" in done.err


def test_a_folder_that_does_not_exist() -> None:
    """`--config-dir` is checked like everything else."""
    words = ["-m", "modelbench", "--config-dir", "nowhere", "seed=x"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere: no such folder" in done.stderr
    assert "seed=x: found the string 'x'" in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["image_size=abc"], ["test.benchmark.budget=1"]])
def test_help_and_errors_import_nothing_heavy(words: list[str]) -> None:
    """Neither torch nor MLflow, whatever the section that the error is in."""
    program = (
        "import atexit, sys; from modelbench.__main__ import main; sys.argv[1:] = sys.argv[1:]; "
        "atexit.register(lambda: print('heavy:', {'torch', 'mlflow'} & set(sys.modules))); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert "heavy: set()" in done.stdout
    assert done.returncode == (0 if words == ["--help"] else 1)
