"""Real servers for tests: PostgreSQL, and MLflow's tracking server upon it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

READY_S = 90.0


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, where it is installed."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return Path(found).parent if found else next(iter(folders), None)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """Run a PostgreSQL of its own on a free port; yield the address of its database."""
    folder = Path(tempfile.mkdtemp(prefix="modelbench-postgres-"))
    own: dict[str, str] = {}
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # it refuses to run as root
        own = {"user": "postgres"}
        shutil.chown(folder, "postgres")
    port = free_port()
    data = folder / "data"
    run = [str(programs / "initdb"), "-D", str(data), "-U", "modelbench", "-A", "trust"]
    subprocess.run(run, check=True, capture_output=True, cwd=folder, **own)  # type: ignore[call-overload]
    server = subprocess.Popen(
        [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder),
         "-c", "listen_addresses=127.0.0.1"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **own,
    )  # type: ignore[call-overload]  # fmt: skip
    try:
        _listening(port)
        yield f"postgresql://modelbench@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def tracking_server(
    folder: Path, store: str, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run `mlflow server` on a free port of this machine alone; yield its address."""
    port = free_port()
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts"),
         "--workers", "1", *options],
        cwd=folder, stdout=log, stderr=log,
        env={**os.environ, **(environment or {}), "MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    try:
        _healthy(f"http://127.0.0.1:{port}", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        family = [*psutil.Process(server.pid).children(recursive=True)]
        server.kill()
        for each in family:
            if each.is_running():
                each.kill()
        server.wait(timeout=30)
        log.close()


def _listening(port: int) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def _healthy(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"{address}: {log.read_text(encoding='utf-8')[-2000:]}")
