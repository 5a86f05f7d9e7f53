"""Everything that somebody with the database file can do to the journal, and who notices."""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from contextlib import closing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.manage.journals import Journal, alter, rechain, rows_of

from latchgate.keyring.signing import Purpose, draw, read, spell, unseal
from latchgate.manage import chain
from latchgate.manage.audit import Head
from latchgate.manage.chain import HeadError, parse_head, verify_database, verify_export
from latchgate.store import evidence
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.evidence import COLUMNS
from latchgate.store.journal import GENESIS
from latchgate.store.journal import chain as seal
from latchgate.store.migrate import migrate


@pytest.fixture
def journal(tmp_path):
    """A journal of some rows, with a signing key."""
    made = Journal(tmp_path)
    made.note(12)
    yield made
    made.close()


def found(journal, head=None, **more):
    report = verify_database(journal.database, against=head, **more)
    assert report.sound is not bool(report.faults)
    return report


def numbers(report):
    return [one.n for one in report.faults]


# --- what is whole


def test_a_whole_journal_is_sound_with_and_without_a_head(journal):
    report = found(journal)
    assert (report.sound, report.faults, report.against) == (True, [], None)
    rows = rows_of(journal.database)
    assert (report.rows, report.n) == (len(rows), rows[-1]["n"])
    assert report.hash == rows[-1]["hash"].hex()
    early = journal.head()
    assert found(journal, early).sound
    journal.note(5)
    report = found(journal, early)
    assert (report.sound, report.against, report.n) == (True, early.n, early.n + 5)


def test_every_earlier_head_still_fits_when_the_journal_has_grown(journal):
    heads = []
    for _ in range(4):
        heads.append(journal.head())
        journal.note(3)
    assert all(found(journal, head).sound for head in heads)


def test_what_a_retired_key_signed_still_fits(journal):
    head = journal.head()
    journal.replace_key()
    assert journal.head().key_id != head.key_id
    assert found(journal, head).sound


# --- one row

OTHERS: dict[str, list[object]] = {
    "at": [1.0, "text", b"blob", 2**62],
    "actor": ["somebody else", b"local:test", 7],
    "action": ["key.create", b"x"],
    "noun": ["tenant", b"x"],
    "record": ["other", b"x", 7],
    "tenant_id": ["t-other", b"x"],
    "detail": ["{}", b"x"],
    "credential_id": ["k-other", b"x"],
    "address": ["192.0.2.9", b"x"],
    "previous": [b"\x01" * 32, "text", b"short", 7],
    "hash": [bytes(32), "text", b"short", 7],
}


@pytest.mark.parametrize("column", OTHERS)
def test_an_altered_column_is_told_by_its_number(journal, column):
    for row in rows_of(journal.database)[:: journal.n // 2]:
        for value in OTHERS[column]:
            set_one = f"UPDATE journal SET {column} = ? WHERE n = ?"  # noqa: S608
            alter(journal.database, set_one, value, row["n"])
            told = numbers(found(journal))
            assert told[0] == row["n"]
            assert set(told) <= {row["n"], row["n"] + 1, None}
            alter(journal.database, set_one, row[column], row["n"])
            assert found(journal).sound


def test_every_column_of_the_journal_is_covered():
    assert set(OTHERS) | {"n"} == set(COLUMNS)


def test_a_value_that_is_spelled_alike_in_another_type_is_altered(journal):
    # In JSON a blob is its base64: these two rows have the same hash.
    with journal.change("abcd") as change:
        n = change.n
    alter(journal.database, "UPDATE journal SET record = ? WHERE n = ?", b"i\xb7\x1d", n)
    assert numbers(found(journal)) == [n]


def test_bytes_that_are_no_text_are_an_altered_row_and_no_crash(journal):
    alter(journal.database, "UPDATE journal SET actor = CAST(x'ff80' AS TEXT) WHERE n = 3")
    assert numbers(found(journal)) == [3]


def test_rows_on_every_page_are_checked(journal, monkeypatch):
    monkeypatch.setattr(evidence, "_PAGE", 3)
    head = journal.head()
    journal.note(7)
    assert found(journal, head).sound
    alter(journal.database, "UPDATE journal SET actor = CAST(x'ff80' AS TEXT) WHERE n = 8")
    alter(journal.database, "UPDATE journal SET action = 'x' WHERE n IN (2, 11)")
    assert numbers(found(journal, head)) == [2, 8, 11]


@given(st.lists(st.tuples(*[st.text()] * 5, *[st.none() | st.text()] * 3, st.floats()), max_size=4))
def test_whole_rows_are_those_whose_hash_the_journal_would_write(told):
    rows, digest = [], GENESIS
    for n, (actor, action, noun, record, detail, tenant, credential, address, at) in enumerate(
        told
    ):
        values = (n + 1, at, actor, action, noun, record, tenant, detail, credential, address)
        sealed = seal(digest, dict(zip(COLUMNS, values, strict=False)))
        rows.append((*values, digest, sealed))
        digest = sealed
    assert evidence.whole(rows, 0, GENESIS) == len(rows)
    for at, row in enumerate(rows):
        for index in range(len(COLUMNS)):
            others = [*rows[:at], (*row[:index], "other", *row[index + 1 :]), *rows[at + 1 :]]
            assert evidence.whole(others, 0, GENESIS) <= at or row[index] == "other"


def test_a_removed_origin_is_an_altered_row(journal):
    with journal.change("u-1", credential_id="k-1", address="192.0.2.1") as change:
        n = change.n
    alter(journal.database, "UPDATE journal SET address = NULL WHERE n = ?", n)
    assert numbers(found(journal)) == [n]


# --- rows


@pytest.mark.parametrize("n", [1, 6])
def test_a_removed_row_is_told_by_its_number(journal, n):
    alter(journal.database, "DELETE FROM journal WHERE n = ?", n)
    (fault,) = found(journal).faults
    assert (fault.n, fault.problem) == (n, f"number {n} is missing")


def test_several_removed_rows_are_told_as_one_gap(journal):
    alter(journal.database, "DELETE FROM journal WHERE n BETWEEN 4 AND 7")
    (fault,) = found(journal).faults
    assert (fault.n, fault.problem) == (4, "numbers 4 to 7 are missing")


def test_a_removed_last_row_is_told_by_the_head_row(journal):
    last = journal.n
    alter(journal.database, "DELETE FROM journal WHERE n = ?", last)
    (fault,) = found(journal).faults
    assert fault.problem == f"the head row stands at {last}, the journal ends at {last - 1}"


def test_a_removed_row_is_told_when_the_others_are_numbered_anew(journal):
    alter(journal.database, "DELETE FROM journal WHERE n = 4")
    for n in range(5, journal.n + 1):
        alter(journal.database, "UPDATE journal SET n = ? WHERE n = ?", n - 1, n)
    assert numbers(found(journal))[0] == 4


def test_two_swapped_rows_are_told(journal):
    alter(journal.database, "UPDATE journal SET n = -1 WHERE n = 4")
    alter(journal.database, "UPDATE journal SET n = 4 WHERE n = 7")
    alter(journal.database, "UPDATE journal SET n = 7 WHERE n = -1")
    assert {4, 7} <= set(numbers(found(journal)))


@pytest.mark.parametrize("n", [0, -3])
def test_a_row_before_the_first_is_told(journal, n):
    copy_row(journal, 1, n)
    assert numbers(found(journal))[0] == n


def test_a_row_after_the_last_is_told(journal):
    n = journal.n + 1
    copy_row(journal, 3, n)
    assert n in numbers(found(journal))


def test_an_inserted_row_is_told_when_the_others_make_room(journal):
    for n in range(journal.n, 4, -1):
        alter(journal.database, "UPDATE journal SET n = ? WHERE n = ?", n + 1, n)
    copy_row(journal, 3, 5)
    assert numbers(found(journal))[0] == 5


def copy_row(journal, n, to):
    (row,) = [one for one in rows_of(journal.database) if one["n"] == n]
    names = ", ".join(COLUMNS)
    marks = ", ".join("?" * len(COLUMNS))
    told = [to if name == "n" else row[name] for name in COLUMNS]
    alter(journal.database, f"INSERT INTO journal ({names}) VALUES ({marks})", *told)  # noqa: S608


def test_an_emptied_journal_is_told(journal):
    alter(journal.database, "DELETE FROM journal")
    assert not found(journal).sound


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal_head SET n = n + 1",
        "UPDATE journal_head SET n = n - 1",
        "UPDATE journal_head SET n = 'text'",
        "UPDATE journal_head SET hash = zeroblob(32)",
        "UPDATE journal_head SET hash = 'text'",
        "DELETE FROM journal_head",
        "INSERT INTO journal_head SELECT 2, n, hash, epoch FROM journal_head",
    ],
)
def test_a_replaced_head_row_is_told(journal, statement):
    alter(journal.database, statement)
    report = found(journal)
    assert not report.sound
    assert numbers(report) == [None]


def test_many_faults_are_counted_and_only_the_first_are_kept(journal):
    journal.note(150)
    alter(journal.database, "UPDATE journal SET actor = 'x'")
    report = found(journal)
    assert len(report.faults) == chain.MAX_FAULTS
    assert report.unlisted == journal.n - chain.MAX_FAULTS


# --- what only a head that was kept can tell


def test_a_chain_made_anew_is_sound_in_itself_and_told_by_the_head(journal):
    head = journal.head()
    alter(journal.database, "UPDATE journal SET actor = 'somebody else' WHERE n = 5")
    rechain(journal.database)
    assert found(journal).sound
    report = found(journal, head)
    assert numbers(report) == [head.n]
    assert "written anew" in report.faults[0].problem


def test_a_cut_end_is_told_by_the_head_even_when_the_head_row_was_cut_too(journal):
    head = journal.head()
    alter(journal.database, "DELETE FROM journal WHERE n > ?", head.n - 3)
    rechain(journal.database)
    assert found(journal).sound
    report = found(journal, head)
    assert numbers(report) == [head.n - 2]
    assert "its end was cut, or an older copy was put back" in report.faults[0].problem


def test_a_cut_end_is_told_when_the_journal_went_on_after_it(journal):
    head = journal.head()
    alter(journal.database, "DELETE FROM journal WHERE n > ?", head.n - 3)
    rechain(journal.database)
    journal.note(20)
    report = found(journal, head)
    assert numbers(report) == [head.n]


def test_an_older_copy_put_back_is_told(journal, tmp_path):
    journal.checkpoint()
    shutil.copy(journal.database, tmp_path / "old")
    journal.note(4)
    head = journal.head()
    journal.close()
    for beside in ("-wal", "-shm"):
        journal.database.with_name(journal.database.name + beside).unlink(missing_ok=True)
    shutil.copy(tmp_path / "old", journal.database)
    assert found(journal).sound
    report = found(journal, head)
    assert numbers(report) == [head.n - 3]


def test_another_epoch_is_told(journal):
    head = journal.head()
    alter(journal.database, "UPDATE journal_head SET epoch = 'another'")
    report = found(journal, head)
    assert [one.problem for one in report.faults] == [
        "this journal is of another epoch (another) than the head's"
    ]


def test_a_key_that_the_store_does_not_know_is_told(journal):
    head = journal.head()
    alter(journal.database, "DELETE FROM signing_key")
    (fault,) = found(journal, head).faults
    assert fault.problem == f"the head's key {head.key_id} is none of this store's"


def test_a_head_signed_by_somebody_else_is_told(journal):
    # As somebody would who can replace the kept head, but not the store's key.
    head = journal.head()
    forged = journal.signed_by(
        unseal(draw(Purpose.AUDIT, journal.master, secrets.token_bytes), journal.master)
    )
    assert "is none of this store's" in found(journal, forged).faults[0].problem
    assert found(journal, head, public_key=head.public_key).sound
    # ... and even when they enter it into the store: the operator knows the key.
    alter(
        journal.database,
        "INSERT INTO signing_key (id, purpose, public, private, created_at, begins_at, retired_at)"
        " SELECT ?, purpose, ?, private, created_at, created_at, 1.0 FROM signing_key"
        " WHERE purpose = 'audit'",
        forged.key_id,
        raw(forged),
    )
    assert found(journal, forged).sound
    (fault,) = found(journal, forged, public_key=head.public_key).faults
    assert f"signed by {forged.key_id}, not by the key given" in fault.problem


def raw(head: Head) -> bytes:
    return read(head.public_key, 32)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 1),
        ("hash", "0" * 64),
        ("epoch", "x"),
        ("at", "2020-01-01T00:00:00Z"),
        ("key_id", "x"),
        ("public_key", spell(bytes(32))),
        ("public_key", "short"),
        ("signature", spell(bytes(64))),
        ("signature", ""),
        ("signature", "é"),
    ],
)
def test_an_altered_head_is_told(journal, field, value):
    head = msgspec.structs.replace(journal.head(), **{field: value})
    problems = " ".join(one.problem for one in found(journal, head).faults)
    assert "its signature does not hold" in problems or "another key than it carries" in problems


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"head": 1}',
        b'{"n": -1}',
    ],
)
def test_what_is_no_head_is_told(text):
    with pytest.raises(HeadError, match="is no signed head"):
        parse_head(text)


def test_a_head_is_read_as_it_is_printed_and_as_an_export_ends(journal):
    head = journal.head()
    assert parse_head(msgspec.json.encode(head)) == head
    assert parse_head(msgspec.json.encode({"head": head})) == head
    later = msgspec.structs.replace(head, format="latchgate-audit-head-2")
    with pytest.raises(HeadError, match="head-2"):
        parse_head(msgspec.json.encode(later))
    with pytest.raises(HeadError, match="unknown field"):
        parse_head(msgspec.json.encode(msgspec.to_builtins(head) | {"more": 1}))


# --- exports


@pytest.fixture
def export(journal, tmp_path):
    """The lines of an export, and a function that checks others in their place."""
    return journal.export().splitlines(keepends=True)


def checked(tmp_path, lines, head=None, **more):
    file = tmp_path / "export.jsonl"
    file.write_bytes(b"".join(lines))
    return verify_export(file, against=head, **more)


def test_a_whole_export_is_sound_without_any_database(journal, export, tmp_path):
    head = journal.head()
    report = checked(tmp_path, export, head, public_key=head.public_key)
    assert (report.sound, report.n, report.epoch) == (True, head.n, head.epoch)


@pytest.mark.parametrize("name", COLUMNS)
def test_an_altered_line_is_told_by_its_number(export, tmp_path, name):
    told = json.loads(export[4])
    told[name] = {"n": 77, "at": 1.5}.get(name, "00" * 32)
    export[4] = json.dumps(told).encode() + b"\n"
    report = checked(tmp_path, export)
    assert not report.sound
    assert numbers(report)[0] in {5, 77, 6}


def test_a_removed_line_swapped_lines_and_a_repeated_line_are_told(export, tmp_path):
    assert numbers(checked(tmp_path, export[:3] + export[4:])) == [4]
    assert not checked(tmp_path, [*export[:3], export[4], export[3], *export[5:]]).sound
    assert 4 in numbers(checked(tmp_path, [*export[:4], *export[3:]]))


def test_an_export_without_its_end_is_told(export, tmp_path):
    report = checked(tmp_path, export[:-1])
    assert "does not end in a signed head" in report.faults[0].problem
    assert not checked(tmp_path, []).sound
    assert not checked(tmp_path, [*export[:-1], export[-1][:40]]).sound


def test_an_export_cut_before_an_older_head_is_told(journal, export, tmp_path):
    journal.note(3)
    head = journal.head()
    report = checked(tmp_path, export, head)
    assert "its end was cut" in report.faults[0].problem


def test_what_comes_after_the_head_is_told(export, tmp_path):
    report = checked(tmp_path, [*export, export[-1]])
    assert "comes after the head" in report.faults[0].problem


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"head": {}}\n',
        b"null\n",
    ],
)
def test_a_line_that_is_none_is_told_by_its_place(export, tmp_path, line):
    report = checked(tmp_path, [*export[:3], line, *export[3:]])
    assert report.faults[0].problem.startswith("line 4 is neither a row nor a head")


def test_an_export_signed_by_another_key_is_told_when_the_key_is_known(journal, export, tmp_path):
    forged = journal.signed_by(
        unseal(draw(Purpose.AUDIT, journal.master, secrets.token_bytes), journal.master)
    )
    lines = [*export[:-1], msgspec.json.encode({"head": forged}) + b"\n"]
    assert checked(tmp_path, lines).sound
    assert not checked(tmp_path, lines, public_key=journal.head().public_key).sound
    assert not checked(tmp_path, lines, journal.head()).sound


# --- files


def test_rows_from_before_credentials_were_noted_keep_their_hash(tmp_path):
    journal = Journal.of_0001(tmp_path)
    journal.note(3)
    report = found(journal, journal.head())
    assert (report.sound, report.faults) == (True, [])
    assert report.rows == journal.n
    alter(journal.database, "UPDATE journal SET address = '192.0.2.1' WHERE n = 2")
    assert numbers(found(journal)) == [2]
    journal.close()


def test_a_database_of_another_schema_or_none_is_told(tmp_path):
    migrate(tmp_path / "old.db", "main", revision="0001")
    with pytest.raises(NotMigratedError, match="latchgate migrate"):
        verify_database(tmp_path / "old.db")
    (tmp_path / "text").write_text("no database at all, but long enough to look like one" * 50)
    with pytest.raises(StoreError):
        verify_database(tmp_path / "text")
    with pytest.raises(StoreError):
        verify_database(tmp_path / "missing")
    with closing(sqlite3.connect(tmp_path / "empty")) as connection:
        connection.execute("CREATE TABLE x (y)")
    with pytest.raises(StoreError):
        verify_database(tmp_path / "empty")


def test_a_check_waits_for_nobody_and_nobody_waits_for_it(journal):
    with journal.change("under way"):
        before = found(journal)
        assert before.sound
    assert found(journal).n == before.n + 1
