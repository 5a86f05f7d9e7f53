"""Real processes that share a token: started together, killed, stopped, forked as they fetch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.client.issuer import LIMIT, until
from tests.client.stage import Asked, Said, Stage

pytestmark = pytest.mark.enable_socket

_BEGIN = """
import os, sys, threading
from pathlib import Path
from latchgate.client import KakaoCloud
from latchgate.client.adapters.urllib import Opener
from latchgate.client.token_cache import TokenCache

url, folder, patience = sys.argv[1:4]
cache = TokenCache(Path(folder), patience=float(patience)) if folder else None
cloud = KakaoCloud("id", "hunter2hunter2", url=url, cache=cache)
def get():
    return Opener(cloud).open(cloud.url + "/things").read().decode()
"""
GET = _BEGIN + "print(get())"
# Forks while a thread of it fetches: the child asks for itself and prints, the parent then too.
FORK = (
    _BEGIN
    + """
leader = threading.Thread(target=get)
leader.start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    print("child", get(), flush=True)
    os._exit(0)
print("forked", child, flush=True)
_, status = os.waitpid(child, 0)
leader.join()
print("parent", get(), status)
"""
)
# Forks a child that lives on and does nothing.
FORK_AND_STAY = (
    _BEGIN
    + """
leader = threading.Thread(target=get, daemon=True)
leader.start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
print("forked", child, flush=True)
leader.join()
"""
)


class Identity:
    """An identity API on a stage; its first answer waits for `gate`, things are their token."""

    def __init__(self) -> None:
        self.exchanges = 0
        self.gate = threading.Event()
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Said:
        if asked.method == "GET":
            return Said(body=(asked.header("X-Auth-Token") or "none").encode())
        with self._lock:
            self.exchanges += 1
            number = self.exchanges
        if number == 1:
            assert self.gate.wait(LIMIT)
        token = {
            "issued_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-01T12:00:00Z",
            "user": {"id": "u"},
            "project": {"id": "p"},
            "roles": [{"name": "r"}],
        }
        body = json.dumps({"token": token}).encode()
        return Said(201, body, {"X-Subject-Token": f"token-{number}"})


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def identity() -> Identity:
    return Identity()


@pytest.fixture
def start(identity: Identity, tmp_path: Path) -> Iterator[Start]:
    """Start a program with the stage's address, the cache's folder and its patience."""
    started: list[subprocess.Popen[str]] = []

    def starting(
        program: str, *, patience: float = 1e9, cache: bool = True
    ) -> subprocess.Popen[str]:
        folder = str(tmp_path / "tokens") if cache else ""
        one = subprocess.Popen(
            [sys.executable, "-c", program, stage.url, folder, str(patience)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(one)
        return one

    with Stage(identity.answer) as stage:
        yield starting
        identity.gate.set()
        for one in started:
            one.kill()
            one.communicate()


def told(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    return out.strip()


def test_processes_that_start_at_once_cause_one_exchange(start, identity):
    processes = [start(GET) for _ in range(6)]
    until(lambda: identity.exchanges == 1)
    identity.gate.set()
    assert [told(one) for one in processes] == ["token-1"] * 6
    assert identity.exchanges == 1


def test_one_that_is_killed_while_it_fetches_hands_over(start, identity):
    killed = start(GET)
    until(lambda: identity.exchanges == 1)
    others = [start(GET) for _ in range(3)]
    killed.send_signal(signal.SIGKILL)
    assert [told(one) for one in others] == ["token-2"] * 3
    assert identity.exchanges == 2


def test_one_that_is_stopped_while_it_fetches_is_passed_over_and_overwrites_nothing(
    start, identity
):
    stopped = start(GET)
    until(lambda: identity.exchanges == 1)
    stopped.send_signal(signal.SIGSTOP)
    assert told(start(GET, patience=0.2)) == "token-2"
    identity.gate.set()
    stopped.send_signal(signal.SIGCONT)
    assert told(stopped) == "token-1"
    assert told(start(GET)) == "token-2"
    assert identity.exchanges == 2


@pytest.mark.parametrize("cache", [True, False], ids=["in files", "in memory"])
def test_a_child_that_was_forked_while_its_parent_fetches_does_not_hang(start, identity, cache):
    process = start(FORK, cache=cache)
    until(lambda: identity.exchanges == 1)
    say(process)
    assert process.stdout.readline().startswith("forked")
    if not cache:  # else it waits for its parent's, as for any other process
        assert process.stdout.readline() == "child token-2\n"
    identity.gate.set()
    out = told(process).splitlines()
    assert out == ["parent token-1 0"] if not cache else ["child token-1", "parent token-1 0"]
    assert identity.exchanges == (1 if cache else 2)


def test_a_child_does_not_hold_on_to_the_lock_of_a_parent_that_was_killed(start, identity):
    parent = start(FORK_AND_STAY)
    until(lambda: identity.exchanges == 1)
    say(parent)
    child = int(parent.stdout.readline().split()[1])
    parent.send_signal(signal.SIGKILL)
    parent.wait(LIMIT)
    assert told(start(GET)) == "token-2"
    os.kill(child, 0)  # which lived all the while, and ends with its input


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
