"""Decisions under a lease, over a real PostgreSQL: what ARCHITECTURE §6 asks of a verifier."""

from __future__ import annotations

import functools
import secrets
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace

import msgspec
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from tests.postgres import Postgres as Server
from tests.world import World, asking, compiled, until

from latchgate.core.location import Postgres
from latchgate.core.model import Noun
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret
from latchgate.signin.jwks import fetch
from latchgate.store import schema
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.migrate import migrate
from latchgate.store.postgres_feed import PostgresFeed, Standing
from latchgate.store.source import KNOWN_SECONDS, PAGE, Place
from latchgate.verify.lease_engine import Lease, LeaseEngine
from latchgate.verify.receipts import FORGET_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
LEASE, STALE = 2.0, 30.0
ROW = schema.verifier
OPEN = """\
provider = "other"
title = "Other"
dialect = "problem"
[[areas]]
path = "/open"
public = true
methods = ["GET"]
"""


class Line:
    """The way to the database: counted, held up or cut by a test; nothing beats by itself."""

    def __init__(self, feed):
        self._feed = feed
        self.cut = False
        self.held = None  # an event that reads wait for, after they were made
        self.reads = self.throughs = 0
        self.changed = lambda beat: beat
        self.dated = lambda snapshot: snapshot
        self._over = threading.Event()

    def _up(self):
        if self.cut:
            raise StoreError("the line is cut")

    def register(self, incarnation):
        self._up()
        return self._feed.register(incarnation)

    def beat(self, incarnation, place):
        self._up()
        told = self._feed.beat(incarnation, place)
        return told if told is None else self.changed(told)

    def read(self, keys):
        self._up()
        self.reads += 1
        found = self.dated(self._feed.read(keys))
        if self.held is not None:
            assert self.held.wait(30)
        return found

    def read_through(self, incarnation, keys):
        self._up()
        self.throughs += 1
        return self._feed.read_through(incarnation, keys)

    def policy(self):
        self._up()
        return self._feed.policy()

    def head(self):
        self._up()
        return self._feed.head()

    def wait(self, _seconds, _place):
        return self._over.wait()

    def interrupt(self):
        self._over.set()

    def leave(self, incarnation):
        self._up()
        self._feed.leave(incarnation)

    def close(self):
        self._feed.close()


@dataclass
class Node:
    world: World
    line: Line
    engine: LeaseEngine
    boot: list[float]

    def row(self):
        return self.world.all(sa.select(ROW).where(ROW.c.incarnation == self.name))

    @property
    def name(self):
        return f"{self.engine.incarnation:016x}"


@pytest.fixture
def world(tmp_path, databases):
    made = World(tmp_path, databases=databases)
    yield made
    made.close()


@pytest.fixture
def nodes(world):
    opened = []

    def made(*, stale=None, database=None, line=Line):
        standing = Standing("here", 1, "0", stale or LEASE, stale is not None)
        feed = line(PostgresFeed(database or world.database, standing, limit=5.0))
        boot = [1_000.0]
        engine = LeaseEngine(
            Lease(feed, LEASE, stale, lambda: boot[0]),
            clock=time.time,
            ticks=time.monotonic,
            entropy=secrets.token_bytes,
            compile_policy=compiled,
            passwords=world.passwords(),
            assertions=world.assertions(fetch),
            on_decision=lambda *_: None,
        )
        opened.append(engine)
        return Node(world, feed, engine, boot)

    yield made
    for engine in opened:
        engine.close()


def elsewhere(path):
    return msgspec.structs.replace(asking(), target=path)


def acknowledged(node, n):
    return node.row()[0].acknowledged >= n


def follow(node):
    while node.engine.beat():
        pass


# --- warm, cold


def test_a_cold_credential_costs_one_round_trip_with_all_that_it_needs_and_then_none(nodes, world):
    node, key = nodes(), world.key(owner=world.somebody())
    assert node.engine.decide(asking(key)).allowed
    assert node.line.reads == 1
    assert node.engine.decide(asking(key)).allowed
    assert node.line.reads == 1


def test_an_attempt_never_waits_for_the_database(nodes, world):
    node, key = nodes(), world.key()
    node.line.held = threading.Event()
    need = node.engine.attempt(asking(key))
    assert not hasattr(need, "allowed")  # what is to be fetched, not a decision
    node.line.held.set()


def test_what_is_not_there_is_remembered_as_such_until_it_is_made(nodes, world):
    node, key = nodes(), world.key()
    world.change(
        Noun.CREDENTIAL,
        key.id,
        sa.delete(schema.credential).where(schema.credential.c.id == key.id),
    )
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_UNKNOWN
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_UNKNOWN
    assert node.line.reads == 1


# --- the order of rule 4


def test_a_change_is_acknowledged_only_after_it_was_followed(nodes, world):
    node, key = nodes(), world.key()
    follow(node)
    assert node.engine.decide(asking(key)).allowed
    n = world.revoke(key)
    assert node.engine.decide(asking(key)).allowed  # nobody was told yet
    assert node.engine.beat()
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED
    assert node.row()[0].acknowledged < n
    assert not node.engine.beat()
    assert node.row()[0].acknowledged == n


def test_whoever_answers_is_waited_for_between_following_and_acknowledging(nodes, world):
    node, key = nodes(), world.key()
    follow(node)
    told = []
    node.engine.settle = lambda: told.append(node.row()[0].acknowledged)
    n = world.revoke(key)
    follow(node)
    assert len(told) == 1
    assert told[0] < n


def test_nothing_is_acknowledged_while_what_was_decided_before_may_not_have_left(nodes, world):
    node, key = nodes(), world.key()
    follow(node)

    def stuck():
        raise TimeoutError

    node.engine.settle = stuck
    n = world.revoke(key)
    node.engine.beat()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            node.engine.beat()
    assert node.row()[0].acknowledged < n
    node.engine.settle = lambda: None
    node.engine.beat()
    assert node.row()[0].acknowledged == n


def test_a_read_that_a_revocation_overtook_is_made_again(nodes, world):
    node, key = nodes(), world.key()
    follow(node)
    node.line.held = threading.Event()
    found = []
    asked = threading.Thread(target=lambda: found.append(node.engine.decide(asking(key))))
    asked.start()
    until(lambda: node.line.reads == 1)
    world.revoke(key)
    follow(node)
    node.line.held.set()
    asked.join(30)
    assert found[0].reason is Reason.CREDENTIAL_REVOKED
    assert node.line.reads == 2


# --- trust, and what is done past it


def test_past_its_lease_nothing_is_believed_that_was_not_read_anew(nodes, world):
    node, key = nodes(), world.key()
    follow(node)
    assert node.engine.decide(asking(key)).allowed
    world.revoke(key)
    node.boot[0] += LEASE
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED
    assert node.line.throughs >= 1


def test_what_is_read_past_the_lease_is_proven_by_a_write_of_the_own_row(nodes, world):
    node, key = nodes(), world.key()
    node.boot[0] += LEASE
    before = node.row()[0].beat
    assert node.engine.decide(asking(key)).allowed
    assert node.row()[0].beat == before + node.line.throughs
    world.change(Noun.POLICY, "-", sa.delete(ROW).where(ROW.c.incarnation == node.name))
    assert node.engine.decide(asking(key)).reason is Reason.STORE_UNAVAILABLE


def test_past_its_lease_a_request_that_no_record_is_needed_for_goes_by_the_newest_policy(
    nodes, world
):
    node = nodes()
    request = elsewhere("/open")
    assert node.engine.decide(request).reason is Reason.NO_AREA
    world.publish({"other.toml": OPEN})
    assert node.engine.decide(request).reason is Reason.NO_AREA
    node.boot[0] += LEASE
    assert node.engine.decide(request).allowed


def test_it_says_for_how_long_memory_may_be_believed(nodes, world):
    node = nodes()
    follow(node)
    assert node.engine.trust_left(0.0) == LEASE
    node.boot[0] += 0.5
    assert node.engine.trust_left(0.0) == LEASE - 0.5
    node.boot[0] += LEASE
    assert node.engine.trust_left(0.0) == 0.0


def test_memory_that_was_not_renewed_since_counts_for_nothing_there(nodes):
    node = nodes()
    follow(node)
    began = node.boot[0]
    assert node.engine.trust_left(began) == LEASE
    assert node.engine.trust_left(began + 0.1) == 0.0
    node.boot[0] += 0.2
    follow(node)
    assert node.engine.trust_left(began + 0.1) == LEASE


def test_where_it_believes_stale_it_says_for_how_long_that_is(nodes, world):
    node = nodes(stale=STALE)
    follow(node)
    node.boot[0] += 0.5
    assert node.engine.trust_left(0.0) == LEASE - 0.5
    node.line.cut = True
    node.boot[0] += LEASE
    assert node.engine.decide(asking(world.key())).reason is Reason.STORE_UNAVAILABLE
    assert node.engine.trust_left(0.0) == STALE - LEASE - 0.5
    node.boot[0] += STALE
    assert node.engine.trust_left(0.0) == 0.0


def test_reads_renew_nothing(nodes, world):
    node, keys = nodes(), [world.key() for _ in range(3)]
    node.boot[0] += LEASE - 0.1
    assert node.engine.decide(asking(keys[0])).allowed
    node.boot[0] += 0.1
    assert node.engine.decide(asking(keys[1])).allowed
    assert node.engine.decide(asking(keys[2])).allowed
    assert (node.line.reads, node.line.throughs) == (1, 2)


def test_a_heartbeat_counts_from_when_it_began(nodes, world):
    node, key = nodes(), world.key()
    assert node.engine.decide(asking(key)).allowed

    def slow(beat):
        node.boot[0] += LEASE
        return beat

    node.line.changed = slow
    node.engine.beat()
    node.line.changed = lambda beat: beat
    node.line.cut = True
    node.engine.decide(asking(key))  # the first finds out that nobody answers
    assert node.engine.decide(asking(key)).reason is Reason.STORE_UNAVAILABLE


def test_what_did_not_reach_the_head_renews_nothing(nodes, world):
    node = nodes()
    node.line.changed = lambda beat: replace(beat, reached=False)
    node.boot[0] += LEASE / 2
    node.engine.beat()
    node.boot[0] += LEASE / 2
    assert node.engine.ready() is not None
    node.line.changed = lambda beat: beat
    node.engine.beat()
    assert node.engine.ready() is None


def test_a_journal_that_grew_by_more_than_a_page_is_followed_page_by_page(nodes, world):
    node = nodes()
    rows = [{"id": f"x-{n}", "name": f"x {n}"} for n in range(PAGE + 1)]
    told = {"active": True, "created_at": 0.0}
    with world.changing() as change:
        last = change.add_many(
            "test.made", Noun.TENANT, schema.tenant, [row | told for row in rows], tenant_id=None
        )
    reached: list[bool] = []

    def noted(beat):
        reached.append(beat.reached)
        return beat

    node.line.changed = noted
    follow(node)
    assert reached == [False, True, True]
    assert node.engine.position == last


def test_nobody_is_believed_when_the_database_is_away_past_the_lease(nodes, world):
    node, key = nodes(), world.key()
    assert node.engine.decide(asking(key)).allowed
    node.line.cut = True
    assert node.engine.decide(asking(key)).allowed  # under the lease
    assert node.engine.decide(asking(world.key())).reason is Reason.STORE_UNAVAILABLE
    node.boot[0] += LEASE
    assert node.engine.decide(asking(key)).reason is Reason.STORE_UNAVAILABLE
    assert node.engine.ready() is not None
    with pytest.raises(StoreError):
        node.engine.moment()
    node.line.cut = False
    node.engine.beat()
    assert node.engine.decide(asking(key)).allowed
    assert node.engine.ready() is None


def test_stale_while_unreachable_has_an_end_that_the_row_tells(nodes, world):
    node, key = nodes(stale=STALE), world.key()
    assert node.engine.decide(asking(key)).allowed
    assert (node.row()[0].trust, node.row()[0].stale) == (STALE, True)
    node.line.cut = True
    node.boot[0] += STALE - 0.1
    assert node.engine.decide(asking(key)).allowed  # once it found out that nobody answers
    assert node.engine.decide(asking(key)).allowed
    node.boot[0] += 0.1
    assert node.engine.decide(asking(key)).reason is Reason.STORE_UNAVAILABLE


def test_what_can_be_reached_is_not_believed_stale(nodes, world):
    node, key = nodes(stale=STALE), world.key()
    assert node.engine.decide(asking(key)).allowed
    world.revoke(key)
    node.boot[0] += LEASE
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


# --- rows that are not live, and histories that are not this one


@pytest.mark.parametrize("how", ["leaving", "gone", "epoch", "rewritten"])
def test_everything_is_forgotten_and_registered_anew(nodes, world, how):
    node, key = nodes(), world.key()
    follow(node)
    assert node.engine.decide(asking(key)).allowed
    name, moment = node.name, node.engine.moment()
    journal, head = schema.journal, schema.journal_head
    gone = {
        "leaving": sa.update(ROW).where(ROW.c.incarnation == name).values(state="leaving"),
        "gone": sa.delete(ROW).where(ROW.c.incarnation == name),
        "epoch": sa.update(head).values(epoch="another"),
        "rewritten": sa.update(journal)
        .where(journal.c.n == node.engine.position)
        .values(hash=secrets.token_bytes(32)),
    }[how]
    with world.store.writing() as connection:
        connection.execute(gone)
    # Behind the journal's back, so that memory alone would still say yes.
    credential = schema.credential
    with world.store.writing() as connection:
        connection.execute(
            sa.update(credential).where(credential.c.id == key.id).values(revoked_at=1.0)
        )
    assert node.engine.decide(asking(key)).allowed
    assert node.engine.beat()
    assert node.name != name
    assert [row.incarnation for row in world.all(sa.select(ROW))] == [node.name]
    node.engine.beat()
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED
    assert node.engine.moment()[0] != moment[0]


def test_what_was_read_ahead_of_the_journal_is_forgotten_on_another_timeline(nodes, world):
    node, key = nodes(), world.key()
    assert node.engine.decide(asking(key)).allowed  # read at a number that was not followed yet
    other = lambda beat: replace(beat, timeline="00000009", changes=(), reached=True)  # noqa: E731
    node.line.changed = other
    node.line.dated = lambda snapshot: replace(snapshot, timeline="00000009")
    moment = node.engine.moment()
    node.engine.beat()
    assert node.engine.moment()[0] != moment[0]
    assert node.engine.decide(asking(key)).allowed
    assert node.line.reads == 2


def test_what_is_read_of_another_timeline_is_not_remembered(nodes, world):
    node, key = nodes(), world.key()
    node.line.dated = lambda snapshot: replace(snapshot, timeline="00000009", number=10**9)
    assert node.engine.decide(asking(key)).reason is Reason.STORE_UNAVAILABLE
    node.line.dated = lambda snapshot: snapshot
    reads = node.line.reads
    assert node.engine.decide(asking(key)).allowed
    assert node.line.reads == reads + 1


def test_what_another_timeline_has_is_not_acknowledged_until_it_was_heard_of(nodes, world):
    node = nodes()
    world.key()
    follow(node)
    assert node.row()[0].acknowledged == node.engine.position
    node.engine._source._feed._timeline = "00000009"  # as if it had heard of another one last
    node.engine.beat()
    assert node.row()[0].acknowledged == 0
    node.engine.beat()
    assert node.row()[0].acknowledged == node.engine.position


@pytest.mark.parametrize("behind", [{"position": 1}, {"timeline": "00000009"}])
def test_a_policy_of_a_database_that_is_behind_is_not_followed(nodes, world, monkeypatch, behind):
    node, request = nodes(), elsewhere("/open")
    world.publish({"other.toml": OPEN})
    old = node.line.policy
    monkeypatch.setattr(node.line, "policy", lambda: replace(old(), **behind))
    with pytest.raises(StoreError):
        node.engine.beat()
    monkeypatch.undo()
    follow(node)
    assert node.engine.decide(request).allowed


def test_past_the_lease_a_policy_that_is_older_than_was_proven_is_not_decided_by(
    nodes, world, monkeypatch
):
    node, key = nodes(), world.key()
    old = node.line.policy()
    world.publish({"other.toml": OPEN})
    monkeypatch.setattr(node.line, "policy", lambda: old)
    node.boot[0] += LEASE
    assert node.engine.decide(asking(key)).reason is Reason.STORE_UNAVAILABLE


def test_what_was_read_aside_is_read_anew_once_memory_has_moved_on(nodes, world):
    node, key = nodes(), world.key()
    follow(node)
    node.boot[0] += LEASE
    aside = node.engine._fetched(node.engine.attempt(asking(key)))
    assert node.engine.attempt(asking(key), aside).allowed
    world.revoke(key)
    node.engine.beat()
    node.boot[0] += LEASE
    found = node.engine.attempt(asking(key), aside)
    assert not hasattr(found, "allowed")
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_past_the_lease_what_takes_several_reads_is_read_together(nodes, world):
    node = nodes()
    owner = world.somebody()
    below = world.key(owner=owner, parent=world.key(owner=owner, parent=world.key(owner=owner)))
    node.boot[0] += LEASE
    assert node.engine.decide(asking(below)).allowed
    assert node.line.throughs > 1


def test_a_database_of_another_schema_is_refused_at_the_start(nodes, world, postgres_database):
    at = Postgres(Secret(postgres_database.uri))
    with pytest.raises(NotMigratedError, match="latchgate init"):
        nodes(database=at)
    migrate(at, "main")
    with psycopg.connect(postgres_database.uri) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE schema_window SET oldest = '9999'")
    with pytest.raises(NotMigratedError, match="9999"):
        nodes(database=at)


def test_the_row_is_given_back_at_the_end(nodes, world):
    node = nodes()
    node.engine.close()
    assert node.row() == []
    assert node.engine.decide(asking(world.key())).reason is Reason.STORE_UNAVAILABLE


def test_who_trusts_for_longer_than_anybody_before_begins_once_that_is_known(
    nodes, world, monkeypatch
):
    nodes()
    slept: list[float] = []
    promise = sa.select(schema.promise.c.max_trust)

    def noted(seconds):
        slept.append(seconds)
        assert world.one(promise).max_trust == STALE
        assert len(world.all(sa.select(ROW))) == 1

    monkeypatch.setattr(time, "sleep", noted)
    nodes(stale=STALE)
    nodes(stale=STALE)
    nodes()
    assert slept == [KNOWN_SECONDS]
    assert FORGET_SECONDS < KNOWN_SECONDS


# --- policy


def test_a_new_policy_holds_from_the_heartbeat_that_brought_it(nodes, world):
    node, request = nodes(), elsewhere("/open")
    assert node.engine.decide(request).reason is Reason.NO_AREA
    world.publish({"other.toml": OPEN})
    follow(node)
    assert node.engine.decide(request).allowed


def test_a_policy_that_cannot_be_read_ends_trust_and_is_tried_again(nodes, world):
    node, key = nodes(), world.key()
    world.publish({"other.toml": "no = policy"})
    with pytest.raises(Exception, match=r"other\.toml"):
        node.engine.beat()
    node.boot[0] += LEASE
    node.engine.decide(asking(key))
    assert not node.engine.decide(asking(key)).allowed
    world.publish({"other.toml": OPEN})
    follow(node)
    assert node.engine.decide(elsewhere("/open")).allowed


# --- the real line


def test_a_commit_that_no_standby_confirmed_renews_nothing(nodes, postgres):
    with Server.made(like=postgres) as server:
        server.create("held_up")
        at = Postgres(Secret(server.uri("held_up")))
        migrate(at, "main")
        node = nodes(database=at)
        server.configure(synchronous_standby_names="nobody")

        def unconfirmed():
            node.boot[0] += LEASE
            return not _beaten(node)

        # Each process of the server reads its configuration anew in its own time.
        beating = threading.Thread(target=lambda: until(unconfirmed))
        beating.start()
        waiting = sql.SQL(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        until(lambda: server.execute(waiting))
        beating.join(30)
        assert node.engine.ready() is not None
        server.configure(synchronous_standby_names="")
        until(lambda: _beaten(node))
        assert node.engine.ready() is None


def _beaten(node):
    """Whether a heartbeat was confirmed."""
    try:
        node.engine.beat()
    except StoreError:
        return False
    return True


def test_a_pooler_in_transaction_mode_and_no_notifications_will_do(world, nodes, pgbouncer):
    name = world.database.uri.reveal().partition("?")[0].rpartition("/")[2]
    at = Postgres(Secret(pgbouncer.uri(name)))
    node, key = nodes(database=at, line=lambda feed: feed), world.key()
    assert node.engine.decide(asking(key)).allowed
    n = world.revoke(key)
    until(lambda: node.row()[0].acknowledged >= n)
    assert node.engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_where_no_notification_arrives_a_wait_ends_all_the_same_once_something_changed(
    world, pgbouncer
):
    name = world.database.uri.reveal().partition("?")[0].rpartition("/")[2]
    standing = Standing("here", 1, "0", LEASE, stale=False)
    at = Postgres(Secret(pgbouncer.uri(name)))
    with closing(PostgresFeed(at, standing, limit=5.0)) as feed:
        place, _, _ = feed.register("here")
        assert not feed.wait(0.05, place)
        world.key()
        assert feed.wait(3_600.0, place)
        feed.leave("here")


def test_a_notification_is_waited_for_and_ends_the_wait(world):
    standing = Standing("here", 1, "0", LEASE, stale=False)
    with closing(PostgresFeed(world.database, standing, limit=5.0)) as feed:
        place, _, _ = feed.register("here")
        assert not feed.wait(0.05, place)
        told = threading.Thread(target=world.key)
        told.start()
        assert feed.wait(30.0, Place("other", -1, b""))
        told.join()


def test_no_request_after_an_acknowledged_revocation_is_allowed_while_threads_decide(world, nodes):
    node = nodes(line=lambda feed: feed)
    node.boot[0] = time.monotonic()
    engine, made = node.engine, [world.key() for _ in range(12)]
    engine._boot = time.monotonic
    revoked, wrong, stop = set(), [], threading.Event()

    def work():
        while not stop.is_set():
            for key in made:
                before = key.id in revoked
                if engine.decide(asking(key)).allowed and before:
                    wrong.append(key.id)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for key in made:
        n = world.revoke(key)
        until(functools.partial(acknowledged, node, n))
        revoked.add(key.id)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not wrong
