"""Usage in PostgreSQL: many count together, and what connections do to a batch costs no count."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest
from psycopg import sql
from tests.doors.verify.test_protocol import decided, granted
from tests.lost import away, ended
from tests.world import raw_rows, run

from latchgate.core.location import Postgres
from latchgate.core.model import Request
from latchgate.core.network import parse_address
from latchgate.core.reason import Reason
from latchgate.core.redact import redactor
from latchgate.core.secret import Secret
from latchgate.store import recorder as recording
from latchgate.store import usage_postgres
from latchgate.store.errors import NotMigratedError, OutcomeUnknownError, StoreError
from latchgate.store.migrate import migrate
from latchgate.store.postgres import Connection
from latchgate.store.recorder import SETTLED_SECONDS, TRIM_SECONDS, Usage
from latchgate.store.usage import Column, LastUse, Period, UsageReader
from latchgate.store.usage_postgres import PostgresUsage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
TABLES = ("use_minute", "use_hour", "use_day", "use_source", "use_total")


def line(credential="c", *, at=NOON, count=1, address="192.0.2.1", last=None, **more):
    told = {
        "at": int(at), "tenant_id": "t", "project_id": "p", "credential_id": credential,
        "application_id": "", "area": "/a", "scope": "s", "reason": "allowed", "price": 0,
        "currency": "", "key_id": "", "address": address, "agent": "", "first": at,
        "count": count, "last": last if last is not None else at,
    } | more  # fmt: skip
    return tuple(told.values())


def sums(at):
    """Return the sum of every table of counts."""
    return {raw_rows(at, f"SELECT COALESCE(SUM(count), 0) FROM {name}")[0][0] for name in TABLES}  # noqa: S608


def totals(reader, **how):
    """Return the sums of the day by credential."""
    span = {"period": Period.DAY, "since": NOON, "until": NOON + 1}
    return reader.totals([Column.CREDENTIAL], **span, **how)


class Recorder:
    """A recorder with clocks to turn, told of decisions about a few credentials."""

    def __init__(self, at):
        self.now, self.ticks = NOON, 0.0
        self.recorder = Usage(
            at, redact=redactor(), ticks=lambda: self.ticks, clock=lambda: self.now
        )
        self._decision = decided(Reason.ALLOWED, granted())
        self._known = granted().credential
        self._request = Request(
            "GET", "api.example.com", "/v1", {}, client=parse_address("192.0.2.1")
        )

    def use(self, *names, times=1):
        for name in names * times:
            credential = msgspec.structs.replace(self._known, id=name)
            decision = msgspec.structs.replace(self._decision, credential=credential)
            self.recorder.note(decision, self._request, self.now)

    def write_down(self):
        self.ticks += recording.COUNTED_SECONDS + 0.1
        self.recorder.flush(everything=False)


@pytest.fixture
def recorder(postgres_usage, monkeypatch):
    monkeypatch.setattr(recording, "KEY_SECONDS", SETTLED_SECONDS)
    monkeypatch.setattr(usage_postgres, "RETRY_SECONDS", 0.0)
    made = []

    def another():
        made.append(Recorder(postgres_usage))
        return made[-1]

    yield another
    for one in made:
        one.recorder.close()


@pytest.fixture
def database(postgres_usage):
    with opened(postgres_usage) as made:
        yield made


def opened(at):
    """Open a connection that writes, closed with the block."""
    return contextlib.closing(PostgresUsage(at, read_only=False))


@pytest.fixture
def unanswered(monkeypatch):
    """Have the answers to the next commits lost, each after something was done."""
    todo: list[Callable[[Callable[[], object]], object]] = []
    execute = Connection.execute

    def losing(self, query, *args, **how):
        if query != "COMMIT" or not todo:
            return execute(self, query, *args, **how)
        answered = todo.pop(0)(lambda: execute(self, query, *args, **how))
        self.close()
        raise psycopg.OperationalError(f"the connection is lost: {answered}")

    monkeypatch.setattr(Connection, "execute", losing)
    return todo


# --- one batch


def test_what_a_batch_tells_twice_of_a_row_is_added_up(postgres_usage, database):
    lines = [
        line(count=2, last=NOON + 5, address="192.0.2.5"),
        line(count=3, last=NOON + 9, address="192.0.2.9"),
        line(count=4, last=NOON + 7, address=""),
        line(count=5, last=NOON + 8, reason="secret_expired", address="192.0.2.9"),
        line("d", application_id="app", key_id="key"),
        line("e", application_id="app", key_id="key", last=NOON + 1),
    ]
    database.transact(lambda: database.add(lines))
    assert sums(postgres_usage) == {16, 18}  # of sources: those of the application's key too
    sources = (
        "SELECT address, count, refused, last_at FROM use_source WHERE credential_id = 'c'"
        " ORDER BY 1"
    )
    assert raw_rows(postgres_usage, sources) == [
        ("", 4, 0, NOON + 7),
        ("192.0.2.5", 2, 0, NOON + 5),
        ("192.0.2.9", 8, 5, NOON + 9),
    ]
    last = dict(raw_rows(postgres_usage, "SELECT credential_id, at FROM last_use"))
    assert last == {"c": NOON + 9, "d": NOON, "e": NOON + 1, "app": NOON + 1, "key": NOON + 1}
    tenants = "SELECT tenant_id, reason, count FROM use_tenant ORDER BY 1, 2"
    assert raw_rows(postgres_usage, tenants) == [
        ("*", "allowed", 11),
        ("*", "secret_expired", 5),
        ("t", "allowed", 11),
        ("t", "secret_expired", 5),
    ]


def test_more_lines_than_one_command_takes_are_all_added(postgres_usage, database, monkeypatch):
    monkeypatch.setattr(usage_postgres, "ABREAST", 3)
    database.transact(lambda: database.add([line(f"c{number}") for number in range(8)]))
    assert sums(postgres_usage) == {8}


# --- several at once

_COUNTING = """
import json, random, sys
from contextlib import closing
from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.store.usage_postgres import PostgresUsage
rng, tries = random.Random(sys.argv[2]), []
lines = json.loads(sys.argv[3])
with closing(PostgresUsage(Postgres(Secret(sys.argv[1])), read_only=False)) as database:
    def work():
        tries.append(True)
        database.add(lines)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(20):
        rng.shuffle(lines)
        database.transact(work)
print(len(tries))
"""


def test_two_processes_that_write_the_same_rows_never_hold_what_the_other_wants(postgres_usage):
    lines = json.dumps([line(f"c{number}") for number in range(20)])
    command = [sys.executable, "-c", _COUNTING, postgres_usage.uri.reveal()]
    with contextlib.ExitStack() as started:
        both = [
            started.enter_context(
                subprocess.Popen(
                    [*command, str(number), lines],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(2)
        ]
        for one in both:
            started.callback(one.kill)
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in both:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        assert [one.stdout.readline() for one in both if one.stdout] == [
            "20\n",
            "20\n",
        ]  # none was undone
    assert sums(postgres_usage) == {2 * 20 * 20}


def test_a_transaction_that_another_had_to_end_is_run_again(postgres_usage, database, monkeypatch):
    monkeypatch.setattr(usage_postgres, "TRIES", 50)  # the same may happen to the next one
    together, tries = threading.Barrier(2), []

    def add(using, area):
        using.execute(
            "INSERT INTO use_total (counted, area, reason, count) VALUES ('decision', ?, '', 1)"
            " ON CONFLICT (counted, area, reason) DO UPDATE SET count = use_total.count + 1",
            (area,),
        )

    def both(using, first, second):
        begun: list[bool] = []

        def work():
            tries.append(first)
            add(using, first)
            if not begun:
                begun.append(True)
                together.wait(30)
            add(using, second)

        using.transact(work)

    database.transact(lambda: [add(database, area) for area in "ab"])
    with opened(postgres_usage) as other:
        thread = threading.Thread(target=both, args=(other, "b", "a"))
        thread.start()
        both(database, "a", "b")
        thread.join(30)
    assert len(tries) > 2  # each waited for the other: one was undone, and came again
    counted = "SELECT area, count FROM use_total ORDER BY area"
    assert raw_rows(postgres_usage, counted) == [("a", 3), ("b", 3)]


def test_last_uses_and_sources_of_several_nodes_reach_from_the_first_to_the_last(
    postgres_usage, database
):
    for at in (NOON + 5, NOON + 9, NOON + 1):
        told = line(at=NOON, first=at, last=at, address="192.0.2.1")
        database.transact(lambda told=told: database.add([told]))
    with contextlib.closing(UsageReader(postgres_usage)) as reader:
        assert reader.last_uses(["c"]) == {"c": LastUse(NOON + 9, "192.0.2.1")}
        (found,) = reader.sources("c", since=0)
    assert (found.count, found.first_at, found.last_at) == (3, NOON + 1, NOON + 9)


# --- lost connections


def test_a_connection_that_ends_in_mid_batch_costs_nothing(
    postgres, postgres_usage, recorder, monkeypatch
):
    one, add = recorder(), PostgresUsage.add
    killed: list[int] = []
    one.use("a", "b")
    one.write_down()
    one.use("a", times=3)

    def killing(self, lines):
        add(self, lines)
        if not killed:
            killed.append(ended(postgres, postgres_usage))

    monkeypatch.setattr(PostgresUsage, "add", killing)
    one.recorder.flush()
    assert killed
    assert sums(postgres_usage) == {5}
    assert raw_rows(postgres_usage, "SELECT id FROM use_pending") == []


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("step", ["written down", "settled", "pieces"])
def test_a_commit_that_nobody_answered_is_asked_for(
    postgres, postgres_usage, recorder, unanswered, monkeypatch, step, happened
):
    monkeypatch.setattr(recording, "PIECE", 2 if step == "pieces" else 1_000)
    one = recorder()
    one.use("a", "b", "c")
    one.write_down()
    one.use("a", "b", "c", times=2)

    def lost(commit):
        return commit() if happened else ended(postgres, postgres_usage)

    unanswered += [lost, lost] if step == "pieces" else [lost]
    if step == "written down":
        one.write_down()
    one.recorder.flush()
    assert unanswered == []
    assert sums(postgres_usage) == {9}
    assert raw_rows(postgres_usage, "SELECT id FROM use_pending") == []


@pytest.mark.parametrize("adopted", [True, False])
@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("settling", [True, False])
def test_what_is_in_doubt_while_the_database_is_away_is_each_counted_once(
    postgres, postgres_usage, recorder, unanswered, settling, happened, adopted
):
    one, gone = recorder(), contextlib.ExitStack()
    one.use("a", "b")
    one.write_down()
    one.use("a")

    def lost(commit):
        if happened:
            commit()
        gone.enter_context(away(postgres, postgres_usage))

    unanswered.append(lost)
    write = one.recorder.flush if settling else one.write_down
    with gone:
        with pytest.raises(OutcomeUnknownError):
            write()
        one.use("b")
        with pytest.raises(StoreError):
            write()
    if adopted:
        recorder().recorder.adopt(before=float("inf"))
    one.use("c")
    one.recorder.flush()
    assert sums(postgres_usage) == {5}
    assert one.recorder.uncounted == 0


def test_memory_is_bounded_while_a_commit_is_in_doubt(
    postgres, postgres_usage, recorder, unanswered, monkeypatch
):
    monkeypatch.setattr("latchgate.store.tally.MAX_KEYS", 3)
    one, gone = recorder(), contextlib.ExitStack()
    one.use("a", "b")
    unanswered.append(lambda _: gone.enter_context(away(postgres, postgres_usage)))
    with gone:
        for minute in range(5):
            with pytest.raises(StoreError):
                one.write_down()
            one.now = NOON + 60 * (minute + 1)
            one.use("a", "b")
    one.recorder.flush()
    assert one.recorder.uncounted > 0
    kept = raw_rows(postgres_usage, "SELECT SUM(count) FROM use_day")
    assert kept == [(12 - one.recorder.uncounted,)]


def test_a_reader_finds_a_new_connection_where_its_own_was_ended(postgres, postgres_usage):
    with contextlib.closing(UsageReader(postgres_usage)) as reader:
        assert reader.ever() == []
        assert ended(postgres, postgres_usage)
        assert reader.ever() == []


def test_a_lock_that_is_not_let_go_of_ends_a_batch_and_not_its_counts(
    postgres_usage, recorder, monkeypatch
):
    monkeypatch.setattr(usage_postgres, "LOCK_MS", 20)
    one = recorder()
    one.use("a")
    with psycopg.connect(postgres_usage.uri.reveal()) as other:
        other.execute("LOCK TABLE use_total")
        with pytest.raises(StoreError, match="lock timeout"):
            one.recorder.flush()
    one.recorder.flush()
    assert sums(postgres_usage) == {1}


@pytest.mark.enable_socket
def test_a_connection_that_falls_silent_is_not_waited_for(postgres_usage, monkeypatch):
    monkeypatch.setattr(usage_postgres, "SECONDS", 3.0)
    with contextlib.closing(UsageReader(postgres_usage)) as reader:
        assert reader.ever() == []
        database = reader._database
        assert isinstance(database, PostgresUsage)
        silent = database._connected().info.backend_pid
        os.kill(silent, signal.SIGSTOP)
        try:
            assert reader.ever() == []
            assert database._connected().info.backend_pid != silent
        finally:
            os.kill(silent, signal.SIGCONT)


# --- at the start


def test_a_recorder_starts_while_its_database_is_away_and_writes_once_it_is_back(
    postgres, postgres_usage, recorder, caplog
):
    with away(postgres, postgres_usage):
        one = recorder()
        one.use("a", times=3)
        with pytest.raises(StoreError):
            one.recorder.flush()
    assert "usage waits for its database" in caplog.text
    one.recorder.flush()
    assert sums(postgres_usage) == {3}


def test_a_database_of_another_version_is_refused_at_once(postgres):
    with postgres.database() as made:
        at = Postgres(Secret(made.socket_uri))
        with pytest.raises(NotMigratedError, match="not a Latchgate database yet"):
            Recorder(at)
        migrate(at, "usage")
        run(at, "UPDATE alembic_version SET version_num = '0001'")
        with pytest.raises(NotMigratedError, match="has schema 0001"):
            Recorder(at)


def test_behind_a_pooler_that_gives_each_transaction_another_connection_all_works(
    postgres_usage, pgbouncer, monkeypatch
):
    name = postgres_usage.uri.reveal().partition("?")[0].rpartition("/")[2]
    at = Postgres(Secret(pgbouncer.uri(name)))
    both = [Recorder(at) for _ in range(2)]
    with contextlib.closing(UsageReader(at)) as reader:
        for each in (*both, *both):
            each.use("a", "b")
            each.recorder.flush()
            each.ticks += TRIM_SECONDS
            each.recorder.flush()
        found = totals(reader, only={Column.CREDENTIAL: ["a"]})
        assert [one.count for one in found] == [4]
    for each in both:
        each.recorder.close()


# --- reading


def test_what_no_text_may_hold_is_not_found(postgres_usage):
    with contextlib.closing(UsageReader(postgres_usage)) as reader:
        assert reader.refusal("a\0b") is None
        assert reader.refusals("a\0", limit=1, after="\0") == []
        assert reader.last_uses(["\0", "a\0b"]) == {}
        assert reader.sources("\0", since=0) == []


def test_the_order_of_totals_is_the_same_whatever_language_a_database_sorts_by(postgres):
    name = "sorts_by_icu"
    made = (
        "CREATE DATABASE {} OWNER latchgate TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'"
    )
    postgres.execute(sql.SQL(made).format(sql.Identifier(name)))
    try:
        at = Postgres(Secret(postgres.socket_uri(name)))
        migrate(at, "usage")
        names = ["b", "A", "a", "B", "_", "é", "e", "Z", "10", "9", ""]
        with (
            opened(at) as database,
            contextlib.closing(UsageReader(at)) as reader,
        ):
            database.transact(lambda: database.add([line(one) for one in names]))
            found = totals(reader)
            assert [one.by[Column.CREDENTIAL] for one in found] == sorted(names)
            paged, after = [], ""
            while page := reader.newcomers(since=0, limit=3, after=after):
                paged += page
                after = page[-1]
            assert sorted(paged) == sorted(names)[1:]
    finally:
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        postgres.execute(drop.format(sql.Identifier(name)))
