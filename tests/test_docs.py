"""The docs are complete and what they tell people to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CONFIGS, Command
from hydra import compose, initialize_config_dir

from modelbench import compare, gate, history
from modelbench.config import schema

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(file: Path) -> list[tuple[str, str]]:
    """Return the language and text of a page's code blocks."""
    return BLOCK.findall(file.read_text(encoding="utf-8"))


def commands(file: Path) -> list[str]:
    """Return the commands of a page that run modelbench itself."""
    lines = [line for kind, text in blocks(file) if kind == "bash" for line in text.splitlines()]
    return [line for line in lines if line.startswith("python -m modelbench ")]


GENERAL = {"forward": "PHASE", "bf16": "SCHEME", "image_size": "AXIS", "batch_size": "AXIS",
           "SimpleCNN": "CLASS"}  # fmt: skip

RUNS = {line: file for file in DOCS for line in commands(file)}


def test_the_walk_sees_the_pages() -> None:
    """And commands in them."""
    assert len(DOCS) == 14
    assert len(RUNS) >= 6


LONG = ("model=stable_diffusion", "--multirun", "model=class_", "image_size=64", "precision=bf16",
        "test=recommend", "test=runtimes", "runtime=onnxruntime", "test=profile", "model.width=64",
        "int8_rows")  # fmt: skip
"""Words of commands that take more than half a minute."""


def marked(line: str) -> Any:
    """Return a command as a parameter, slow where it takes long."""
    slow = any(word in line for word in LONG)
    return pytest.param(line, RUNS[line], id=line, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(("line", "file"), [marked(line) for line in RUNS])
def test_each_command_works_as_it_stands(
    line: str, file: Path, command: Command, tmp_path: Path
) -> None:
    """With the files beside it that the page shows."""
    for _, text in blocks(file):
        named = re.search(r"^# (my_configs/\S+)", text, re.MULTILINE)
        if named:
            target = tmp_path / named[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    done = command(*shlex.split(line)[3:], tracker="")
    assert (done.status, done.err) == (0, "")
    assert "Traceback" not in done.out


def test_every_option_and_key_is_documented() -> None:
    """Groups, options, top-level keys, and the settings of every stage and tracker."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        config = compose("config")
    for group in (*schema.SECTIONS, "experiment"):
        for file in (schema.CONF / group).glob("*.yaml"):
            assert f"`{file.stem}`" in page, f"{group}={file.stem}"
    for key in set(config) - set(schema.SECTIONS):
        assert f"`{key}`" in page, key
    for group in ("device", "precision", "runtime", "tracker"):
        for key in set(config[group]) - {"_target_"}:
            assert f"`{group}.{key}`" in page, key
    for stage, settings in config.test.items():
        for key in set(settings) - {"_target_"}:
            assert f"`test.{stage}.{key}`" in page, key
    for key in schema.Model.__dataclass_fields__:
        assert f"| `{key}` |" in page, key


@pytest.mark.slow
def test_every_metric_is_documented(command: Command) -> None:
    """Each that a run writes, with its phase generalised."""
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    done = command("model=cnn", "test.benchmark.min_s=0.5", "test.quantization.schemes=[bf16]")

    def generalised(part: re.Match[str]) -> str:
        return GENERAL[part[1]]

    for name, stage in done.results["stages"].items():
        assert stage["status"] == "passed"
        for metric in stage["metrics"]:
            general = re.sub(r"(?<=[/-])(forward|bf16|\w+_size)(?=[/.])", generalised, metric)
            assert f"`{general}`" in page, metric
        for artifact in stage["artifacts"]:
            named = r"(?<=[/_-])(\w+_size|forward|SimpleCNN)(?=[/.])"
            general = re.sub(named, generalised, artifact)
            assert f"| `{general}` | from `{name}`" in page


def test_the_shipped_yamls_are_all_there_is() -> None:
    """The tests' own folder adds options, and shadows none."""
    ours = {file.relative_to(schema.CONF) for file in schema.CONF.rglob("*.yaml")}
    theirs = {file.relative_to(CONFIGS) for file in CONFIGS.rglob("*.yaml")}
    assert not ours & theirs


def test_the_korean_readme_says_the_same() -> None:
    """Each command, output and YAML is that of the English one, and so are the sections."""
    english, korean = ROOT / "README.md", ROOT / "docs" / "README.ko.md"
    assert blocks(korean) == blocks(english)
    pages = [file.read_text(encoding="utf-8") for file in (english, korean)]
    for mark in (r"^#+ ", r"^- ", r"^\|", r"!\["):
        counts = [len(re.findall(mark, page, re.MULTILINE)) for page in pages]
        assert counts[0] == counts[1], mark
    names = [set(re.findall(r"`([^`\n]+)`", BLOCK.sub("", page))) for page in pages]
    assert names[0] == names[1]


def test_links_lead_somewhere() -> None:
    """Between the pages."""
    for file in DOCS:
        for link in re.findall(r"\]\((?!http)([^)#]+)", file.read_text(encoding="utf-8")):
            assert (file.parent / link).exists(), f"{file.name}: {link}"


def test_the_messages_that_the_docs_explain_are_ours(command: Command) -> None:
    """Word for word where they can be provoked here."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    done = command("model.build._target_=timm.create_model")
    assert done.err.splitlines()[1].strip() in page
    done = command("model=toy", "test=hang", "test.hang.timeout_s=0.5")
    reason = done.results["stages"]["hang"]["reason"]
    assert reason.replace("hang", "structure").replace("0.5", "300") in page


def test_the_workflow_runs_what_there_is() -> None:
    """Every step has an action at a version, or commands whose words the programs take."""
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    workflow = yaml.safe_load(block)
    assert set(workflow["jobs"]) == {"gate", "compare"}
    seen = set()
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
            for line in step.get("run", "").splitlines():
                for program in (compare, gate):
                    words = shlex.split(line.partition(" > ")[0])
                    if words[1:3] != ["-m", f"modelbench.{program.__name__.rpartition('.')[2]}"]:
                        continue
                    cut = words.index("--") if "--" in words else len(words)
                    program._parser().parse_args(words[3:cut])
                    seen.add(program)
    assert seen == {compare, gate}


def test_the_options_of_comparisons_are_documented() -> None:
    """All of them."""
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    for program in (compare, gate, history):
        for action in program._parser()._actions:
            for option in action.option_strings:
                assert option in {"-h", "--help"} or option in page, option
