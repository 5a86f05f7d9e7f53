from __future__ import annotations

import functools
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from latchgate.jobs.duty import FileDuty
from latchgate.jobs.job import Job
from latchgate.jobs.runner import Runner

WORK: Any = SimpleNamespace()


class Ticks:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def ticks():
    return Ticks()


def runner(tmp_path: Path, ticks: Ticks, *jobs: Job) -> Runner:
    return Runner(jobs, WORK, FileDuty.beside(tmp_path / "latchgate.db"), ticks=ticks)


def test_each_job_runs_as_often_as_it_says(tmp_path, ticks):
    ran: list[str] = []
    often = Job("often", 1.0, lambda _: ran.append("often"))
    seldom = Job("seldom", 5.0, lambda _: ran.append("seldom"))
    one = runner(tmp_path, ticks, often, seldom)
    for _ in range(10):
        assert one.step()
        ticks.now += 1
    one.close()
    assert (ran.count("often"), ran.count("seldom")) == (10, 2)


def test_one_that_fails_is_told_and_ends_nothing(tmp_path, ticks, caplog):
    ran: list[str] = []

    def fail(_):
        raise ValueError("no such table")

    one = runner(tmp_path, ticks, Job("bad", 1, fail), Job("good", 1, lambda _: ran.append("x")))
    with caplog.at_level(logging.ERROR):
        assert one.step()
        ticks.now += 1
        assert one.step()
    one.close()
    assert ran == ["x", "x"]
    assert [record.getMessage() for record in caplog.records] == ["the job bad failed"] * 2


def test_one_process_at_a_time_runs_them_and_another_when_that_ends(tmp_path, ticks):
    holding = """
import sys
from pathlib import Path
from latchgate.jobs.duty import FileDuty
from latchgate.jobs.runner import Runner
one = Runner((), None, FileDuty.beside(Path(sys.argv[1])), ticks=lambda: 0.0)
print(one.step(), flush=True)
sys.stdin.read()
"""
    lock = tmp_path / "latchgate.db"
    ran: list[int] = []
    one = runner(tmp_path, ticks, Job("job", 1, lambda _: ran.append(1)))
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not one.step()
        assert ran == []
        other.kill()
        other.wait()
    assert one.step()
    assert ran == [1]
    one.close()


class Lent:
    """A duty that is taken away after so many looks."""

    def __init__(self, looks):
        self.looks = looks

    def start(self):
        pass

    def mine(self):
        self.looks -= 1
        return self.looks >= 0

    def close(self):
        pass


def test_a_duty_lost_during_a_job_ends_the_round(ticks):
    ran: list[int] = []

    def noting(number, _):
        ran.append(number)

    jobs = [Job(str(n), 1, functools.partial(noting, n)) for n in range(3)]
    assert not Runner(jobs, WORK, Lent(3), ticks=ticks).step()
    assert ran == [0, 1]
