"""The journal in segments: each row once, whole files only, and what was done to a folder."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from tests.manage.journals import Journal, alter, rechain
from tests.world import mode

from latchgate.core.timestamp import parse_rfc3339
from latchgate.keyring.errors import KeyringError
from latchgate.manage import segments
from latchgate.manage.chain import parse_head
from latchgate.manage.segment_check import verify_directory
from latchgate.manage.segments import SegmentError, last, names, prune, write_next

pytestmark = pytest.mark.both_databases

DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    made.note(5)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "segments"


def write(journal, folder, now=NOW):
    return write_next(journal.store, journal.master_file, folder, now=now)


def grown(journal, folder, count=3):
    """Write some segments of some rows each; returns the files of their rows."""
    for day in range(count):
        write(journal, folder, NOW + day * DAY)
        journal.note(4)
    return [name.rows(folder) for name in names(folder)[0]]


def problems(folder, **more):
    found = verify_directory(folder, **more).report
    assert found.sound is not bool(found.faults)
    return [one.problem for one in found.faults]


# --- writing


def test_every_row_is_in_one_segment_and_none_is_skipped(journal, folder):
    files = grown(journal, folder)
    write(journal, folder)
    assert write(journal, folder) is None
    text = b"".join(file.read_bytes() for file in sorted(folder.glob("*.jsonl")))
    lines = [json.loads(line) for line in text.splitlines()]
    assert [one["n"] for one in lines] == list(range(1, journal.n + 1))
    assert mode(files[0]) == mode(folder / files[0].with_suffix(".head.json").name) == 0o600
    assert mode(folder) == 0o700
    whole = journal.export().splitlines()[:-1]
    assert [json.loads(line) for line in whole] == lines


def test_a_segment_that_is_full_is_followed_by_another(journal, folder, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 4)
    monkeypatch.setattr(segments, "_BATCH", 3)
    journal.note(3)
    written = []
    while (one := write(journal, folder)) is not None:
        written.append((one.name.first, one.name.last, one.full))
    n = journal.n
    assert written == [(at, min(at + 3, n), min(at + 3, n) - at == 3) for at in range(1, n + 1, 4)]
    assert problems(folder) == []


def test_what_a_crash_left_is_written_again(journal, folder):
    files = grown(journal, folder, 2)
    text = files[-1].read_bytes()
    files[-1].with_suffix(".head.json").unlink()
    (folder / ".journal-000000000001-000000000002.jsonl.part").write_text("half")
    write(journal, folder)
    assert problems(folder) == []
    assert not list(folder.glob(".*"))
    rest = names(folder)[0][-1].rows(folder).read_bytes()
    assert rest.startswith(text)


@pytest.mark.parametrize("fails", ["write", "fsync", "rename"])
def test_a_disk_that_fails_leaves_no_part_and_the_next_try_goes_on(
    journal, folder, monkeypatch, fails
):
    grown(journal, folder, 1)
    before = sorted(one.name for one in folder.iterdir())

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        if fails == "write":
            patched.setattr(segments, "spelled", full)
        elif fails == "fsync":
            patched.setattr(os, "fsync", full)
        else:
            patched.setattr(Path, "rename", full)
        with pytest.raises(OSError, match="No space left"):
            write(journal, folder)
    assert sorted(one.name for one in folder.iterdir()) == before
    assert write(journal, folder) is not None
    assert problems(folder) == []


def test_a_file_in_the_place_of_the_folder_is_an_error(journal, folder):
    folder.write_text("x")
    with pytest.raises(OSError, match="exists"):
        write(journal, folder)


def test_nothing_is_written_without_the_master_key(journal, folder):
    journal.master_file.unlink()
    with pytest.raises(KeyringError):
        write(journal, folder)
    assert list(folder.iterdir()) == []


def test_another_journal_or_an_older_one_is_never_added(journal, folder):
    grown(journal, folder, 2)
    head = journal.head()
    kept = sorted(one.name for one in folder.iterdir())
    alter(journal.database, "UPDATE journal SET actor = 'x' WHERE n = 2")
    rechain(journal.database)
    with pytest.raises(SegmentError, match="rows before it were altered"):
        write(journal, folder)
    alter(journal.database, "DELETE FROM journal WHERE n > 3")
    rechain(journal.database)
    with pytest.raises(SegmentError, match=r"this one stands at 3; keep that folder"):
        write(journal, folder)
    alter(journal.database, "UPDATE journal_head SET epoch = 'another', n = ?", head.n)
    with pytest.raises(SegmentError, match="of another journal"):
        write(journal, folder)
    assert sorted(one.name for one in folder.iterdir()) == kept


def test_rows_that_are_gone_end_the_export(journal, folder):
    alter(journal.database, "DELETE FROM journal WHERE n = 3")
    with pytest.raises(SegmentError, match="run latchgate audit verify"):
        write(journal, folder)
    assert list(folder.glob("*")) == []


def test_segments_kept_long_enough_go_but_never_the_last(journal, folder):
    grown(journal, folder, 3)
    assert prune(folder, until=NOW + DAY) == 1
    assert prune(folder, until=NOW + DAY) == 0
    assert problems(folder) == []
    assert verify_directory(folder).begins == names(folder)[0][0].first > 1
    assert prune(folder, until=NOW + 900 * DAY) == 1
    left = last(folder)
    assert left is not None
    assert parse_rfc3339(left.head.at) == NOW + 2 * DAY
    write(journal, folder)
    assert problems(folder) == []


# --- checking


def test_a_whole_folder_is_sound_and_leads_to_a_kept_head(journal, folder):
    kept = journal.head()
    grown(journal, folder)
    found = verify_directory(folder, against=kept, public_keys=[kept.public_key])
    assert (found.segments, found.begins, found.key_ids) == (3, 1, [kept.key_id])
    assert (found.report.sound, found.report.against) == (True, kept.n)


def test_an_altered_row_is_told_with_its_file(journal, folder):
    files = grown(journal, folder)
    files[1].write_bytes(files[1].read_bytes().replace(b"test.change", b"test.chance", 1))
    (told,) = problems(folder)
    assert told == f"{files[1].name}: was altered: its hash is not that of what it says"


def test_a_missing_segment_is_told_by_its_numbers(journal, folder):
    files = grown(journal, folder)
    first, upto = (int(part) for part in files[1].stem.split("-")[1:])
    files[1].unlink()
    gap, head = problems(folder)
    assert gap == f"{files[2].name}: numbers {first} to {upto} are in no segment before it"
    assert head.endswith("the segment of this head is missing")


def test_swapped_segments_are_told(journal, folder):
    files = grown(journal, folder)
    one, other = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(other)
    files[1].write_bytes(one)
    assert {told.split(":")[0] for told in problems(folder)} >= {files[0].name, files[1].name}


def test_a_renamed_segment_is_told(journal, folder):
    files = grown(journal, folder)
    name = names(folder)[0][2]
    other = segments.Name(name.first, name.last + 1)
    files[2].rename(other.rows(folder))
    name.head(folder).rename(other.head(folder))
    assert any("by its name it ends at" in told for told in problems(folder))


def test_a_cut_segment_and_one_without_its_head_are_told(journal, folder):
    files = grown(journal, folder)
    files[2].write_bytes(b"".join(files[2].read_bytes().splitlines(keepends=True)[:-1]))
    assert "by its name it ends at" in problems(folder)[0]
    files[2].with_suffix(".head.json").unlink()
    assert f"{files[2].name}: has no signed head beside it" in problems(folder)


def test_a_segment_made_anew_is_told_by_its_head(journal, folder):
    files = grown(journal, folder)
    alter(journal.database, "UPDATE journal SET actor = 'x' WHERE n = 2")
    rechain(journal.database)
    forged = folder.with_name("forged")
    write_next(journal.store, journal.master_file, forged, now=NOW)
    lines = next(forged.glob("*.jsonl")).read_bytes().splitlines(keepends=True)
    for file in files:
        first, upto = (int(part) for part in file.stem.split("-")[1:])
        file.write_bytes(b"".join(lines[first - 1 : upto]))
    told = problems(folder)
    assert len(told) == 3
    assert all("was signed for" in one for one in told)


def test_an_altered_head_is_told_with_its_file(journal, folder):
    files = grown(journal, folder)
    head = files[0].with_suffix(".head.json")
    head.write_bytes(head.read_bytes().replace(b'"at":"20', b'"at":"19'))
    (told,) = problems(folder)
    assert told.startswith(f"{head.name}: the head of 19")
    head.write_text("{}")
    assert problems(folder)[0].startswith(f"{head.name}: is no signed head")


def test_heads_of_another_key_are_told_unless_it_was_given(journal, folder):
    grown(journal, folder, 2)
    one = parse_head(names(folder)[0][0].head(folder).read_bytes())
    journal.replace_key()
    write(journal, folder)
    other = journal.head()
    assert "give the public key of each" in problems(folder)[0]
    assert problems(folder, public_keys=[one.public_key, other.public_key]) == []
    assert "no key that was given" in problems(folder, public_keys=[one.public_key])[0]


def test_gone_segments_at_either_end_are_told_by_a_kept_head(journal, folder):
    early = journal.head()
    grown(journal, folder)
    late = journal.head()
    assert "its end was cut" in problems(folder, against=late)[0]
    prune(folder, until=NOW + 900 * DAY)
    assert "nothing here shows what it says" in problems(folder, against=early)[0]


def test_an_empty_folder_and_a_line_that_is_none_are_told(journal, folder):
    folder.mkdir()
    assert problems(folder) == ["there is no segment in this folder"]
    files = grown(journal, folder, 1)
    files[0].write_bytes(b"[]\n" + files[0].read_bytes())
    assert problems(folder)[0].startswith(f"{files[0].name}: line 1 is neither a row nor a head")
