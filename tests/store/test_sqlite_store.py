"""Changes on SQLite: its faults, its files, and the bell that rings for each."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.world import ACTOR, chain_faults, mode

from latchgate.core.model import Noun
from latchgate.store import schema, sqlite
from latchgate.store.errors import OutcomeUnknownError, StoreError
from latchgate.store.journal import Store
from latchgate.store.sqlite import driver


def note(store: Store) -> int:
    with store.change(ACTOR) as change:
        return change.note("test.change", Noun.USER, "u-1", tenant_id=None, detail={})


def insert_orphan(world):
    """Insert a project of no tenant, so that it is the commit which fails."""
    with world.changing() as change:
        change.execute(sa.text("PRAGMA defer_foreign_keys=ON"))
        row = {"id": "p-new", "tenant_id": "t-none", "name": "x", "active": True, "version": 1}
        change.execute(sa.insert(schema.project).values(**row, created_at=1.0))
        change.note("project.create", Noun.PROJECT, "p-new", tenant_id=None, detail={})


def change_and_raise(world):
    with world.changing() as change:
        change.note("test.change", Noun.USER, "u-1", tenant_id=None, detail={})
        raise KeyError


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", 1.0),
        ("actor", "'somebody else'"),
        ("action", "'key.create'"),
        ("noun", "'tenant'"),
        ("record", "'other'"),
        ("tenant_id", "'t-other'"),
        ("detail", "'{}'"),
        ("previous", "zeroblob(32)"),
        ("hash", "zeroblob(32)"),
    ],
)
def test_the_chain_tells_when_a_row_was_altered(world, column, value):
    with world.changing() as change:
        change.note("t", Noun.USER, "u", tenant_id=None, detail={"was": "this"})
    note(world.store)
    connection = driver.connect(str(world.database))
    statement = f"UPDATE journal SET {column} = {value} WHERE n = ?"  # noqa: S608 - from above
    connection.execute(statement, (world.head() - 1,))
    connection.commit()
    connection.close()
    assert chain_faults(world.database)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM journal WHERE n = 3",
        "DELETE FROM journal WHERE n = (SELECT MAX(n) FROM journal)",
        "UPDATE journal_head SET n = n - 1",
        "UPDATE journal_head SET hash = zeroblob(32)",
    ],
)
def test_the_chain_tells_when_rows_were_taken_out(world, statement):
    connection = driver.connect(str(world.database))
    connection.execute(statement)
    connection.commit()
    connection.close()
    assert chain_faults(world.database)


def test_a_commit_that_fails_is_said_to_be_unknown_and_rings_all_the_same(world):
    before, rings = world.head(), world.store.bell.rings()
    with pytest.raises(OutcomeUnknownError, match="not known"):
        insert_orphan(world)
    assert world.store.bell.rings() == rings + 1
    assert world.head() == before


def test_a_commit_that_fails_leaves_the_next_change_alone(world):
    before = world.head()
    with pytest.raises(OutcomeUnknownError):
        insert_orphan(world)
    assert note(world.store) == before + 1


def test_a_commit_that_fails_does_not_keep_other_processes_from_writing(world, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_MS", 100)
    other = Store(world.database, clock=time.time)
    before = world.head()
    with pytest.raises(OutcomeUnknownError):
        insert_orphan(world)
    assert note(other) == before + 1
    other.close()


def test_each_change_rings_once(world):
    rings = world.store.bell.rings()
    note(world.store)
    note(world.store)
    assert world.store.bell.rings() == rings + 2


def test_the_bell_rings_after_the_commit_and_before_the_change_returns(world, monkeypatch):
    seen = []
    ring = world.store.bell.ring

    def look_and_ring():
        seen.append(world.head())  # on a connection of its own
        ring()

    monkeypatch.setattr(world.store.bell, "ring", look_and_ring)
    n = note(world.store)
    assert seen == [n]


def test_a_change_that_was_taken_back_needs_no_ring_and_harms_nobody(world):
    engine = world.engine()
    with pytest.raises(KeyError):
        change_and_raise(world)
    engine.follow()
    assert engine.position == world.head()


def test_a_ring_without_a_change_can_be_asked_for(world):
    rings = world.store.bell.rings()
    world.store.ring()
    assert world.store.bell.rings() == rings + 1


def test_a_database_that_another_program_keeps_locked_is_a_fault_and_nothing_changed(
    world, monkeypatch
):
    monkeypatch.setattr(sqlite, "BUSY_MS", 50)
    blocked = Store(world.database, clock=time.time)
    other = driver.connect(str(world.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    before = world.head()
    with pytest.raises(StoreError, match="nothing was changed"):
        note(blocked)
    other.execute("ROLLBACK")
    assert world.head() == before
    assert note(blocked) == before + 1
    other.close()
    blocked.close()


def test_a_writer_that_waits_too_long_for_its_turn_is_a_fault_of_the_store(world, monkeypatch):
    # Behind a database locked by a backup, each writer waits for the one before it.
    monkeypatch.setattr(world.store._database.writer.pool, "_timeout", 0.05)
    with world.changing() as change:
        change.note("test", Noun.USER, "u", tenant_id=None, detail={})
        with pytest.raises(StoreError):
            note(world.store)


def test_a_file_that_is_no_database_is_a_fault_of_the_store(tmp_path):
    (tmp_path / "latchgate.db").write_bytes(b"not a database" * 100)
    store = Store(tmp_path / "latchgate.db", clock=time.time)
    with pytest.raises(StoreError):
        note(store)
    with pytest.raises(StoreError), store.reading():
        pass
    store.close()


def test_changes_are_flushed_and_references_are_checked(world):
    with world.changing() as change:
        pragmas = {
            name: change.execute(sa.text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_every_file_of_the_database_is_its_owners_alone(world):
    note(world.store)
    world.engine()
    beside = sorted(path.name for path in world.database.parent.glob("latchgate.db*"))
    assert beside == ["latchgate.db", "latchgate.db-bell", "latchgate.db-shm", "latchgate.db-wal"]
    assert {mode(Path(world.database.parent, name)) for name in beside} == {0o600}
