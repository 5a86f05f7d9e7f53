"""Run the ```console blocks of a document as its reader would, and compare what is printed.

A block holds commands and the lines that each one prints. A command stands behind `$ ` and goes on
while a line ends in a backslash, or to the end of its here-document; it must end with status 0.
`…` stands for any text within a line; a line that is only `…` stands for any lines, or none. Two
spaces or more, which stand between columns, match any number of them from two on.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.stack import free_address
from tests.forked import in_path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
API, CONSOLE, VERIFY, GATE, FILES, APP = 8420, 8421, 8422, 8080, 9000, 8000
SECONDS = 60.0

_FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HERE = re.compile(r"<<'?(\w+)'?")
_MARK = "end-of-command"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: the line it starts on, its language, its text."""

    line: int
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One command and what it prints."""

    line: int
    command: str
    expected: str


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 1, found[2], found[3])
        for found in _FENCE.finditer(text)
    ]


def steps(block: Block) -> list[Step]:
    out: list[Step] = []
    lines = block.text.splitlines()
    at = 0
    while at < len(lines):
        assert lines[at].startswith("$ "), f"line {block.line + 1 + at}: no command before it"
        begun, command = at, [lines[at][2:]]
        at += 1
        while command[-1].endswith("\\"):
            command.append(lines[at])
            at += 1
        here = _HERE.search(command[-1])
        while here is not None and command[-1] != here[1]:
            command.append(lines[at])
            at += 1
        printed = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        expected = "\n".join(lines[printed:at])
        out.append(Step(block.line + 1 + begun, "\n".join(command), expected))
    return out


def pattern(expected: str) -> re.Pattern[str]:
    parts = []
    for line in expected.rstrip().splitlines():
        if line.strip() == "…":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            words = r"[^\n]*?".join(map(re.escape, line.rstrip().split("…")))
            parts.append(re.sub(r"(\\ ){2,}", " {2,}", words) + r"\n")
    return re.compile("".join(parts))


def plain(output: str) -> str:
    """Return output as it is compared: without carriage returns and blanks at an end."""
    lines = output.replace("\r", "").rstrip().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def free_ports(*usual: int) -> dict[int, int]:
    """Return a free port for each usual one."""
    return {port: free_address()[1] for port in usual}


def with_ports(text: str, ports: Mapping[int, int]) -> str:
    for usual, free in ports.items():
        text = re.sub(
            rf"(?<=127\.0\.0\.1:){usual}\b|(?<=localhost:){usual}\b|(?<=--port ){usual}\b",
            str(free),
            text,
        )
    return text


def environment(folder: Path, *, fresh: bool = False) -> dict[str, str]:
    """Return a reader's environment: nothing of Latchgate's set, the program in PATH.

    Nor what `make test` hands down: a make that knows it was called by another says other things.
    The program is the installed one if `fresh`, else one that has imported its modules before.
    """
    inherited = ("LATCHGATE_", "PYTHON", "MAKE", "MFLAGS")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(inherited) and not name.lower().endswith("_proxy")
    }
    kept |= {"HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}
    found = [BIN, kept.get("PATH", "/usr/bin:/bin"), "/usr/sbin"]
    if not fresh:
        found.insert(0, in_path(kept))
    return kept | {"PATH": ":".join(map(str, found))}


def init(folder: Path, ports: Mapping[int, int]) -> None:
    """Make a Latchgate in a folder, with free ports instead of the usual ones.

    A copy of one that was made once: fifty pages would each wait for their own.
    """
    shutil.copytree(_made().name, folder, dirs_exist_ok=True)
    for name in ("latchgate.toml", "profile.toml"):
        file = folder / ".latchgate" / name
        text = file.read_text(encoding="utf-8")
        for port in (API, CONSOLE, VERIFY):
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ports[port]}")
        file.write_text(text, encoding="utf-8")


@cache
def _made() -> TemporaryDirectory[str]:
    """Run `latchgate init` in a folder that goes when this process ends."""
    folder = TemporaryDirectory(prefix="latchgate-init-")
    made = subprocess.run(
        ["latchgate", "init"],
        cwd=folder.name,
        env=environment(Path(folder.name)),
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return folder


class Shell:
    """One bash, fed a command at a time."""

    def __init__(self, folder: Path, ports: Mapping[int, int], *, fresh: bool = False) -> None:
        self._ports = ports
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=environment(folder, fresh=fresh),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def check(self, step: Step) -> None:
        """Run one step; AssertionError shows what it printed instead."""
        command = with_ports(step.command, self._ports)
        output, status = self._run(command)
        expected = with_ports(step.expected, self._ports)
        shown = f"line {step.line}: $ {command}\nprinted (status {status}):\n{output}"
        assert status == 0, shown
        assert pattern(expected).fullmatch(output), f"{shown}\ninstead of:\n{expected}"

    def _run(self, command: str) -> tuple[str, int]:
        stdin = self._process.stdin
        assert stdin is not None
        # On a line of its own, whether or not the output ended with a line end.
        script = f"{{\n{command}\n}} </dev/null\nprintf '\\n{_MARK} %s\\n' $?\n"
        stdin.write(script.encode())
        stdin.flush()
        end = re.compile(rf"\n{_MARK} (\d+)\n\Z")
        output = read_until(self._process, end)
        found = end.search(output)
        assert found is not None, f"$ {command}\nprinted, and did not end:\n{output}"
        return plain(output[: found.start()]), int(found[1])

    def close(self) -> None:
        stop(self._process, signal.SIGKILL)


def read_until(process: subprocess.Popen[bytes], end: re.Pattern[str]) -> str:
    """Return what a process prints up to a pattern, its end, or 60 s."""
    out = process.stdout
    assert out is not None
    deadline = time.monotonic() + SECONDS
    held = b""
    while not end.search(held.decode(errors="replace")):
        ready, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(out.fileno(), 65_536) if ready else b""
        if not chunk:
            break
        held += chunk
    return held.decode(errors="replace")


def stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a process and whatever it started in its session, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        raise
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


@contextmanager
def terminal(command: str, expected: str, folder: Path, *, fresh: bool = False) -> Iterator[None]:
    """Run a command that stays, in a terminal of its own, until the block ends: then Ctrl-C."""
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(folder, fresh=fresh),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        printed = plain(read_until(process, re.compile(r"Latchgate is up.*\n")))
        shown = f"$ {command}\nprinted:\n{printed}\ninstead of:\n{expected}"
        assert pattern(expected).fullmatch(printed), shown
        yield
    finally:
        stop(process, signal.SIGINT)


@contextmanager
def shell(folder: Path, ports: Mapping[int, int], *, fresh: bool = False) -> Iterator[Shell]:
    """Give a bash, and end it and what it left running."""
    session = Shell(folder, ports, fresh=fresh)
    try:
        yield session
    finally:
        session.close()
        for left in folder.rglob("nginx.pid"):  # a daemon is in no session of ours
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(left.read_text(encoding="utf-8")), signal.SIGTERM)
