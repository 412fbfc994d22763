"""Whatever a stage does, it has a result, and the other stages have theirs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import CONFIGS, Command

from modelbench.results.failures import of_error
from modelbench.system.forking import FORKS

ENDS = {
    "raise": "ValueError: a [reason]",
    "exit": "the model's code called sys.exit(3)",
    "die": "the worker process exited with status 3 before the stage had a result",
    "kill": r"killed by signal 9 (SIGKILL): most likely out of memory; peak so far",
    "segfault": "killed by signal 11 (SIGSEGV); ",
    "allocate": "out of memory: MemoryError; try batch_size=1",
    "unplain": "TypeError: Object of type PosixPath is not JSON serializable",
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_every_end_is_a_result(command: Command) -> None:
    """Each way to fail has its reason, and the stages around it pass."""
    done = command("model=toy", f"test=[{','.join(ENDS)},skip,fine]")
    stages = done.results["stages"]
    assert done.status == 1
    assert done.results["status"] == "failed"
    assert list(stages) == [*ENDS, "skip", "fine"]
    for name, reason in ENDS.items():
        assert stages[name]["status"] == "failed"
        assert stages[name]["reason"].startswith(reason)
        assert stages[name]["reason"] in " ".join(done.out.split())
    assert (stages["skip"]["status"], stages["skip"]["reason"]) == ("skipped", "it does not apply")
    assert stages["fine"]["status"] == "passed"
    log = done.files[0].with_name("model_test.log").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert "and more of it" in log


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_killed_worker_tells_its_peak(command: Command) -> None:
    """The peak covers the 700 MiB that the stage held, though nobody polled for it."""
    done = command("model=toy", "test=kill")
    reason = done.results["stages"]["kill"]["reason"]
    found = re.fullmatch(r".*peak so far ([\d.]+) GiB; try batch_size=1", reason)
    assert found, reason
    assert 0.7 < float(found[1]) < 3


@pytest.mark.skipif(sys.platform == "win32", reason="the guard is POSIX")
def test_a_stage_that_ends_well_tells_its_peak_too(command: Command) -> None:
    """Torch alone takes a hundred MiB or more, and the stage next to nothing."""
    details = command("model=toy", "test=fine").results["stages"]["fine"]["details"]
    assert 100 < details["worker_peak_mib"] < 1500


def test_a_hang_is_ended_at_its_limit(command: Command) -> None:
    """The reason names the setting, the log where it hung, and the next stage runs."""
    done = command("model=toy", "test=[hang,fine]", "test.hang.timeout_s=0.5")
    hang = done.results["stages"]["hang"]
    assert hang["reason"].startswith("timed out after 0.5 s")
    assert "test.hang.timeout_s" in hang["reason"]
    assert hang["seconds"] < 10
    assert done.results["stages"]["fine"]["status"] == "passed"
    log = done.files[0].with_name("model_test.log").read_text(encoding="utf-8")
    assert "faults.py" in log


def test_a_part_that_dies_costs_that_part(command: Command) -> None:
    """A new process goes on behind it; what was found before and after stands, once."""
    stage = command("model=toy", "test=[parts,fine]").results["stages"]["parts"]
    pids = [stage["metrics"][f"parts/{name}"]["value"] for name in "abc"]
    assert len(set(pids)) == 3
    why = "the worker process exited with status 3 before the stage had a result"
    assert stage["reason"] == f"part die: {why}; part die: {why}"
    assert stage["details"]["notes"] == ["said each time", "a is done", "b is done", "c is done"]
    assert stage["status"] == "failed"


def test_a_part_that_hangs_loses_nothing_before_it(command: Command) -> None:
    """There is no time for the parts behind it."""
    words = "test.parts.parts=[a,hang,b]", "test.parts.timeout_s=2"
    stage = command("model=toy", "test=parts", *words).results["stages"]["parts"]
    assert list(stage["metrics"]) == ["parts/a"]
    assert stage["reason"].startswith("part hang: timed out after 2 s")


@pytest.mark.timing
def test_an_answer_that_comes_too_late_is_a_failure(command: Command) -> None:
    """Its figures stand."""
    stage = command("model=toy", "test=fine", "test.fine.timeout_s=0.0001").results["stages"][
        "fine"
    ]
    assert stage["status"] == "failed"
    assert "longer than test.fine.timeout_s=0.0001" in stage["reason"]
    assert "fine/pid" in stage["metrics"]


def test_what_a_model_prints_goes_to_the_log(command: Command) -> None:
    """The tables stay clean, the log has it; a NaN metric is a warning."""
    done = command("model=toy", "test=fine")
    assert "printed by the model" not in done.out
    log = done.files[0].with_name("model_test.log").read_text(encoding="utf-8")
    assert "printed by the model" in log
    assert "nothing" not in done.results["stages"]["fine"]["metrics"]
    assert done.results["stages"]["fine"]["warnings"] == [
        "nothing came out as nan and is not reported"
    ]
    assert "a note with [brackets]" in done.out


def test_a_model_whose_code_dies_on_import_is_a_failed_job(
    command: Command, tmp_path: Path
) -> None:
    """The worker's death before any stage is the job's reason."""
    (tmp_path / "deadly.py").write_text("import os\nos._exit(7)\nclass Net: ...\n")
    sys.path.insert(0, str(tmp_path))
    done = command("model=toy", "test=fine", "model.build={_target_: deadly.Net}")
    assert done.status == 1
    assert done.results["reason"].startswith("the worker process exited with status 7")
    assert done.results["stages"] == {}


def test_a_result_that_json_lacks_harms_nothing(command: Command) -> None:
    """NaN in a series is null, and the other numbers are kept."""
    done = command("model=toy", "test=fine")
    assert done.results["stages"]["fine"]["series"]["fine/odd"] == [1.0, None, None]


def test_a_stage_need_not_repeat_its_defaults(command: Command) -> None:
    """A YAML without `timeout_s` has that of the stage's class."""
    done = command("model=toy", "test=plain")
    assert done.results["stages"]["plain"]["status"] == "passed"
    assert done.results["config"]["test"]["plain"]["timeout_s"] == 300


def test_two_runs_in_one_second_have_a_folder_each(command: Command) -> None:
    """And a folder that is named is taken as it is."""
    for _ in range(3):
        command("model=toy", "test=fine")
    assert len(command("model=toy", "test=fine").files) == 4
    for _ in range(2):
        done = command("model=toy", "test=fine", "hydra.run.dir=outputs/mine")
    assert len(done.files) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_the_children_of_a_killed_stage_end_with_it(command: Command) -> None:
    """Nothing goes on in the background; large files that it left are removed."""
    done = command("model=toy", "test=orphans")
    assert done.results["stages"]["orphans"]["status"] == "failed"
    child = int((done.files[0].parent / "child.txt").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"
    assert not (done.files[0].parent / ".scratch").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_a_stage_that_was_stopped_and_continued_still_has_its_limit(command: Command) -> None:
    """SIGSTOP and SIGCONT wake the guard, which must go on listening."""
    done = command("model=toy", "test=naps", "test.naps.timeout_s=3")
    assert done.results["stages"]["naps"]["reason"].startswith("timed out after 3 s")


def test_a_reader_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    """`| head` closes the pipe; the job runs on to its end."""
    words = [sys.executable, "-m", "modelbench", "--config-dir", str(CONFIGS), "model=toy"]
    process = subprocess.Popen(
        [*words, "test=fine", "tracker=none"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    (file,) = tmp_path.rglob("results.json")
    assert json.loads(file.read_text())["status"] == "passed"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_while_the_worker_starts(tmp_path: Path) -> None:
    """Torch is still being imported: the most likely moment to think better of it."""
    words = [sys.executable, "-m", "modelbench", "tracker=none", "hydra.run.dir=here"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    file = tmp_path / "here" / "results.json"
    for _ in range(300):
        if file.exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 130
    found = json.loads(file.read_text())
    assert (found["status"], found["reason"]) == ("killed", "stopped by Ctrl-C")


@pytest.mark.skipif(not FORKS, reason="spawned workers run all stages")
def test_each_stage_has_a_process_of_its_own(command: Command) -> None:
    """Caches of one stage cannot flatter the next."""
    stages = command("model=toy", "test=[fine,also_fine]").results["stages"]
    pids = [stages[name]["metrics"][f"{name}/pid"]["value"] for name in ("fine", "also_fine")]
    assert pids[0] != pids[1]


@pytest.mark.skipif(not FORKS, reason="there is no fork server here")
def test_workers_collect_garbage_but_not_modules() -> None:
    """What the fork server has imported is frozen, and collection is on again behind it."""
    program = (
        "import modelbench.execution.preload, gc; print(gc.isenabled(), gc.get_freeze_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )  # fmt: skip
    enabled, frozen = done.stdout.split()
    assert (enabled, int(frozen) > 10_000) == ("True", True)


def test_a_missing_graphviz_is_named_with_its_remedy() -> None:
    """However the model's code called it; another missing file is just that."""
    page = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text()
    assert of_error(FileNotFoundError(2, "No such file", "dot"), "") in page
    executable = type("ExecutableNotFound", (RuntimeError,), {})
    assert of_error(executable("failed"), "") in page
    assert of_error(FileNotFoundError(2, "No such file", "weights"), "") not in page
