"""Other versions: python benchmarks/versions.py [PYTHON:TORCH...], such as python3.12:2.14.1.

For each pair a virtual environment is made below outputs/benchmarks/versions, filled as the README
says but for torch, and the default run and the tests run in it. Takes a quarter of an hour for
each; what has been installed is kept.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import perf_counter

from report import OUTPUTS, table

ROOT = Path(__file__).resolve().parent.parent
PAIRS = ("python3.11:2.11.0", "python3.11:2.14.1", "python3.12:2.13.0", "python3.13:2.13.0")


def main() -> None:
    """Try each pair, and tell."""
    rows = [_tried(*pair.rsplit(":", 1)) for pair in sys.argv[1:] or PAIRS]
    table("other versions", ("python", "torch", "installed", "default run", "tests", "s"), rows)
    sys.exit(any("failed" in row[3] or "failed" in row[4] for row in rows))


def _tried(python: str, torch: str) -> tuple[str, ...]:
    start = perf_counter()
    folder = OUTPUTS / "versions" / f"{Path(python).name}-{torch}"
    own = str(folder / "bin" / "python")
    if not folder.is_dir():
        _run(python, "-m", "venv", str(folder))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = folder / "constraints.txt"
    pinned = [line for line in lines if not line.startswith("torch==")]
    constraints.write_text("\n".join([*pinned, f"torch=={torch}", ""]), encoding="utf-8")
    found = _run(own, "-m", "pip", "install", "-q", "-c", str(constraints), "-e", ".[dev]")
    if found.returncode:
        return (python, torch, f"failed: {_last(found)}", "", "", f"{perf_counter() - start:.0f}")
    asked = "import sys, torch; print(sys.version.split()[0], torch.__version__)"
    installed = _last(_run(own, "-c", asked))
    run = _run(own, "-m", "modelbench", "tracker=none", f"hydra.run.dir={folder / 'run'}")
    verdict = next((w for w in run.stdout.splitlines()[::-1] if w.startswith(("passed", "failed"))),
                   f"failed: {_last(run)}")  # fmt: skip
    tests = _run(own, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    (folder / "tests.log").write_text(tests.stdout + tests.stderr, encoding="utf-8")
    return (python, torch, installed, verdict, _last(tests), f"{perf_counter() - start:.0f}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    print("+", *command, file=sys.stderr, flush=True)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return lines[-1] if lines else f"status {done.returncode}"


if __name__ == "__main__":
    main()
