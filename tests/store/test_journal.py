"""Changes: numbered without gaps, chained, durable, announced; all of one or nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
import sqlalchemy as sa
from tests.world import ACTOR, World, chain_faults, where

from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.errors import ConflictError, StoreError
from latchgate.store.journal import Actor, Store

pytestmark = pytest.mark.both_databases

CHANGE_ON = """
import sys, time
from pathlib import Path
import sqlalchemy as sa
from latchgate.core.location import parse_location
from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.journal import Actor, Store
store = Store(parse_location(sys.argv[1], Path()), clock=time.time)
print("ready", flush=True)
sys.stdin.readline()
for at in range(int(sys.argv[2])):
    with store.change(Actor(name=f"process {sys.argv[3]}", tenant_id=None)) as change:
        # Read before writing, as a revocation does: a transaction that begins as a reader's
        # could not go on once another process wrote.
        change.execute(sa.select(schema.journal_head)).all()
        time.sleep(0.001)
        change.note("test.change", Noun.USER, str(at), tenant_id=None, detail={"at": at})
        print(change.n, flush=True)
store.close()
"""


def note(store: Store, record: str = "u-1") -> int:
    with store.change(ACTOR) as change:
        return change.note("test.change", Noun.USER, record, tenant_id=None, detail={})


def insert_tenant(change, tenant_id):
    change.execute(
        sa.insert(schema.tenant).values(id=tenant_id, name=tenant_id, active=True, created_at=1.0)
    )
    change.note("tenant.create", Noun.TENANT, tenant_id, tenant_id=tenant_id, detail={})


def tenants(world):
    return {row.id for row in world.all(sa.select(schema.tenant.c.id))}


# --- numbers and chain


def test_each_change_takes_the_next_number(world):
    before = world.head()
    assert [note(world.store) for _ in range(3)] == [before + 1, before + 2, before + 3]
    assert world.head() == before + 3


def test_several_rows_of_one_change_follow_each_other(world):
    before = world.head()
    with world.changing() as change:
        rows = [change.note("a", Noun.USER, "u", tenant_id=None, detail={}) for _ in range(3)]
        assert change.n == rows[-1]
    assert rows == [before + 1, before + 2, before + 3]
    assert chain_faults(world.database) == []


def test_numbers_have_no_gaps_when_many_threads_change(world):
    before, each, taken = world.head(), 25, []
    lock = threading.Lock()

    def work(name):
        for at in range(each):
            n = note(world.store, f"{name}-{at}")
            with lock:
                taken.append(n)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(before + 1, before + 1 + 8 * each))
    assert chain_faults(world.database) == []


def test_numbers_have_no_gaps_when_several_processes_and_threads_change(world):
    before, each = world.head(), 40
    command = [sys.executable, "-c", CHANGE_ON, where(world.database), str(each)]
    others = [
        subprocess.Popen(
            [*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    for other in others:
        assert other.stdout is not None
        other.stdout.readline()
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    own = [note(world.store) for _ in range(each)]
    told = [[int(line) for line in other.communicate()[0].split()] for other in others]
    assert all(numbers == sorted(numbers) for numbers in [own, *told])
    assert sorted(sum(told, own)) == list(range(before + 1, before + 1 + 4 * each))
    assert chain_faults(world.database) == []


def test_rows_become_visible_in_the_order_of_their_numbers(world):
    # A number that commits after a higher one would be passed over by every follower (rule 1).
    stop = threading.Event()

    def work():
        while not stop.is_set():
            note(world.store)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            with world.store.reading() as connection:
                numbers = connection.execute(sa.select(schema.journal.c.n)).scalars().all()
                head = connection.execute(sa.select(schema.journal_head.c.n)).scalar_one()
            assert sorted(numbers) == list(range(1, head + 1))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_row_says_who_did_what_to_which_record_and_when(tmp_path, place):
    world = World(tmp_path, clock=lambda: 1234.5, databases=place)
    with world.store.change(Actor(name="user:u-1 key:k-1", tenant_id="t-1")) as change:
        change.note("key.create", Noun.CREDENTIAL, "k-2", tenant_id="t-1", detail={"b": 1, "a": []})
    row = world.journal()[-1]
    assert (row.actor, row.action, row.noun, row.record, row.tenant_id, row.at) == (
        "user:u-1 key:k-1",
        "key.create",
        "credential",
        "k-2",
        "t-1",
        1234.5,
    )
    assert row.detail == '{"a":[],"b":1}'
    world.close()


def test_the_chain_of_a_fresh_journal_holds(world):
    assert world.head() > 0
    assert chain_faults(world.database) == []


def test_the_chain_holds_for_names_outside_ascii_and_control_characters(world):
    with world.changing() as change:
        change.note(
            "test", Noun.USER, "ü\u2028\x7f", tenant_id=None, detail={"näme": '"\\\x00\x1f🔑'}
        )
    assert chain_faults(world.database) == []


# --- all or nothing


def test_a_conflict_leaves_nothing_behind(world):
    before, had = world.head(), tenants(world)

    def insert_twice():
        with world.changing() as change:
            insert_tenant(change, "t-new")
            insert_tenant(change, "t-new")

    with pytest.raises(ConflictError) as refused:
        insert_twice()
    assert "already" in refused.value.detail
    assert world.head() == before
    assert tenants(world) == had
    assert note(world.store) == before + 1
    assert chain_faults(world.database) == []


def test_a_conflict_with_another_process_leaves_nothing_behind(world):
    other = Store(world.database, clock=time.time)
    with other.change(ACTOR) as change:
        insert_tenant(change, "t-new")
    before = world.head()
    with pytest.raises(ConflictError), world.changing() as change:
        insert_tenant(change, "t-new")
    assert world.head() == before
    other.close()


def insert_and_raise(world, fault):
    with world.changing() as change:
        insert_tenant(change, "t-new")
        raise fault


class Unforeseen(BaseException):
    """Not even an Exception, as KeyboardInterrupt is not."""


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, Unforeseen])
def test_whatever_is_raised_inside_a_change_takes_all_of_it_back(world, fault):
    before, had = world.head(), tenants(world)
    with pytest.raises(fault):
        insert_and_raise(world, fault())
    assert (world.head(), tenants(world)) == (before, had)
    assert note(world.store) == before + 1


def test_a_statement_that_fails_takes_the_whole_change_back(world):
    before, had = world.head(), tenants(world)

    def insert_and_fail():
        with world.changing() as change:
            insert_tenant(change, "t-new")
            change.execute(sa.text("INSERT INTO no_such_table VALUES (1)"))

    with pytest.raises(StoreError, match="nothing was changed"):
        insert_and_fail()
    assert (world.head(), tenants(world)) == (before, had)
    assert note(world.store) == before + 1


def insert_orphan(world):
    with world.changing() as change:
        row = {"id": "p-new", "tenant_id": "t-none", "name": "x", "active": True, "version": 1}
        change.execute(sa.insert(schema.project).values(**row, created_at=1.0))


def test_a_record_that_names_a_missing_one_is_refused(world):
    with pytest.raises(ConflictError):
        insert_orphan(world)


def test_a_change_that_is_not_committed_is_seen_by_nobody(world):
    before = world.head()
    with world.changing() as change:
        insert_tenant(change, "t-new")
        assert world.head() == before
        assert "t-new" not in tenants(world)
    assert "t-new" in tenants(world)


# --- faults


def test_a_reader_that_waits_too_long_for_its_turn_is_a_fault_of_the_store(world, monkeypatch):
    monkeypatch.setattr(world.store._database.reader.pool, "_timeout", 0.05)
    held = [world.store.reading() for _ in range(4)]
    for one in held:
        one.__enter__()
    with pytest.raises(StoreError):
        world.head()
    for one in held:
        one.__exit__(None, None, None)
    assert world.head() > 0


def test_reads_that_fail_are_a_fault_of_the_store(world):
    with pytest.raises(StoreError), world.store.reading() as connection:
        connection.execute(sa.text("SELECT * FROM no_such_table"))


def test_reads_see_one_snapshot(world):
    with world.store.reading() as connection:
        before = connection.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        note(world.store)
        after = connection.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    assert after == before
    assert world.head() == before + 1


# --- files and settings


def test_what_was_changed_is_there_after_closing_and_opening_again(world):
    with world.changing() as change:
        insert_tenant(change, "t-new")
    head = world.head()
    world.store.close()
    world.store = Store(world.database, clock=time.time)
    assert (world.head(), "t-new" in tenants(world)) == (head, True)


# --- many at once


def many(world, count: int, prefix: str) -> list[dict[str, object]]:
    row = {"tenant_id": world.owner.tenant_id, "name": "many", "scopes": ["a:b"], "implies": []}
    return [{"id": f"{prefix}-{at}", **row, "created_at": 1.0} for at in range(count)]


def test_many_records_are_each_a_row_of_the_chain_between_others(world):
    before = world.head()
    with world.changing() as change:
        change.note("test.before", Noun.USER, "u", tenant_id=None, detail={})
        last = change.add_many(
            "role.create", Noun.ROLE, schema.role, many(world, 500, "r"), tenant_id=None
        )
        assert last == change.n == before + 501
        change.note("test.after", Noun.USER, "u", tenant_id=None, detail={})
    assert world.head() == before + 502
    assert not chain_faults(world.database)
    noted = {row.record: row.n for row in world.journal() if row.action == "role.create"}
    rows = world.all(sa.select(schema.role).where(schema.role.c.name == "many"))
    assert all(noted[row.id] == row.version for row in rows)
    assert len(rows) == 500
    assert {row.scopes for row in rows} == {'["a:b"]'}


def test_of_many_records_all_go_in_or_none(world):
    before = world.head()
    twice = [*many(world, 3, "r"), *many(world, 1, "r")]
    with pytest.raises(ConflictError), world.changing() as change:
        change.add_many("role.create", Noun.ROLE, schema.role, twice, tenant_id=None)
    assert world.head() == before
    with world.changing() as change:
        assert change.add_many("role.create", Noun.ROLE, schema.role, [], tenant_id=None) == 0
    assert not chain_faults(world.database)
