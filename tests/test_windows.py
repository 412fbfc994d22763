"""What Windows does otherwise; what can be tried elsewhere is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import sleep

import psutil
import pytest

from modelbench.results import json_file
from modelbench.results.commands import joined_for_windows
from modelbench.results.failures import Exit, of_exit
from modelbench.results.json_file import write_json

CHILD = """import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
OWNER = f"""import os, subprocess, sys
from modelbench.system.job_object import JobObject
job = JobObject()
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, text=True)
assert job.add(child.pid)
print(child.pid, child.stdout.readline(), flush=True)
if "dies" in sys.argv:
    os._exit(1)
job.end()
"""


@pytest.mark.skipif(sys.platform != "win32", reason="job objects are Windows'")
@pytest.mark.parametrize("how", ["dies", "ends"])
def test_a_job_object_ends_its_processes(how: str) -> None:
    """With their children, when it is told to and when its owner goes away."""
    command = [sys.executable, "-c", OWNER, how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    for _ in range(50):
        if not any(psutil.pid_exists(pid) for pid in pids):
            return
        sleep(0.1)
    raise AssertionError(f"still there: {pids}")


def test_a_command_is_quoted_for_cmd_and_powershell() -> None:
    """The latter parts words at commas, and knows no single word with a bracket."""
    words = ["python", "-m", "modelbench", "test=[structure,memory]", "text=two words", r"C:\a\b"]
    told = joined_for_windows(words)
    assert told == r'python -m modelbench "test=[structure,memory]" "text=two words" C:\a\b'


def test_statuses_have_their_names() -> None:
    """Nobody knows 3221225477."""
    reason = of_exit(Exit(3221225477, None), "")
    assert "exited with status 3221225477 (0xC0000005: access violation)" in reason
    assert "exited with status 3 before" in of_exit(Exit(3, None), "")


def test_a_file_that_another_program_holds_is_written_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For some seconds; then the error is raised."""
    held = [True, True, False]
    replace = Path.replace

    def sometimes(self: Path, target: Path) -> Path:
        if held.pop(0):
            raise PermissionError(13, "Sharing violation")
        return replace(self, target)

    monkeypatch.setattr(json_file, "PATIENCE_S", (0.001, 0.001))
    monkeypatch.setattr(Path, "replace", sometimes)
    write_json(tmp_path / "results.json", {"a": 1})
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == '{\n "a": 1\n}\n'
    held[:] = [True, True, True]
    with pytest.raises(PermissionError):
        write_json(tmp_path / "results.json", {"a": 2})
