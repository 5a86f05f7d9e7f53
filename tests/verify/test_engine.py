"""Decisions over a real database: exact on every change, and a refusal whenever anything fails."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
import sqlalchemy as sa
from tests.world import FILES, WAYSCLOUD, MadeKey, World, asking, compiled, until

from latchgate.core.kinds.service_key import ENTROPY_BYTES
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Noun
from latchgate.core.policy_faults import PolicyError
from latchgate.core.reason import Reason
from latchgate.manage import keys
from latchgate.signin.jwks import fetch
from latchgate.signin.oidc import Assertions
from latchgate.signin.pool import Passwords
from latchgate.store import reads as reads_module
from latchgate.store import schema, sqlite
from latchgate.store.bell import Bell, BellFullError
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.journal import Store
from latchgate.store.reads import PAGE, read_head, read_records
from latchgate.store.sqlite import connect, driver
from latchgate.verify import bell_engine as engine_module
from latchgate.verify.bell_engine import POLL_SECONDS, BellEngine

REVOKE = """
import sys, time
from pathlib import Path
import sqlalchemy as sa
from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.bell import Bell
from latchgate.store.journal import Actor, Store
store = Store(Path(sys.argv[1]), clock=time.time)
if sys.argv[3] == "dies":
    import os, signal
    Bell.ring = lambda self: os.kill(os.getpid(), signal.SIGKILL)
with store.change(Actor(name="other process", tenant_id=None)) as change:
    table = schema.credential
    change.execute(sa.update(table).where(table.c.id == sys.argv[2]).values(revoked_at=1.0))
    change.note("key.revoke", Noun.CREDENTIAL, sys.argv[2], tenant_id=None, detail={})
print("done", flush=True)
"""
OPEN = """\
provider = "other"
title = "Other"
dialect = "problem"
[[areas]]
path = "/open"
public = true
methods = ["GET"]
"""
SHUT = OPEN.replace("/open", "/elsewhere")


def revoke_elsewhere(world, key, *, dies=False):
    command = [sys.executable, "-c", REVOKE, str(world.database), key.id, "dies" if dies else "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == (-signal.SIGKILL if dies else 0), done.stderr


# --- exact on revocation


def test_a_key_is_allowed_until_the_moment_it_is_revoked(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    world.revoke(key)
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_a_revocation_in_another_process_holds_for_the_next_request(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    revoke_elsewhere(world, key)
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_the_ring_alone_is_enough_when_no_time_passes(world):
    # The clock of the poll stands still, so only the bell can have told.
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key)).allowed
    revoke_elsewhere(world, key)
    assert not engine.decide(asking(key)).allowed


def test_no_request_that_starts_after_a_revoke_returned_is_allowed_on_any_of_many_engines(world):
    engines = [world.engine() for _ in range(4)]
    for _ in range(30):
        key = world.key()
        assert all(engine.decide(asking(key)).allowed for engine in engines)
        world.revoke(key)
        assert not any(engine.decide(asking(key)).allowed for engine in engines)


def test_no_request_that_starts_after_a_revoke_returned_is_allowed_while_threads_decide(world):
    engine, keys_made = world.engine(), [world.key() for _ in range(40)]
    revoked: dict[str, float] = {}
    wrong: list[str] = []
    stop = threading.Event()

    def work(seed):
        order = random.Random(seed)
        while not stop.is_set():
            key = order.choice(keys_made)
            was_revoked = key.id in revoked
            if engine.decide(asking(key)).allowed and was_revoked:
                wrong.append(key.id)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for key in keys_made:
        world.revoke(key)
        revoked[key.id] = time.monotonic()
    time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_writer_that_died_between_commit_and_ring_is_noticed_by_the_next_poll(world):
    ticks = [0.0]
    key, engine = world.key(), world.engine(ticks=lambda: ticks[0])
    assert engine.decide(asking(key)).allowed
    revoke_elsewhere(world, key, dies=True)
    ticks[0] += POLL_SECONDS
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_a_writer_that_died_between_commit_and_ring_is_noticed_within_100_ms(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    connection = driver.connect(str(world.database), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE credential SET revoked_at = 1.0 WHERE id = ?", (key.id,))
    connection.execute("UPDATE journal_head SET n = n + 1")
    connection.execute(
        "INSERT INTO journal (n, at, actor, action, noun, record, detail, previous, hash)"
        " SELECT n, 1.0, 'x', 'key.revoke', 'credential', ?, '{}', hash, hash FROM journal_head",
        (key.id,),
    )
    connection.execute("COMMIT")
    committed = time.monotonic()
    until(lambda: not engine.decide(asking(key)).allowed, seconds=1.0, what="the refusal")
    assert time.monotonic() - committed < POLL_SECONDS + 0.5  # a busy machine may be late
    connection.close()


def test_a_repeated_revoke_makes_every_cache_look_again(world):
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key)).allowed
    revoke_elsewhere(world, key, dies=True)
    n = world.revoke(key)
    assert n == world.head()
    assert not engine.decide(asking(key)).allowed


def test_a_positive_read_that_is_under_way_is_not_remembered_past_the_revocation(
    world, monkeypatch
):
    # The answer to the request under way may be yes: it began before. The next may not.
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    read, slow = read_records, [True]

    def read_then_revoke(connection, wanted):
        found = read(connection, wanted)
        if slow.pop() if slow else False:
            world.revoke(key)
        return found

    monkeypatch.setattr(engine_module, "read_records", read_then_revoke)
    engine.decide(asking(key))
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_records_of_one_decision_that_change_between_two_reads_are_not_remembered(
    world, monkeypatch
):
    owner = world.somebody()
    key, engine = world.key(owner=owner), world.engine(ticks=lambda: 0.0)
    read, calls = read_records, []

    def read_and_disable(connection, wanted):
        found = read(connection, wanted)
        calls.append(wanted)
        if len(calls) == 2:
            disable(world, schema.user, Noun.USER, owner.user_id)
        return found

    monkeypatch.setattr(engine_module, "read_records", read_and_disable)
    engine.decide(asking(key))
    assert len(calls) >= 2
    assert engine.decide(asking(key)).reason is Reason.OWNER_DISABLED


def test_a_key_made_after_it_was_asked_for_is_known_at_once(world):
    engine = world.engine(ticks=lambda: 0.0)
    kind = engine.policy.kinds["wayscloud.service_key"]
    issued = kind.issue(Spec(service="storage"), secrets.token_bytes(ENTROPY_BYTES))
    headers = {"authorization": f"Bearer {issued.secret.reveal()}"}
    assert engine.decide(asking(headers=headers)).reason is Reason.CREDENTIAL_UNKNOWN
    owner = world.owner
    with world.changing() as change:
        keys.insert(
            change,
            kind=kind,
            issued=issued,
            spec=keys.KeySpec(name="late", services=["storage"]),
            scopes=world.acting(world.admin).rights,
            networks=None,
            expires_at=None,
            owner=(owner.tenant_id, owner.project_id, owner.user_id),
        )
    assert engine.decide(asking(headers=headers)).allowed


def stranger(like):
    """A key of ours that nobody made."""
    kind = compiled(FILES, 1).issued("wayscloud.service_key")
    issued = kind.issue(Spec(service="storage"), secrets.token_bytes(ENTROPY_BYTES))
    return MadeKey(issued.id, issued.secret.reveal(), like.owner)


def ids_of(engine, *names):
    """Which of some ids an engine takes for ones that exist."""
    known = engine._cache.known
    assert known is not None
    return {one for one in names if one in known}


def small_pages(monkeypatch, rows):
    for module in (reads_module, engine_module):
        monkeypatch.setattr(module, "PAGE", rows)


def learnt(engine):
    with engine._lock:
        engine.learn()
    until(lambda: engine._cache.known is not None, seconds=30, what="reading ids")


@pytest.fixture
def reads(monkeypatch):
    """How many times records were read."""
    made = []
    read = reads_module.read_records

    def counted(connection, wanted):
        made.append(tuple(wanted))
        return read(connection, wanted)

    monkeypatch.setattr(engine_module, "read_records", counted)
    return made


def test_after_many_unknown_keys_the_ids_are_read_and_unknown_keys_cost_no_read(
    world, reads, monkeypatch
):
    monkeypatch.setattr(engine_module, "LEARN_AFTER", 5)
    key, engine = world.key(), world.engine()
    for _ in range(5):
        assert engine.decide(asking(stranger(key))).reason is Reason.CREDENTIAL_UNKNOWN
    until(lambda: engine._cache.known is not None, seconds=30, what="reading ids")
    held = len(engine._cache)
    reads.clear()
    for _ in range(200):
        assert engine.decide(asking(stranger(key))).reason is Reason.CREDENTIAL_UNKNOWN
    assert len(reads) <= 5, "1 unknown key in 600 costs a read"
    assert len(engine._cache) - held == len(reads), "each other one takes no room"
    assert engine.decide(asking(key)).allowed


def test_a_key_made_after_the_ids_were_read_is_known_at_once(world):
    key, engine = world.key(), world.engine()
    learnt(engine)
    late = [world.key() for _ in range(5)]
    assert all(engine.decide(asking(one)).allowed for one in (key, *late))


def test_keys_made_while_ids_are_read_are_known_whichever_page_missed_them(world, monkeypatch):
    small_pages(monkeypatch, 3)
    engine, made = world.engine(), [world.key() for _ in range(20)]
    read, counted = reads_module.read_ids, []

    def between(connection, after):
        found = read(connection, after)
        counted.append(after)
        made.append(world.key())  # after each page: of some the page that would have it is past
        return found

    monkeypatch.setattr(engine_module, "read_ids", between)
    with engine._lock:
        engine.learn()
    deadline = time.monotonic() + 30
    while engine._cache.known is None and time.monotonic() < deadline:
        for key in (made[0], made[-1]):
            assert engine.decide(asking(key)).allowed
    assert engine._cache.known is not None
    assert len(counted) > 7
    assert all(engine.decide(asking(key)).allowed for key in made)
    wanted = {key.id for key in made}
    assert ids_of(engine, *wanted) == wanted


def test_a_restored_database_has_its_ids_read_anew(world):
    key, engine = world.key(), world.engine()
    learnt(engine)
    with world.changing() as change:
        change.execute(sa.update(schema.journal_head).values(epoch="another"))
        # What the database holds from here on came without a journal row, as in a backup.
        table = schema.credential
        change.execute(sa.update(table).where(table.c.id == key.id).values(id="restored0000"))
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_UNKNOWN
    assert engine._cache.known is None
    learnt(engine)
    assert ids_of(engine, "restored0000", key.id) == {"restored0000"}


def test_ids_that_cannot_be_read_leave_unknown_keys_to_be_read(world, monkeypatch):
    key, engine = world.key(), world.engine()

    def fails(*_told):
        raise StoreError("made to fail")

    monkeypatch.setattr(engine_module, "count_ids", fails)
    with engine._lock:
        engine.learn()
    until(lambda: engine._learning is None, seconds=30, what="giving up")
    assert engine._cache.known is None
    assert engine.decide(asking(stranger(key))).reason is Reason.CREDENTIAL_UNKNOWN
    assert engine.decide(asking(key)).allowed


def test_an_engine_closes_while_ids_are_read(world, monkeypatch):
    small_pages(monkeypatch, 1)
    engine = world.engine()
    for _ in range(20):
        world.key()
    with engine._lock:
        engine.learn()
    engine.close()
    world._engines.remove(engine)
    assert engine._learning is None
    assert engine._cache.known is None


def test_more_changes_than_a_page_are_followed_at_once(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    with world.changing() as change:
        for at in range(2 * PAGE + 5):
            change.note("test", Noun.USER, f"nobody-{at}", tenant_id=None, detail={})
        table = schema.credential
        change.execute(sa.update(table).where(table.c.id == key.id).values(revoked_at=1.0))
        change.note("key.revoke", Noun.CREDENTIAL, key.id, tenant_id=None, detail={})
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED
    assert engine.position == world.head()


def another_epoch(world):
    """Take the last journal row away, as a restored backup does, under a new epoch."""
    with closing(connect(world.database, durable=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM journal WHERE n = (SELECT n FROM journal_head)")
        connection.execute("UPDATE journal_head SET n = n - 1, epoch = 'restored'")
        connection.execute("UPDATE credential SET revoked_at = 1.0")
        connection.execute("COMMIT")


@pytest.mark.parametrize("rung", [True, False])
def test_a_new_epoch_empties_the_memory_whatever_its_numbers_are(world, rung):
    ticks = [0.0]
    key, engine = world.key(), world.engine(ticks=lambda: ticks[0])
    assert engine.decide(asking(key)).allowed
    position = engine.position
    another_epoch(world)
    if rung:
        world.store.ring()
    else:
        ticks[0] += POLL_SECONDS  # nobody rang: the database's own version tells
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED
    assert engine.position == position - 1
    (listener,) = world.store.bell.listeners()
    assert listener.acknowledged == engine.position


def test_a_new_epoch_whose_policy_is_unusable_is_refused_until_it_is_usable(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    another_epoch(world)
    with closing(connect(world.database, durable=True)) as connection:
        connection.execute("UPDATE credential SET revoked_at = NULL")
        (files,) = connection.execute("SELECT files FROM policy_version").fetchone()
        connection.execute('UPDATE policy_version SET files = \'{"a.toml": "no"}\'')
        world.store.ring()
        for _ in range(3):
            assert engine.decide(asking(key)).reason is Reason.FAULT
        connection.execute("UPDATE policy_version SET files = ?", (files,))
    assert engine.decide(asking(key)).allowed


def test_a_decision_names_the_number_it_was_made_at(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).journal == world.head()
    world.tenant()
    assert engine.decide(asking(key)).journal == world.head()


def test_what_was_followed_is_acknowledged_at_the_bell(world):
    engine = world.engine()

    def acknowledged():
        return {one.incarnation: one.acknowledged for one in world.store.bell.listeners()}

    assert acknowledged() == {engine.incarnation: world.head()}
    world.tenant()
    assert acknowledged()[engine.incarnation] == world.head() - 1
    engine.follow()
    assert acknowledged()[engine.incarnation] == world.head()


def test_an_acknowledgement_comes_only_after_the_decision_that_was_under_way(world, monkeypatch):
    # Rule 8: an accept that is already decided must leave before the acknowledgement.
    key, engine = world.key(), world.engine()
    inside, go = threading.Event(), threading.Event()
    read = read_records

    def read_slowly(connection, wanted):
        found = read(connection, wanted)
        inside.set()
        go.wait(10)
        return found

    monkeypatch.setattr(engine_module, "read_records", read_slowly)
    deciding = threading.Thread(target=engine.decide, args=(asking(key),))
    deciding.start()
    inside.wait(10)
    n = world.revoke(key)
    following = threading.Thread(target=engine.follow)
    following.start()
    time.sleep(0.1)
    (listener,) = world.store.bell.listeners()
    assert listener.acknowledged < n
    go.set()
    deciding.join()
    following.join()
    (listener,) = world.store.bell.listeners()
    assert listener.acknowledged >= n


def test_two_engines_are_two_caches(world):
    one, other = world.engine(), world.engine()
    assert one.incarnation != other.incarnation
    assert {each.incarnation for each in world.store.bell.listeners()} == {
        one.incarnation,
        other.incarnation,
    }


def test_a_closed_engine_is_listed_no_more(world):
    engine = world.engine()
    world._engines.remove(engine)
    engine.close()
    assert world.store.bell.listeners() == []


# --- effective rights: issued ∩ owner now ∩ parent now


def disable(world, table, noun, record):
    world.change(noun, record, sa.update(table).where(table.c.id == record).values(active=False))


def enable(world, table, noun, record):
    world.change(noun, record, sa.update(table).where(table.c.id == record).values(active=True))


@pytest.mark.parametrize(
    ("table", "noun", "whose", "reason"),
    [
        (schema.user, Noun.USER, "user_id", Reason.OWNER_DISABLED),
        (schema.tenant, Noun.TENANT, "tenant_id", Reason.TENANT_SUSPENDED),
        (schema.project, Noun.PROJECT, "project_id", Reason.PROJECT_DISABLED),
    ],
    ids=["user", "tenant", "project"],
)
def test_a_holder_that_is_disabled_takes_its_keys_along_at_once_and_gives_them_back(
    world, table, noun, whose, reason
):
    owner, bystander = world.somebody(), world.key()
    key, engine = world.key(owner=owner), world.engine(ticks=lambda: 0.0)
    record = getattr(owner, whose)
    assert engine.decide(asking(key)).allowed
    disable(world, table, noun, record)
    assert engine.decide(asking(key)).reason is reason
    assert engine.decide(asking(bystander)).allowed
    enable(world, table, noun, record)
    assert engine.decide(asking(key)).allowed


def test_a_role_that_is_taken_away_takes_its_scopes_along_at_once(world):
    owner = world.somebody("storage:read")
    key, engine = world.key(owner=owner), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key)).allowed
    table = schema.role_assignment
    world.change(Noun.USER, owner.user_id, sa.delete(table).where(table.c.user_id == owner.user_id))
    assert engine.decide(asking(key)).reason is Reason.OWNER_LACKS_SCOPE
    world.assign(owner.user_id, owner.project_id, world.role(None, ["storage:read"]))
    assert engine.decide(asking(key)).allowed


def test_a_role_that_is_narrowed_narrows_every_key_at_once(world):
    owner = world.somebody("storage:read", "storage:write")
    key, engine = world.key(owner=owner), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key, method="PUT")).allowed
    table = schema.role_assignment
    role = world.one(sa.select(table.c.role_id).where(table.c.user_id == owner.user_id)).role_id
    narrowed = sa.update(schema.role).where(schema.role.c.id == role)
    world.change(Noun.ROLE, role, narrowed.values(scopes='["storage:read"]'))
    assert engine.decide(asking(key, method="PUT")).reason is Reason.OWNER_LACKS_SCOPE
    assert engine.decide(asking(key)).allowed
    world.change(Noun.ROLE, role, narrowed.values(scopes="[]"))
    assert engine.decide(asking(key)).reason is Reason.OWNER_LACKS_SCOPE


def test_a_key_never_gets_more_than_it_was_issued_however_wide_its_owner_becomes(world):
    owner = world.somebody("storage:read")
    key, engine = world.key(scopes=["storage:read"], owner=owner), world.engine()
    world.assign(owner.user_id, owner.project_id, world.role(None, ["*"]))
    assert engine.decide(asking(key)).allowed
    assert engine.decide(asking(key, method="PUT")).reason is Reason.SCOPE_NOT_GRANTED


def test_several_roles_add_up(world):
    owner = world.somebody("storage:read")
    world.assign(owner.user_id, owner.project_id, world.role(owner.tenant_id, ["storage:write"]))
    key, engine = world.key(owner=owner), world.engine()
    assert engine.decide(asking(key)).allowed
    assert engine.decide(asking(key, method="PUT")).allowed
    assert engine.decide(asking(key, method="DELETE")).reason is Reason.OWNER_LACKS_SCOPE


def test_a_role_in_another_project_gives_nothing_here(world):
    owner = world.somebody("storage:read")
    other = world.project(owner.tenant_id)
    world.assign(owner.user_id, other, world.role(None, ["*"]))
    key, engine = world.key(owner=owner), world.engine()
    assert engine.decide(asking(key, method="PUT")).reason is Reason.OWNER_LACKS_SCOPE


def test_a_role_of_another_tenant_gives_nothing(world):
    owner = world.somebody("storage:read")
    world.assign(owner.user_id, owner.project_id, world.role(world.tenant(), ["*"]))
    key, engine = world.key(owner=owner), world.engine()
    assert engine.decide(asking(key, method="PUT")).reason is Reason.OWNER_LACKS_SCOPE


def test_an_owner_or_a_project_of_another_tenant_stands_for_nobody(world):
    engine, table = world.engine(), schema.credential
    other = world.somebody()
    for column, value, reason in (
        ("owner_id", other.user_id, Reason.OWNER_MISSING),
        ("project_id", other.project_id, Reason.PROJECT_DISABLED),
    ):
        key = world.key()
        moved = sa.update(table).where(table.c.id == key.id).values({column: value})
        world.change(Noun.CREDENTIAL, key.id, moved)
        assert engine.decide(asking(key)).reason is reason


def test_an_owner_without_any_role_may_do_nothing(world):
    owner = world.somebody()
    table = schema.role_assignment
    world.change(Noun.USER, owner.user_id, sa.delete(table).where(table.c.user_id == owner.user_id))
    key, engine = world.key(owner=owner), world.engine()
    assert engine.decide(asking(key)).reason is Reason.OWNER_LACKS_SCOPE


def test_an_empty_list_of_scopes_means_none(world):
    key, engine = world.key(scopes=[]), world.engine()
    assert engine.decide(asking(key)).reason is Reason.SCOPE_NOT_GRANTED


def test_a_parent_that_is_revoked_takes_its_children_and_grandchildren_along_at_once(world):
    parent = world.key()
    child = world.key(parent=parent)
    grandchild = world.key(parent=child)
    engine = world.engine(ticks=lambda: 0.0)
    assert all(engine.decide(asking(key)).allowed for key in (parent, child, grandchild))
    world.revoke(parent)
    assert engine.decide(asking(child)).reason is Reason.PARENT_GONE
    assert engine.decide(asking(grandchild)).reason is Reason.PARENT_GONE


def test_a_parent_that_is_narrowed_narrows_its_children_at_once(world):
    parent = world.key(scopes=["storage:read", "storage:write"])
    child, engine = world.key(parent=parent), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(child, method="PUT")).allowed
    table = schema.credential
    narrowed = sa.update(table).where(table.c.id == parent.id).values(scopes='["storage:read"]')
    world.change(Noun.CREDENTIAL, parent.id, narrowed)
    assert engine.decide(asking(child, method="PUT")).reason is Reason.PARENT_LACKS_SCOPE
    assert engine.decide(asking(child)).allowed


def test_a_parent_that_expires_takes_its_children_along(world):
    now = [1_000.0]
    parent = world.key(expires_at=2_000.0)
    child = world.key(parent=parent)
    engine = world.engine(clock=lambda: now[0])
    assert engine.decide(asking(child)).allowed
    now[0] = 2_000.0
    assert engine.decide(asking(child)).reason is Reason.PARENT_GONE


def test_a_parents_networks_bind_its_children(world):
    child = world.key(parent=world.key(networks=["192.0.2.0/24"]))
    engine = world.engine()
    assert engine.decide(asking(child, client="192.0.2.1")).allowed
    assert engine.decide(asking(child, client="198.51.100.1")).reason is Reason.PARENT_GONE


@pytest.mark.parametrize(
    ("whose", "reason"),
    [
        ("user_id", Reason.PARENT_GONE),
        ("project_id", Reason.PARENT_GONE),
        ("tenant_id", Reason.TENANT_SUSPENDED),  # a parent is always of the same tenant
    ],
)
def test_what_happens_to_a_parents_holders_happens_to_its_children(world, whose, reason):
    owner = world.somebody()
    heir = world.somebody(tenant_id=owner.tenant_id)
    child = world.key(parent=world.key(owner=owner), owner=heir)
    engine = world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(child)).allowed
    table, noun = {
        "user_id": (schema.user, Noun.USER),
        "project_id": (schema.project, Noun.PROJECT),
        "tenant_id": (schema.tenant, Noun.TENANT),
    }[whose]
    disable(world, table, noun, getattr(owner, whose))
    assert engine.decide(asking(child)).reason is reason


def test_a_longer_line_of_parents_than_is_followed_is_refused(world):
    key, engine = world.key(), world.engine()
    verdicts = []
    for _ in range(8):
        key = world.key(parent=key)
        verdicts.append(engine.decide(asking(key)).allowed)
    assert verdicts[0] is True
    assert verdicts[-1] is False
    assert verdicts == sorted(verdicts, reverse=True)


def test_a_credential_that_is_its_own_parent_is_refused(world):
    key, engine = world.key(), world.engine()
    table = schema.credential
    own = sa.update(table).where(table.c.id == key.id).values(parent_id=key.id)
    world.change(Noun.CREDENTIAL, key.id, own)
    assert not engine.decide(asking(key)).allowed


def test_a_record_that_is_deleted_is_unknown_at_once(world):
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key)).allowed
    table = schema.credential
    world.change(Noun.CREDENTIAL, key.id, sa.delete(table).where(table.c.id == key.id))
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_UNKNOWN


def test_a_key_is_valid_while_now_is_before_its_expiry(world):
    now = [1_999.999]
    key, engine = world.key(expires_at=2_000.0), world.engine(clock=lambda: now[0])
    assert engine.decide(asking(key)).allowed
    now[0] = 2_000.0
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_EXPIRED
    now[0] = 1_999.0  # the clock was set back
    assert engine.decide(asking(key)).allowed


def test_a_key_that_was_allowed_from_one_address_is_judged_anew_from_another(world):
    key, engine = world.key(networks=["192.0.2.1"]), world.engine()
    assert engine.decide(asking(key, client="192.0.2.1")).allowed
    assert engine.decide(asking(key, client="192.0.2.2")).reason is Reason.NETWORK_NOT_ALLOWED


# --- policy


def test_a_new_policy_is_followed_by_the_next_decision(world):
    engine = world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(target="/open")).reason is Reason.NO_AREA
    version = world.publish({"other.toml": OPEN})
    decision = engine.decide(asking(target="/open"))
    assert (decision.allowed, decision.policy_version) == (True, version)


def test_a_new_policy_binds_keys_that_were_allowed_before(world):
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key)).allowed
    stricter = WAYSCLOUD.replace(
        '{ methods = ["GET", "HEAD"], scope = "storage:read" }',
        '{ methods = ["GET", "HEAD"], scope = "storage:delete" }',
    )
    narrow = world.key(scopes=["storage:read"])
    assert engine.decide(asking(narrow)).allowed
    world.publish({"wayscloud.toml": stricter})
    assert engine.decide(asking(narrow)).reason is Reason.SCOPE_NOT_GRANTED
    assert engine.decide(asking(key)).allowed


def test_versions_that_change_while_threads_decide_are_never_mixed(world):
    engine = world.engine()
    stop, wrong, seen = threading.Event(), [], set()

    def work():
        while not stop.is_set():
            decision = engine.decide(asking(target="/open"))
            seen.add(decision.policy_version)
            # Even versions open the area, odd ones don't have it.
            even = decision.policy_version % 2 == 0
            wanted = Reason.ALLOWED if even else Reason.NO_AREA
            if decision.reason is not wanted:
                wrong.append(decision)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        version = world.publish({"other.toml": OPEN})
        assert version % 2 == 0
        time.sleep(0.01)
        world.publish({"other.toml": SHUT})
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(seen) > 10


@pytest.mark.parametrize(
    "files",
    [
        {"bad.toml": "this is not TOML"},
        {"bad.toml": 'provider = "x"\nunknown = 1\n'},
        {"good.toml": OPEN, "bad.toml": OPEN.replace('"other"', '"next"') + "x"},
        {"overlap.toml": OPEN.replace("/open", "/manage/v1/keys")},
    ],
    ids=["not TOML", "unknown key", "one of two", "overlap"],
)
def test_a_policy_that_cannot_be_used_refuses_everything_until_a_good_one_comes(world, files):
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key)).allowed
    world.publish(files)
    for target in ("/v1/storage/a", "/open", "/healthz", "/nothing"):
        decision = engine.decide(asking(key, target=target))
        assert (decision.allowed, decision.reason) == (False, Reason.FAULT)
    world.publish(FILES)
    assert engine.decide(asking(key)).allowed


def test_an_engine_does_not_start_on_a_policy_that_cannot_be_used(world):
    world.publish({"bad.toml": "this is not TOML"})
    with pytest.raises(PolicyError):
        world.engine()
    assert world.store.bell.listeners() == []


def test_without_any_policy_nothing_but_the_programs_own_is_served(world):
    world.change(Noun.POLICY, "1", sa.delete(schema.policy_version))
    engine = world.engine()
    assert engine.policy.version == 0
    assert not engine.decide(asking(world.key())).allowed


# --- whatever fails is a refusal


@pytest.fixture
def cold(world):
    """An engine that has read no record, and a key it will have to read."""
    key = world.key()
    return world.engine(), key


def refused_for_the_store(decision):
    return (decision.allowed, decision.reason) == (False, Reason.STORE_UNAVAILABLE)


def test_a_database_that_was_cut_short_refuses(world, cold):
    engine, key = cold
    connection = driver.connect(str(world.database))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    os.truncate(world.database, 5_000)
    decision = engine.decide(asking(key))
    assert refused_for_the_store(decision)
    assert decision.id
    assert decision.trace == ()


def test_a_database_that_was_written_over_refuses(world, cold):
    engine, key = cold
    connection = driver.connect(str(world.database))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = world.database.stat().st_size
    connection.close()
    with world.database.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xa5" * (size - 4_096))
    decision = engine.decide(asking(key))
    assert not decision.allowed
    assert decision.reason in {Reason.STORE_UNAVAILABLE, Reason.FAULT}


def test_a_database_that_lost_its_tables_refuses(world, cold):
    engine, key = cold
    connection = driver.connect(str(world.database))
    connection.execute("DROP TABLE role_assignment")
    connection.commit()
    connection.close()
    assert refused_for_the_store(engine.decide(asking(key)))


def test_a_database_whose_readers_are_locked_out_refuses(world, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_MS", 200)
    key, engine = world.key(), world.engine()
    locker = """
import fcntl, sys, os
shm = os.open(sys.argv[1], os.O_RDWR)
# Every lock byte of the WAL index (SQLite: WAL_WRITE_LOCK up to the read marks).
fcntl.lockf(shm, fcntl.LOCK_EX | fcntl.LOCK_NB, 8, 120)
print("locked", flush=True)
sys.stdin.readline()
"""
    shm = f"{world.database}-shm"
    assert fcntl is not None
    with subprocess.Popen(
        [sys.executable, "-c", locker, shm], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        assert refused_for_the_store(engine.decide(asking(key)))
        other.communicate(b"go\n")
    assert engine.decide(asking(key)).allowed


def test_a_closed_engine_refuses(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    world._engines.remove(engine)
    engine.close()
    decision = engine.decide(asking(key))
    assert not decision.allowed
    assert decision.reason in {Reason.STORE_UNAVAILABLE, Reason.FAULT}


def test_a_connection_that_was_closed_refuses_even_what_is_remembered_once_it_must_look(world):
    ticks = [0.0]
    key, engine = world.key(), world.engine(ticks=lambda: ticks[0])
    assert engine.decide(asking(key)).allowed
    engine._watcher.close()
    ticks[0] += POLL_SECONDS
    assert refused_for_the_store(engine.decide(asking(key)))


def test_a_store_that_fails_while_a_revocation_is_followed_refuses_and_never_forgets_it(world):
    key, engine = world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    engine._reader.close()
    world.revoke(key)
    assert refused_for_the_store(engine.decide(asking(key)))
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_a_store_that_works_again_is_used_again_without_a_restart(world):
    key, other, engine = world.key(), world.key(), world.engine()
    assert engine.decide(asking(key)).allowed
    engine._reader.close()
    assert refused_for_the_store(engine.decide(asking(other)))
    assert engine.decide(asking(other)).allowed
    assert engine.decide(asking(key)).allowed
    (listener,) = world.store.bell.listeners()
    assert listener.acknowledged == engine.position == world.head()


def test_what_was_remembered_before_the_store_failed_is_not_trusted_after(world):
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    assert engine.decide(asking(key)).allowed
    engine._reader.close()
    assert refused_for_the_store(engine.decide(asking(world.key())))
    # A change that neither rang nor shows as a version, as after a restored backup.
    connection = driver.connect(str(world.database))
    connection.execute("UPDATE credential SET revoked_at = 1.0 WHERE id = ?", (key.id,))
    connection.commit()
    connection.close()
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_an_outage_fills_no_log(world, caplog):
    engine, key = world.engine(), world.key()
    world.database.rename(world.database.with_name("away.db"))
    engine._reader.close()
    for _ in range(50):
        assert refused_for_the_store(engine.decide(asking(key)))
    assert 1 <= len(caplog.records) <= 3
    world.database.with_name("away.db").rename(world.database)
    assert engine.decide(asking(key)).allowed


def test_following_in_vain_is_no_error_and_the_next_decision_refuses_or_recovers(world):
    engine, key = world.engine(), world.key()
    engine._reader.close()
    engine.follow()
    assert engine.decide(asking(key)).allowed
    world.publish({"bad.toml": "x"})
    engine.follow()
    assert engine.decide(asking(key)).reason is Reason.FAULT
    world.publish(FILES)
    engine.follow()
    assert engine.decide(asking(key)).allowed


@pytest.mark.parametrize("scopes", ["not json", '{"storage:read": 1}', "[7]"])
def test_a_record_that_cannot_be_understood_refuses_and_others_do_not_suffer(world, scopes):
    owner = world.somebody()
    key, bystander, engine = world.key(owner=owner), world.key(), world.engine()
    table = schema.credential
    broken = sa.update(table).where(table.c.id == key.id).values(scopes=scopes)
    world.change(Noun.CREDENTIAL, key.id, broken)
    assert engine.decide(asking(key)).reason is Reason.FAULT
    assert engine.decide(asking(bystander)).allowed


def test_a_recorder_that_fails_refuses(world):
    def fail(*_):
        raise RuntimeError("no room")

    engine = world.engine(on_decision=fail)
    assert engine.decide(asking(world.key())).reason is Reason.FAULT


def test_a_clock_that_fails_refuses(world):
    key = world.key()
    engine = world.engine(clock=lambda: 1 / 0)
    assert engine.decide(asking(key)).reason is Reason.FAULT


@pytest.mark.parametrize("reason", [Reason.STORE_UNAVAILABLE, Reason.FAULT])
def test_a_fault_answers_in_the_dialect_of_the_path(world, reason):
    def fail(*_):
        raise StoreError("x") if reason is Reason.STORE_UNAVAILABLE else RuntimeError("x")

    engine = world.engine(on_decision=fail)
    inside, outside = engine.decide(asking()), engine.decide(asking(target="/elsewhere"))
    assert (inside.reason, inside.dialect) == (reason, "wayscloud")
    assert (outside.reason, outside.dialect) == (reason, "problem")


def test_faults_are_logged_without_the_secret(world, caplog):
    key = world.key()
    engine = world.engine(on_decision=lambda *_: 1 / 0)
    engine.decide(asking(key))
    assert "a decision could not be made" in caplog.text
    assert key.text not in caplog.text


def test_a_database_that_is_none_of_ours_is_refused_at_start(tmp_path):
    connection = connect(tmp_path / "latchgate.db", durable=True)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(NotMigratedError):
        over(tmp_path / "latchgate.db")


def test_a_database_that_is_not_there_is_a_fault_at_start_and_is_not_made(tmp_path):
    with pytest.raises(StoreError):
        over(tmp_path / "latchgate.db")
    assert not (tmp_path / "latchgate.db").exists()


def over(database):
    return BellEngine(
        database,
        clock=time.time,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
        compile_policy=lambda *_: pytest.fail("compiled"),
        passwords=Passwords(ticks=time.monotonic, entropy=secrets.token_bytes),
        assertions=Assertions(ticks=time.monotonic, entropy=secrets.token_bytes, fetch=fetch),
        on_decision=lambda *_: None,
    )


def test_a_full_bell_is_a_fault_at_start(world):
    bell = Bell.beside(world.database)
    for incarnation in range(1, 257):
        bell.join(incarnation, 0)
    with pytest.raises(BellFullError):
        world.engine()
    bell.close()


def test_the_head_is_read_from_the_store_itself(world):
    engine = world.engine(ticks=lambda: 0.0)
    with world.changing() as change:
        change.note("test", Noun.USER, "u", tenant_id=None, detail={})
    assert engine.head() == world.head()


def test_the_head_is_read_from_the_file_and_not_from_pages_that_are_remembered(world):
    engine = world.engine(ticks=lambda: 0.0)
    engine.head()
    for path in (world.database, world.database.with_name(f"{world.database.name}-wal")):
        with path.open("r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
    assert read_head(engine._reader)  # a connection that was open before notices nothing
    with pytest.raises(StoreError):
        engine.head()


def test_the_head_of_a_database_that_is_gone_is_a_fault(world):
    engine = world.engine(ticks=lambda: 0.0)
    engine.head()
    world.database.unlink()
    with pytest.raises(StoreError):
        engine.head()


# --- explaining


def test_explaining_decides_like_the_real_request_and_is_not_recorded(world):
    told = []
    key = world.key()
    engine = world.engine(on_decision=lambda *noted: told.append(noted))
    for request in (asking(key), asking(key, method="PATCH"), asking(), asking(target="/x")):
        real, tried = engine.decide(request), engine.explain(request)
        assert (tried.reason, tried.area, tried.rule, tried.grant) == (
            real.reason,
            real.area,
            real.rule,
            real.grant,
        )
        assert [step[:2] for step in tried.trace] == [step[:2] for step in real.trace]
    assert len(told) == 4


def test_explaining_sees_a_revocation_at_once(world):
    key, engine = world.key(), world.engine(ticks=lambda: 0.0)
    assert engine.explain(asking(key)).allowed
    world.revoke(key)
    assert engine.explain(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_explaining_over_a_store_that_fails_says_so(world):
    engine = world.engine()
    engine._reader.close()
    with pytest.raises(StoreError):
        engine.explain(asking(world.key()))


# --- many identities at once


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A thousand users, each with a tenant, a project and a key of their own."""
    world = World(tmp_path_factory.mktemp("crowd"))
    made = []
    with world.changing() as change:
        for at in range(1_000):
            tenant, project, user, role = (f"crowd-{kind}-{at}" for kind in "tpur")
            row = {"active": True, "created_at": 1.0}
            for table, values in (
                (schema.tenant, {"id": tenant, "name": tenant, **row}),
                (schema.project, {"id": project, "tenant_id": tenant, "name": "p", **row}),
                (schema.user, {"id": user, "tenant_id": tenant, "name": "u", **row}),
                (
                    schema.role,
                    {
                        "id": role,
                        "tenant_id": tenant,
                        "name": "r",
                        # Each third may read, each third write, each third nothing.
                        "scopes": json.dumps([["storage:read"], ["storage:write"], []][at % 3]),
                    },
                ),
                (
                    schema.role_assignment,
                    {"user_id": user, "project_id": project, "role_id": role},
                ),
            ):
                change.execute(sa.insert(table).values(**values))
            owner = type(world.owner)(tenant, project, user)
            made.append(world.key_in(change, owner=owner, external_id=f"x-{at}"))
    yield world, made
    world.close()


def test_verdicts_of_a_thousand_identities_on_eight_threads_match_their_callers(crowd):
    world, made = crowd
    engine = world.engine()
    wrong: list[object] = []
    decided: list[int] = []

    def work(seed):
        order = list(range(len(made)))
        random.Random(seed).shuffle(order)
        for at in order:
            key = made[at]
            method = ("GET", "PUT")[(at + seed) % 2]
            decision = engine.decide(asking(key, method=method))
            wanted = (at % 3, method) in {(0, "GET"), (1, "PUT")}
            credential = decision.credential
            grant = decision.grant
            right = (
                decision.allowed is wanted
                and credential is not None
                and credential.id == key.id
                and credential.tenant_id == key.owner.tenant_id
                and (not wanted or (grant is not None and grant.owner.id == key.owner.user_id))
            )
            if not right:
                wrong.append((at, decision))
        decided.append(len(order))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    # Changes meanwhile make every cache forget what it derived.
    for _ in range(30):
        world.tenant()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sum(decided) == 8_000


def test_no_two_callers_ever_share_a_refusal_id(crowd):
    world, made = crowd
    engine = world.engine()
    ids = [engine.decide(asking(key, method="PATCH")).id for key in made[:300]]
    assert len(set(ids)) == 300
    assert all(len(one) == 20 for one in ids)


def test_two_stores_and_three_engines_agree(world):
    other = Store(world.database, clock=time.time)
    engines = [world.engine() for _ in range(3)]
    key = world.key()
    keys.revoke(other, world.acting(key), key.id)
    assert {engine.decide(asking(key)).reason for engine in engines} == {Reason.CREDENTIAL_REVOKED}
    other.close()


def test_what_is_remembered_is_nothing_to_the_collector_of_cycles(world):
    """Its walks hold everybody up; they must not grow with the number of keys (decisions/0030)."""
    made = [world.key() for _ in range(300)]
    engine = world.engine()
    for key in made[:50]:
        engine.attempt(asking(key))
    gc.collect()
    before = len(gc.get_objects())
    for key in made:
        assert engine.attempt(asking(key)).reason is Reason.ALLOWED
    gc.collect()  # what is only found to be no container when it is looked at
    assert len(gc.get_objects()) - before < 50
