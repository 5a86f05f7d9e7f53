"""The files of the access log: named, listed, and let go of, oldest first."""

from __future__ import annotations

import os

import pytest
from tests.store.accesses import DAY, NOON

from latchgate.store.access_files import listed, name_of, open_to_append, trim

TODAY = int(NOON // DAY)


@pytest.fixture
def folder(tmp_path):
    """Four files of 1000 bytes, of four days, the last of them of today."""
    for back in range(4):
        (tmp_path / name_of(TODAY - back, 7, back)).write_bytes(b"x" * 1000)
    (tmp_path / "notes.txt").write_text("an operator's own")
    (tmp_path / "access-20269999-7.jsonl").write_text("no such day")
    (tmp_path / "access-20261121-8.jsonl").symlink_to(tmp_path / "notes.txt")
    return tmp_path


def days(folder):
    return [TODAY - one.day for one in listed(folder)]


def test_only_files_of_ours_are_listed_oldest_first(folder):
    assert days(folder) == [3, 2, 1, 0]
    assert [one.number for one in listed(folder)] == [3, 2, 1, 0]
    assert listed(folder / "nothing") == []


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ({"days": 30, "max_bytes": 4_000}, [3, 2, 1, 0]),
        ({"days": 30, "max_bytes": 3_999}, [2, 1, 0]),
        ({"days": 2, "max_bytes": 4_000}, [2, 1, 0]),
        ({"days": 1, "max_bytes": 1_000}, [0]),
        ({"days": 30, "max_bytes": 0}, []),
    ],
)
def test_age_and_size_take_the_oldest_first_and_nothing_else(folder, kept, left):
    trim(folder, now=NOON, **kept)
    assert days(folder) == left
    assert len(list(folder.iterdir())) == len(left) + 3


def test_a_file_that_is_written_to_stays_until_it_is_not(folder):
    oldest = listed(folder)[0].path
    opened = open_to_append(oldest)
    trim(folder, days=1, max_bytes=0, now=NOON)
    assert [one.path for one in listed(folder)] == [oldest]
    os.close(opened)
    trim(folder, days=1, max_bytes=0, now=NOON)
    assert listed(folder) == []
