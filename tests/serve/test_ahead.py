"""What another process works out ahead: all of it in order, its faults, its end with ours."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal

import pytest
from tests.world import until

from latchgate.serve.ahead import AheadError, ahead


def test_all_that_an_iterator_gives_comes_in_its_order_from_another_process():
    with ahead((os.getpid(), at) for at in range(100)) as following:
        given = list(following)
    assert [at for _, at in given] == list(range(100))
    assert os.getpid() not in {pid for pid, _ in given}


def test_what_was_taken_before_is_not_given_again():
    made = iter(range(5))
    assert next(made) == 0
    with ahead(made) as following:
        assert list(following) == [1, 2, 3, 4]


def test_an_exception_of_the_iterator_is_raised_where_it_is_used():
    def failing():
        yield 1
        raise ValueError("the second one")

    with ahead(failing()) as following:
        assert next(following) == 1
        with pytest.raises(ValueError, match="the second one"):
            next(following)


def test_a_process_that_was_killed_is_no_end_of_the_work():
    def killed():
        yield 1
        os.kill(os.getpid(), signal.SIGKILL)

    with ahead(killed()) as following:
        assert next(following) == 1
        with pytest.raises(AheadError):
            next(following)


def test_it_is_ended_when_it_is_not_used_to_its_end():
    with ahead(itertools.count()) as following:
        assert next(following) == 0
        (copy,) = multiprocessing.active_children()
    assert copy.exitcode is not None


def test_it_ends_by_itself_when_nobody_reads_any_more(tmp_path):
    found = tmp_path / "pid"

    def endless():
        found.write_text(str(os.getpid()), encoding="ascii")
        yield from itertools.count()

    user = os.fork()
    if user == 0:
        with ahead(endless()) as following:
            next(following)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(user, 0)
    copy = int(found.read_text(encoding="ascii"))
    until(lambda: not _runs(copy), seconds=30, what="the end of the other process")


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - one read
            return stat.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
