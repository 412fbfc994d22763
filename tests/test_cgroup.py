"""Limits of control groups are read as the kernel writes them; the tightest level counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbench.system import cgroup

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
MIB = 2**20

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = """32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def made(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """Write a /proc and a /sys below `root`."""
    for name, text in {
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return root


def test_without_limits_there_are_none(tmp_path: Path) -> None:
    """Neither on a machine without control groups, nor where they say so in their own words."""
    assert (cgroup.memory(tmp_path), cgroup.cores(tmp_path)) == (None, None)
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "4096\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    root = made(tmp_path / "1", "4:memory:/\n1:cpu,cpuacct:/\n0::/\n", V1, files)
    assert (cgroup.memory(root), cgroup.cores(root)) == (None, None)
    files = {"memory.max": "max\n", "memory.current": "4096\n", "cpu.max": "max 100000\n"}
    root = made(tmp_path / "2", "0::/\n", V2, files)
    assert (cgroup.memory(root), cgroup.cores(root)) == (None, None)


def test_version_2_of_a_container(tmp_path: Path) -> None:
    """Docker with --memory and --cpus: its own group is the root that it sees."""
    files = {
        "memory.max": f"{512 * MIB}\n",
        "memory.current": f"{300 * MIB}\n",
        "memory.stat": f"anon 1\ninactive_file {100 * MIB}\n",
        "memory.events": "low 0\nhigh 0\nmax 7\noom 0\n",
        "cpu.max": "50000 100000\n",
        "cpu.stat": "usage_usec 1\nnr_periods 9\nnr_throttled 3\n",
    }
    root = made(tmp_path, "0::/\n", V2, files)
    assert cgroup.memory(root) == cgroup.Memory(512 * MIB, 312 * MIB, 7)
    assert str(cgroup.memory(root)) == "0.50 GiB"
    assert cgroup.cores(root) == 0.5
    assert cgroup.throttled(root) == 3


def test_a_limit_above_counts(tmp_path: Path) -> None:
    """A user's slice may be tighter than the service in it, or leave less."""
    files = {
        "user.slice/memory.max": f"{1000 * MIB}\n",
        "user.slice/memory.current": f"{900 * MIB}\n",
        "user.slice/a.service/memory.max": f"{500 * MIB}\n",
        "user.slice/a.service/memory.current": f"{100 * MIB}\n",
        "user.slice/cpu.max": "150000 100000\n",
        "user.slice/a.service/cpu.max": "max 100000\n",
    }
    root = made(tmp_path, "0::/user.slice/a.service\n", V2, files)
    found = cgroup.memory(root)
    assert found is not None
    assert (found.limit, found.available) == (1000 * MIB, 100 * MIB)
    assert cgroup.cores(root) == 1.5


def test_version_1(tmp_path: Path) -> None:
    """Each controller in a tree of its own, beside an empty one of version 2."""
    files = {
        "memory/a/memory.limit_in_bytes": f"{1600 * MIB}\n",
        "memory/a/memory.usage_in_bytes": f"{600 * MIB}\n",
        "memory/a/memory.stat": f"cache 1\ntotal_inactive_file {200 * MIB}\n",
        "memory/a/memory.failcnt": "12\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": f"{9000 * MIB}\n",
        "cpu,cpuacct/a/cpu.cfs_quota_us": "150000\n",
        "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/a/cpu.stat": "nr_periods 5\nnr_throttled 2\n",
    }
    root = made(tmp_path, "4:memory:/a\n1:cpu,cpuacct:/a\n0::/\n", V1, files)
    assert cgroup.memory(root) == cgroup.Memory(1600 * MIB, 1200 * MIB, 12)
    assert cgroup.cores(root) == 1.5
    assert cgroup.throttled(root) == 2


def test_a_container_that_sees_its_hosts_path(tmp_path: Path) -> None:
    """Without a namespace of its own: the mount shows the end of the path, which is its root."""
    mount = V2.replace("0:26 / /sys", "0:26 /docker/abc /sys")
    root = made(tmp_path, "0::/docker/abc\n", mount, {"cpu.max": "200000 100000\n"})
    assert cgroup.cores(root) == 2
    root = made(tmp_path, "0::/docker/abc/in\n", mount, {"in/cpu.max": "100000 100000\n"})
    assert cgroup.cores(root) == 1
    elsewhere = made(tmp_path, "0::/../../moved\n", mount, {})
    assert cgroup.cores(elsewhere) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [("memory.max", "plenty\n"), ("memory.max", ""), ("cpu.max", "max\n"), ("memory.stat", "x")],
)
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, name: str, text: str) -> None:
    """A kernel may write what nobody knows yet."""
    files = {"memory.current": "1\n", name: text}
    root = made(tmp_path, "0::/\n", V2, files)
    assert (cgroup.memory(root), cgroup.cores(root)) == (None, None)


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a real control group below our own; skips where that is not allowed."""
    places = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    own = next((path for _, kinds, path in places if kinds in {"memory", ""}), "/").lstrip("/")
    tops = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    for top in tops:
        folder = top / own / "modelbench-test"
        try:
            folder.mkdir()
        except OSError:
            continue
        limits = [folder / name for name in ("memory.limit_in_bytes", "memory.max")]
        if any(limit.exists() for limit in limits):
            yield folder
            folder.rmdir()
            return
        folder.rmdir()
    pytest.skip("no control group can be made here")


def test_a_real_limit_is_seen_by_a_process_in_it(group: Path) -> None:
    """And only there."""
    limit = next(f for n in ("memory.limit_in_bytes", "memory.max") if (f := group / n).exists())
    limit.write_text(f"{400 * MIB}")
    program = (
        f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        "from modelbench.system import cgroup\n"
        "print(cgroup.memory().limit, cgroup.available_memory())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    seen, left = map(int, done.stdout.split())
    assert seen == 400 * MIB
    assert 300 * MIB < left < 400 * MIB
    assert cgroup.available_memory() > 400 * MIB
