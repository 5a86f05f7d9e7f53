"""What this machine is, how fast, and what a process on it has used.

Rule of this file: CPU time is the kernel's own accounting of the measured process, so that the
load generator and whatever else runs here stay out of it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import platform
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from latchgate.store.sqlite import driver

ROOT = Path(__file__).absolute().parent.parent
REFERENCE_SHA256_US = 0.24  # of the machine that the wanted figures were set on
_BESIDE: Mapping[str, str] = {"nginx": "-v", "wrk": "-v"}
_MEASURED = ("src", "benchmarks/*.py", "soak", "locks")
_TICKS = os.sysconf("SC_CLK_TCK")


class UnableError(Exception):
    """The benchmark can't run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of a process since it began; all but `total` in ticks of 10 ms."""

    total: float
    user: float
    kernel: float
    other_threads: float  # of user and kernel: all threads but the first …
    other_kernel: float  # … and of that the kernel

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(
            self.total + other.total,
            self.user + other.user,
            self.kernel + other.kernel,
            self.other_threads + other.other_threads,
            self.other_kernel + other.other_kernel,
        )

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(
            self.total - before.total,
            self.user - before.user,
            self.kernel - before.kernel,
            self.other_threads - before.other_threads,
            self.other_kernel - before.other_kernel,
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, in MiB: resident, and resident with shared pages divided."""

    rss: float
    pss: float


def cpu(process_id: int) -> Cpu:
    """Return the CPU time that a process and its threads, ended ones too, have used."""
    # clock_getcpuclockid(3), which Python lacks for processes: exact, where /proc counts ticks.
    total = time.clock_gettime((~process_id << 3) | 2)
    user, kernel = _ticks(Path(f"/proc/{process_id}/stat"))
    own, own_kernel = _ticks(Path(f"/proc/{process_id}/task/{process_id}/stat"))
    others = user + kernel - own - own_kernel
    return Cpu(total, user, kernel, others, kernel - own_kernel)


def _ticks(stat: Path) -> tuple[float, float]:
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS


def core_seconds(core: int) -> float:
    """Return how long a core has been busy since the machine started, whoever used it."""
    line = re.search(rf"^cpu{core} (.*)$", Path("/proc/stat").read_text(), re.MULTILINE)
    assert line is not None
    user, nice, system, _idle, _wait, *interrupts = line[1].split()
    return sum(int(ticks) for ticks in (user, nice, system, *interrupts[:3])) / _TICKS


def memory(process_id: int) -> Memory:
    """Return the memory of a process as the kernel adds it up now."""
    text = Path(f"/proc/{process_id}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE))
    return Memory(int(found["Rss"]) / 1024, int(found["Pss"]) / 1024)


def peak_rss(process_id: int) -> float:
    """Return the most that a process was resident with since it began, in MiB."""
    text = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found is not None else 0.0  # none: it is ending


def calibrate() -> dict[str, float]:
    """Return what machines and builds of Python can be compared by: medians over short runs.

    `sha256_us`: one SHA-256 of 64 bytes. `python_ns`: one turn of a small loop of bytecode.
    """
    digests, loops = [_sha256(500) for _ in range(200)], [_loop(500) for _ in range(200)]
    return {
        "sha256_us": statistics.median(digests) / 1_000,
        "python_ns": statistics.median(loops),
    }


def _sha256(turns: int) -> float:
    text, digest = bytes(64), hashlib.sha256
    begun = time.perf_counter_ns()
    for _ in range(turns):
        digest(text).digest()
    return (time.perf_counter_ns() - begun) / turns


def _loop(turns: int) -> float:
    known = {"sum": 0}
    begun = time.perf_counter_ns()
    for i in range(turns):
        known["sum"] = known["sum"] + i & 255
    return (time.perf_counter_ns() - begun) / turns


def cores() -> tuple[int, int]:
    """Return the core of the measured programs and the core of everything else."""
    free = sorted(os.sched_getaffinity(0))
    if len(free) < 2:
        raise UnableError("two cores are needed: one to measure on, one to ask from")
    return free[0], free[1]


def program(name: str) -> str:
    """Return where a program is; UnableError when it isn't installed."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise UnableError(f"{name} is not installed; on Debian: apt-get install {name}")
    return found


def facts(*, beside: Mapping[str, str] = _BESIDE) -> dict[str, str]:
    """Return what a reader needs to judge the figures by.

    `beside` are programs that took part, each with the option that makes it say its version.
    """
    told = {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "machine": f"{_cpu_model()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()} ({platform.python_compiler()})",
        "libraries": ", ".join(
            [f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools", "msgspec")]
            + [f"SQLite {driver.sqlite_version}"]
        ),
        "beside": "; ".join(said(name, option) for name, option in beside.items()),
    }
    return {name: value for name, value in told.items() if value}


def commit() -> str:
    """Return the commit measured, and whether the source differs from it."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return "unknown"
    named = _output(git, "rev-parse", "--short=10", "HEAD")
    changed = _output(git, "status", "--porcelain", "--", *_MEASURED)
    return f"{named} with local changes" if changed else named


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def said(name: str, option: str) -> str:
    """Return what a program says its version is; UnableError when it isn't installed."""
    done = subprocess.run([program(name), option], capture_output=True, text=True, check=False)
    line = (done.stdout + done.stderr).splitlines()[0]
    return line.removeprefix("nginx version: ").partition(" Copyright")[0].partition(" [")[0]


def _cpu_model() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
