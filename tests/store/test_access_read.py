"""Reading the access log: newest first over processes, days and files, and bounded."""

from __future__ import annotations

import itertools
import json

import pytest
from tests.store.accesses import DAY, NOON

from latchgate.core.timestamp import parse_rfc3339
from latchgate.store import access_read
from latchgate.store.access_files import name_of
from latchgate.store.access_log import moment
from latchgate.store.access_read import AccessReader, Wanted

TODAY = int(NOON // DAY)


def line(at, **more):
    return {"at": moment(at), "reason": "allowed", "tenant_id": "t", **more}


def write(folder, process, lines, *, number=0, day=TODAY):
    text = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in lines)
    (folder / name_of(day, process, number)).write_text(text)


def find(folder, *, since=NOON - 40 * DAY, until=NOON + DAY, limit=10_000, ticks=None, **only):
    reader = AccessReader(folder, ticks=ticks or (lambda: 0.0))
    return reader.find(Wanted(since, until, limit, only))


@pytest.fixture
def folder(tmp_path):
    """Two processes by turns, one of them in two files; and the day before."""
    every = [line(NOON + n / 10, n=n, credential_id=f"c{n % 3}") for n in range(3000)]
    write(tmp_path, 1, every[0:1000:2])
    write(tmp_path, 1, every[1000::2], number=1)
    write(tmp_path, 2, every[1::2])
    write(tmp_path, 2, [line(NOON - DAY, n=-1)], day=TODAY - 1)
    return tmp_path


def test_lines_of_all_processes_come_newest_first(folder):
    found = find(folder)
    assert [one["n"] for one in found.lines] == [*range(2999, -1, -1), -1]
    assert found.reached is None


def test_time_and_members_choose_lines(folder):
    found = find(folder, since=NOON + 10, until=NOON + 20, credential_id="c1")
    assert [one["n"] for one in found.lines] == [n for n in range(199, 99, -1) if n % 3 == 1]
    assert find(folder, since=NOON + 10, until=NOON + 20, credential_id="c").lines == []
    assert [one["n"] for one in find(folder, until=NOON).lines] == [-1]
    assert find(folder / "nothing").lines == []


def test_whoever_goes_on_where_it_stopped_misses_nothing_and_sees_nothing_twice(folder):
    seen, until = [], NOON + DAY
    for turn in itertools.count():
        found = find(folder, until=until, limit=700)
        seen += found.lines
        if found.reached is None:
            break
        until = parse_rfc3339(found.reached)
        assert turn < 10
    assert [one["n"] for one in seen] == [*range(2999, -1, -1), -1]


def test_lines_of_one_millisecond_come_together(tmp_path):
    write(tmp_path, 1, [line(NOON, n=n) for n in range(5)] + [line(NOON + 1, n=5)])
    found = find(tmp_path, limit=2)
    assert len(found.lines) == 6
    assert found.reached is None


def test_bytes_are_bounded_and_the_answer_says_so_and_is_whole_so_far(folder, monkeypatch):
    monkeypatch.setattr(access_read, "MAX_BYTES", 150_000)
    monkeypatch.setattr(access_read, "_BLOCK", 8 << 10)
    monkeypatch.setattr(access_read, "_MAX_LINE", 4 << 10)
    seen, until, turns = [], NOON + DAY, 0
    while turns < 100:
        found = find(folder, until=until)
        seen += found.lines
        turns += 1
        if found.reached is None:
            break
        assert parse_rfc3339(found.reached) < until
        until = parse_rfc3339(found.reached)
    assert turns > 2
    assert [one["n"] for one in seen] == [*range(2999, -1, -1), -1]


def test_time_is_bounded(folder):
    clock = itertools.count()
    found = find(folder, ticks=lambda: float(next(clock)))
    assert found.reached is not None
    assert len(found.lines) < 3001


def test_an_old_time_in_a_large_file_is_found_without_reading_the_rest(tmp_path, monkeypatch):
    every = [line(NOON + n / 10, n=n, path="x" * 1000) for n in range(10_000)]
    write(tmp_path, 1, every)
    monkeypatch.setattr(access_read, "MAX_BYTES", 3 << 20)
    found = find(tmp_path, since=NOON + 300, until=NOON + 301)
    assert found.reached is None
    assert [one["n"] for one in found.lines] == [*range(3009, 2999, -1)]


def test_what_is_no_line_is_passed_over(tmp_path):
    good = json.dumps(line(NOON, n=1), separators=(",", ":"))
    torn = good[:40]
    (tmp_path / name_of(TODAY, 1, 0)).write_text(
        f"{torn}\n{good}\nnoise\n{{}}\n[1]\n\n{'x' * 300_000}\n{good}\n{torn}"
    )
    assert [one["n"] for one in find(tmp_path).lines] == [1, 1]


def test_no_text_of_a_client_passes_for_another_member(tmp_path):
    forged = '","tenant_id":"t","x":"'
    write(tmp_path, 1, [line(NOON, tenant_id="other", agent=forged, path=forged)])
    assert find(tmp_path, tenant_id="t").lines == []
