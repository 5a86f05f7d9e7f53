"""Changes on PostgreSQL: what is said to be changed is, whatever the server or its standby do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from tests.postgres import Postgres as Server
from tests.world import ACTOR, START_SECONDS, World, chain_faults, until, where

from latchgate.core.location import Postgres
from latchgate.core.model import Noun
from latchgate.core.secret import Secret
from latchgate.store import postgres_store, schema
from latchgate.store.errors import (
    ConflictError,
    OutcomeUnknownError,
    RetryError,
    StoreError,
    UnstorableError,
)
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate
from latchgate.store.postgres_feed import PostgresFeed, Standing

pytestmark = pytest.mark.enable_socket  # what ends a connection that waits too long is one

HOLD = """
import sys, time
from pathlib import Path
from latchgate.core.location import parse_location
from latchgate.core.model import Noun
from latchgate.store.journal import Actor, Store
store = Store(parse_location(sys.argv[1], Path()), clock=time.time)
with store.change(Actor(name="stopped", tenant_id=None)) as change:
    change.note("test.change", Noun.USER, "u-1", tenant_id=None, detail={})
    print("held", flush=True)
    sys.stdin.readline()
"""
ENDED = sql.SQL(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'latchgate' AND datname = {}"
)
WAITING = sql.SQL("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")


@pytest.fixture
def world(tmp_path, databases):
    made = World(tmp_path, databases=databases)
    yield made
    made.close()


@pytest.fixture
def name(world):
    with world.store.reading() as connection:
        return connection.execute(sa.text("SELECT current_database()")).scalar_one()


@pytest.fixture
def outsider(world) -> Iterator[psycopg.Connection]:
    """Somebody else on the same database."""
    with psycopg.connect(where(world.database), autocommit=True) as connection:
        yield connection


def note(store: Store, record: str = "u-1") -> int:
    with store.change(ACTOR) as change:
        return change.note("test.change", Noun.USER, record, tenant_id=None, detail={})


def insert_tenant(change, tenant_id, name=None):
    row = {"id": tenant_id, "name": name or tenant_id, "active": True, "created_at": 1.0}
    change.execute(sa.insert(schema.tenant).values(**row, version=0))
    change.note("tenant.create", Noun.TENANT, tenant_id, tenant_id=tenant_id, detail={})


def change(world, *steps):
    """Do these in one change."""
    with world.changing() as change:
        for step in steps:
            step(change)


def a_tenant(change):
    insert_tenant(change, "t-new")


def a_note(change):
    change.note("test.change", Noun.USER, "u-1", tenant_id=None, detail={})


def a_fault(_change):
    raise KeyError


def ending(outsider):
    """Return what has the server end the connection of a change."""

    def end(change):
        pid = change.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        outsider.execute("SELECT pg_terminate_backend(%s)", [pid])

    return end


# --- one at a time


def test_twenty_threads_and_several_stores_take_numbers_without_gaps(world):
    before, each, taken = world.head(), 10, []
    stores = [Store(world.database, clock=time.time) for _ in range(4)]

    def work(store):
        taken.extend([note(store) for _ in range(each)])

    threads = [threading.Thread(target=work, args=(stores[at % 4],)) for at in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(before + 1, before + 1 + 20 * each))
    assert chain_faults(world.database) == []
    for store in stores:
        store.close()


def test_of_two_who_take_a_name_at_once_the_second_is_told(world):
    other = Store(world.database, clock=time.time)
    told: list[object] = []

    def second():
        try:
            with other.change(ACTOR) as change:
                insert_tenant(change, "t-b", "same")
        except ConflictError as error:
            told.append(error.detail)

    with world.changing() as first:
        thread = threading.Thread(target=second)
        thread.start()
        insert_tenant(first, "t-a", "same")
    thread.join()
    assert told == ["another record already has this id or name"]
    assert chain_faults(world.database) == []
    other.close()


def test_a_process_that_is_stopped_within_a_change_keeps_nobody_else_waiting_for_ever(world):
    before = world.head()
    command = [sys.executable, "-c", HOLD, where(world.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        os.kill(process.pid, signal.SIGSTOP)
        try:
            assert note(world.store) == before + 1
        finally:
            os.kill(process.pid, signal.SIGCONT)
            process.communicate(b"\n")
    # What it goes on with then is undone, and it knows.
    assert process.returncode != 0
    assert world.head() == before + 1
    assert chain_faults(world.database) == []


def test_a_head_that_is_held_too_long_is_a_fault_and_nothing_changed(world, outsider, monkeypatch):
    begin = postgres_store._BEGIN.replace("lock_timeout = 5000", "lock_timeout = 50")
    assert begin != postgres_store._BEGIN
    monkeypatch.setattr(postgres_store, "_BEGIN", begin)
    before = world.head()
    with outsider.transaction():
        outsider.execute("SELECT * FROM journal_head FOR UPDATE")
        with pytest.raises(StoreError, match="nothing was changed"):
            note(world.store)
    assert note(world.store) == before + 1


# --- a connection that ends


def test_a_connection_that_ends_within_a_change_takes_all_of_it_back(world, outsider):
    before = world.head()
    with pytest.raises(StoreError, match="nothing was changed") as told:
        change(world, a_tenant, ending(outsider), a_note)
    assert not isinstance(told.value, OutcomeUnknownError)
    assert note(world.store) == before + 1


def test_a_connection_that_has_ended_at_the_commit_leaves_its_outcome_open(world, outsider):
    before = world.head()
    with pytest.raises(OutcomeUnknownError):
        change(world, a_tenant, ending(outsider))
    assert world.head() == before
    assert note(world.store) == before + 1


def test_connections_that_ended_since_their_last_use_cost_nobody_an_error(world, name, postgres):
    before = note(world.store)
    held = [world.store.reading() for _ in range(3)]  # so that there are several in the pool
    for one in held:
        one.__enter__()
    for one in held:
        one.__exit__(None, None, None)
    assert postgres.execute(ENDED.format(sql.Literal(name)))
    assert world.head() == before
    assert postgres.execute(ENDED.format(sql.Literal(name)))
    assert note(world.store) == before + 1
    assert world.head() == before + 1


def test_a_server_that_is_not_there_is_a_fault_that_names_it_without_its_password():
    store = Store(Postgres(Secret("postgresql://u:pass@127.0.0.1:1/db")), clock=time.time)
    with pytest.raises(StoreError, match=r"postgresql://u@127.0.0.1:1/db") as told:
        note(store)
    with pytest.raises(StoreError), store.reading():
        pass
    assert "pass" not in str(told.value)
    store.close()


# --- a standby that is away


@pytest.fixture(scope="module")
def own(postgres) -> Iterator[Server]:
    """A server whose commits can be made to wait for a standby that never comes."""
    with Server.made(like=postgres) as made:
        made.create("waits")
        migrate(at(made), "main")
        yield made


@pytest.fixture
def waiting(own) -> Iterator[Store]:
    """A store there; every commit waits."""
    store = Store(at(own), clock=time.time)
    note(store)  # connected before: a new connection's own settings commit too
    own.configure(synchronous_standby_names="nobody")
    yield store
    own.configure(synchronous_standby_names="")
    store.close()


def at(server: Server) -> Postgres:
    return Postgres(Secret(server.socket_uri("waits")))


def outcome(store: Store) -> tuple[threading.Thread, list[object]]:
    """Change something in a thread, and tell what came of it."""
    told: list[object] = []

    def work():
        try:
            told.append(note(store))
        except StoreError as error:
            told.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, told


def waiters(server: Server) -> list[int]:
    return [pid for (pid,) in server.execute(WAITING)]


def test_a_commit_whose_standby_is_away_is_never_called_a_success(own, waiting, monkeypatch):
    monkeypatch.setattr(postgres_store, "COMMIT_SECONDS", 0.3)
    with pytest.raises(OutcomeUnknownError):
        note(waiting)


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_wait_for_the_standby_that_was_given_up_is_never_called_a_success(own, waiting, how):
    thread, told = outcome(waiting)
    until(lambda: waiters(own), seconds=30, what="a commit that waits")
    for pid in waiters(own):
        own.execute(sql.SQL("SELECT {}({})").format(sql.Identifier(how), sql.Literal(pid)))
    thread.join()
    (error,) = told
    assert isinstance(error, OutcomeUnknownError)


def test_once_the_standby_is_back_the_commit_that_waited_counts(own, waiting):
    thread, told = outcome(waiting)
    until(lambda: waiters(own), seconds=30, what="a commit that waits")
    own.configure(synchronous_standby_names="")
    thread.join()
    with waiting.reading() as connection:
        head = connection.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    assert told == [head]
    assert chain_faults(at(own)) == []


# --- statements that fail


def test_a_failure_that_was_passed_over_within_a_change_takes_it_back_all_the_same(world):
    before = world.head()

    def pass_over(change):
        with contextlib.suppress(sa.exc.DBAPIError):
            change.execute(sa.text("SELECT * FROM no_such_table"))

    with pytest.raises(StoreError, match="nothing was changed"):
        change(world, a_tenant, pass_over)
    assert world.head() == before
    assert note(world.store) == before + 1


@pytest.mark.parametrize(
    "row",
    [{"name": "a\0b"}, {"version": 2**63}, {"version": 2**200}],
    ids=["NUL", "one too many", "far too many"],
)
def test_what_can_not_be_stored_is_the_callers_fault(world, row):
    before = world.head()
    told = {"id": "t-new", "name": "x", "active": True, "created_at": 1.0, "version": 0}
    with pytest.raises(UnstorableError), world.changing() as change:
        change.execute(sa.insert(schema.tenant).values(**told | row))
    with pytest.raises(UnstorableError), world.store.reading() as connection:
        connection.execute(sa.select(schema.tenant).where(schema.tenant.c.id == "a\0b"))
    assert note(world.store) == before + 1


SERIALIZATION = "BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END"


def test_whoever_came_in_anothers_way_may_repeat_the_change(world):
    before = world.head()
    collide = sa.text(f"DO $$ {SERIALIZATION} $$")
    with pytest.raises(RetryError):
        change(world, a_tenant, lambda change: change.execute(collide))
    assert note(world.store) == before + 1


def test_so_may_who_is_told_so_by_the_commit(world, outsider):
    before = world.head()
    outsider.execute(
        f"CREATE FUNCTION collide() RETURNS TRIGGER LANGUAGE plpgsql AS $$ {SERIALIZATION} $$"
    )
    outsider.execute(
        "CREATE CONSTRAINT TRIGGER collides AFTER INSERT ON tenant"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION collide()"
    )
    try:
        with pytest.raises(RetryError):
            change(world, a_tenant)
    finally:
        outsider.execute("DROP FUNCTION collide CASCADE")
    assert world.head() == before
    assert note(world.store) == before + 1


def test_nobody_who_writes_or_beats_comes_in_anothers_way(world, name, outsider, monkeypatch):
    """Whatever isolation a database is set to; each takes the head first, or one row alone."""
    monkeypatch.setattr(postgres_store, "ATTEMPTS", 1)  # nothing is tried again
    outsider.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'").format(
            sql.Identifier(name)
        )
    )
    before, each, faults = world.head(), 8, []
    stores = [Store(world.database, clock=time.time) for _ in range(3)]
    standing = Standing("here", 1, "0", trust=60.0, stale=False)
    feed = PostgresFeed(world.database, standing, limit=START_SECONDS)
    place, *_ = feed.register("f" * 16)
    done = threading.Event()

    def write(store):
        for _ in range(each):
            note(store)

    def beat(place):
        while not done.is_set():
            told = feed.beat("f" * 16, place)
            assert told is not None
            place = told.place
            feed.read_through("f" * 16, [(Noun.USER, "u-1")])

    def guarded(work, *told):
        try:
            work(*told)
        except Exception as error:  # noqa: BLE001 - shown by the test
            faults.append(error)

    beating = threading.Thread(target=guarded, args=(beat, place))
    writing = [threading.Thread(target=guarded, args=(write, store)) for store in stores * 2]
    for thread in (beating, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    done.set()
    beating.join()
    feed.close()
    for store in stores:
        store.close()
    assert faults == []
    assert world.head() == before + each * len(writing)


def test_a_deadlock_with_somebody_elses_session_changes_nothing(world, outsider):
    change(world, a_tenant)
    before = world.head()

    outsider.execute("BEGIN")
    outsider.execute("UPDATE tenant SET name = 'by hand' WHERE id = 't-new'")
    wants = threading.Timer(0.3, outsider.execute, ["SELECT n FROM journal_head FOR UPDATE"])
    rename = sa.update(schema.tenant).where(schema.tenant.c.id == "t-new").values(name="ours")

    def collide(under_way):
        wants.start()
        under_way.execute(rename)  # who waited first looks first for a deadlock, and gives way

    with pytest.raises(RetryError):
        change(world, a_note, collide)
    wants.join()
    outsider.execute("COMMIT")
    assert world.head() == before
    assert note(world.store) == before + 1


# --- the hint


def test_a_change_is_announced_once_it_is_committed_and_not_before(world, outsider):
    outsider.execute("LISTEN latchgate_journal")
    with pytest.raises(KeyError):
        change(world, a_note, a_fault)
    assert not list(outsider.notifies(timeout=0))
    with world.changing() as under_way:
        a_note(under_way)
        assert not list(outsider.notifies(timeout=0))
    assert len(list(outsider.notifies(timeout=30, stop_after=1))) == 1
    world.store.ring()
    assert len(list(outsider.notifies(timeout=30, stop_after=1))) == 1
    assert world.store.bell is None


# --- a pooler


def test_behind_a_pooler_that_gives_each_transaction_another_connection_all_is_the_same(
    pgbouncer, postgres_database
):
    place = Postgres(Secret(pgbouncer.uri(postgres_database.name)))
    migrate(place, "main")
    stores = [Store(place, clock=time.time) for _ in range(4)]
    taken: list[int] = []

    def work(store):
        for _ in range(10):
            own = note(store)
            taken.append(own)
            with store.reading() as connection:
                head = connection.execute(sa.select(schema.journal_head.c.n)).scalar_one()
                assert head >= own
                assert connection.execute(sa.text("SHOW transaction_read_only")).scalar() == "on"

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 41))
    assert chain_faults(place) == []
    for store in stores:
        store.close()
