"""Edges have rows as nodes have, acknowledge for themselves alone, and see their tenants alone."""

from __future__ import annotations

import secrets

import msgspec
import pytest
import sqlalchemy as sa
from tests.minting import approved

from latchgate.core.feed import (
    FORMAT,
    FeedBeat,
    FeedRegistration,
    FeedWantedThrough,
    read_records,
)
from latchgate.core.model import Noun
from latchgate.core.scope import Scopes
from latchgate.manage import edges
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.store import schema
from latchgate.store.edge_reads import timeline
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

NOW = 1_000.0
OWN, EVERY = Scopes.of(["verifier:follow"]), Scopes.of(["verifier:follow", "verifier:follow-all"])


@pytest.fixture
def operator(world):
    return world.acting(world.admin, EVERY)


def tenants_edge(world, who):
    """Return somebody with a key that follows their own tenant."""
    return world.acting(world.key("verifier", owner=who), OWN)


def asked(**more):
    told = {
        "format": FORMAT,
        "incarnation": secrets.token_hex(8),
        "node": "edge-1",
        "process": 7,
        "program": "1.0",
        "trust": 2.0,
        "stale": False,
        "tenants": None,
        **more,
    }
    return msgspec.convert(told, FeedRegistration)


def registered(world, caller, **more):
    spec = asked(**more)
    made = edges.register(world.store, caller, spec, issuer="https://x", now=NOW)
    return spec.incarnation, made


def beat(world, caller, name, place):
    with world.store.reading() as connection:
        history = timeline(connection)
    asked = FeedBeat(place, history, "0123456789")
    return edges.beat(world.store, caller, name, asked, now=NOW + 1)


def row(world, name):
    table = schema.verifier
    return world.one(sa.select(table).where(table.c.incarnation == name))


def seen(world, caller, name, *keys):
    """Return what an edge is told of records, by noun and id."""
    told = edges.records(world.store, caller, name, keys)
    assert told is not None
    return read_records(told.records)


def test_an_edge_begins_at_the_head_with_nothing_acknowledged(world, operator):
    name, made = registered(world, operator)
    assert made.place.position == world.head()
    assert (made.policy_version, made.tenants, made.issuer) == (1, None, "https://x")
    kept = row(world, name)
    assert (kept.kind, kept.state, kept.acknowledged, kept.beat) == ("edge", "live", 0, 0)
    assert (kept.trust, kept.stale, kept.tenants) == (2.0, False, None)
    assert world.one(sa.select(schema.promise.c.max_trust)).max_trust == 2.0


def test_the_longest_trust_of_all_is_kept_for_receipts_that_can_ask_nobody(world, operator):
    for trust in (600.0, 2.0):
        registered(world, operator, trust=trust, stale=True)
    assert world.one(sa.select(schema.promise.c.max_trust)).max_trust == 600.0


def test_a_heartbeat_acknowledges_where_the_edge_was_and_tells_what_follows(world, operator):
    name, made = registered(world, operator)
    key = world.key()
    told = beat(world, operator, name, made.place)
    assert told.changes[-1] == (world.head(), "credential", key.id)
    assert (told.reached, told.place.position, told.age) == (True, world.head(), 0.0)
    assert told.nonce == "0123456789"
    kept = row(world, name)
    assert (kept.acknowledged, kept.beat) == (made.place.position, 1)
    again = beat(world, operator, name, told.place)
    assert (again.changes, again.place) == ([], told.place)
    assert row(world, name).acknowledged == world.head()
    # One that was under way meanwhile takes nothing back.
    beat(world, operator, name, made.place)
    assert row(world, name).acknowledged == world.head()


def test_a_long_way_is_told_in_pages_and_only_the_last_is_the_head(world, operator, monkeypatch):
    name, made = registered(world, operator)
    monkeypatch.setattr(edges, "PAGE", 3)
    for _ in range(4):
        world.key()
    place, found, reached = made.place, [], False
    while not reached:
        told = beat(world, operator, name, place)
        assert len(told.changes) <= 3
        place, reached = told.place, told.reached
        found += told.changes
    assert [n for n, _, _ in found] == sorted({n for n, _, _ in found})
    assert place.position == world.head()


@pytest.mark.parametrize("wrong", ["epoch", "hash", "ahead", "genesis"])
def test_a_place_that_this_history_does_not_hold_is_not_acknowledged(world, operator, wrong):
    name, made = registered(world, operator)
    other = {
        "epoch": {"epoch": "another"},
        "hash": {"hash": "0" * 64},
        "ahead": {"position": made.place.position + 1},
        "genesis": {"position": 0, "hash": "1" * 64},
    }[wrong]
    assert beat(world, operator, name, msgspec.structs.replace(made.place, **other)) is None
    assert (row(world, name).acknowledged, row(world, name).beat) == (0, 0)


def test_an_edge_that_was_expelled_or_left_is_told_nothing(world, operator):
    name, made = registered(world, operator)
    with world.store.writing() as connection:
        connection.execute(sa.update(schema.verifier).values(state="leaving"))
    assert beat(world, operator, name, made.place) is None
    assert edges.records(world.store, operator, name, [(Noun.TENANT, "t")]) is None
    wanted = FeedWantedThrough([], "0123456789")
    assert edges.prove(world.store, operator, name, wanted, now=NOW) is None
    edges.leave(world.store, operator, name)
    assert world.all(sa.select(schema.verifier)) == []


def test_nobody_acknowledges_reads_or_leaves_for_somebody_elses_edge(world, operator):
    name, made = registered(world, operator)
    other = world.acting(world.key("verifier"), EVERY)
    assert beat(world, other, name, made.place) is None
    assert edges.records(world.store, other, name, [(Noun.TENANT, "t")]) is None
    edges.leave(world.store, other, name)
    assert (row(world, name).acknowledged, row(world, name).beat) == (0, 0)


def test_a_proof_writes_the_row_and_is_as_new_as_the_head(world, operator):
    name, _ = registered(world, operator)
    key = world.key()
    wanted = FeedWantedThrough([("credential", key.id), ("user", "nobody")], "0123456789")
    told = edges.prove(world.store, operator, name, wanted, now=NOW + 5)
    assert told is not None
    found = read_records(told.records)
    assert (told.number, told.policy_version, told.nonce) == (world.head(), 1, "0123456789")
    assert found[Noun.CREDENTIAL, key.id] is not None
    assert found[Noun.USER, "nobody"] is None
    assert (row(world, name).beat, row(world, name).seen_at) == (1, NOW + 5)
    assert row(world, name).acknowledged == 0  # a read is no acknowledgement


def test_a_credential_comes_with_what_a_decision_needs_besides(world, operator):
    name, _ = registered(world, operator)
    who = world.somebody("storage:read")
    key = world.key(owner=who)
    found = seen(world, operator, name, (Noun.CREDENTIAL, key.id))
    nouns = sorted(str(noun) for noun, _ in found)
    assert nouns == ["credential", "project", "role", "tenant", "user"]


def test_a_tenants_edge_serves_its_own_tenant_and_no_other(world):
    mine, other = world.somebody(), world.somebody()
    caller = tenants_edge(world, mine)
    _, made = registered(world, caller)
    assert made.tenants == [mine.tenant_id]
    for tenants in ([other.tenant_id], [mine.tenant_id, other.tenant_id]):
        with pytest.raises(ForbiddenError, match="its own tenant"):
            registered(world, caller, tenants=tenants)
    with pytest.raises(InvalidError, match="60 s or less"):
        registered(world, caller, trust=61.0, stale=True)


def test_what_was_registered_holds_only_as_long_as_the_right_to_it(world, operator):
    name, made = registered(world, operator)
    narrowed = world.acting(world.admin, OWN)
    with pytest.raises(ForbiddenError, match="follow-all"):
        beat(world, narrowed, name, made.place)
    assert row(world, name).beat == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"format": 99}, "must be 1"),
        ({"tenants": ["t-nowhere"]}, "no tenant with the id t-nowhere"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(world, operator, more, said):
    with pytest.raises(InvalidError, match=said):
        registered(world, operator, **more)
    assert world.all(sa.select(schema.verifier)) == []


def test_a_name_is_taken_once_and_a_credential_has_so_many_edges(world, operator, monkeypatch):
    name, _ = registered(world, operator)
    with pytest.raises(ConflictError):
        registered(world, operator, incarnation=name)
    monkeypatch.setattr(edges, "MAX_EDGES", 1)
    with pytest.raises(ConflictError, match="1 edges follow with this credential"):
        registered(world, operator)
    registered(world, world.acting(world.key("verifier"), EVERY))


def test_an_edge_is_told_no_change_and_no_record_of_another_tenant(world):
    mine, other = world.somebody("storage:read"), world.somebody("storage:read")
    caller = tenants_edge(world, mine)
    name, made = registered(world, caller)
    keys = {who.tenant_id: world.key(owner=who).id for who in (mine, other)}
    with world.changing() as change:  # as the program notes them: with whose they are
        for who in (mine, other):
            owned = (who.tenant_id, who.tenant_id)
            change.note("test", Noun.USER, who.user_id, tenant_id=owned[0], detail={})
            change.note("test", Noun.TENANT, owned[0], tenant_id=owned[1], detail={})
            change.note("test", Noun.APPLICATION, f"a-{who.user_id}", tenant_id=owned[0], detail={})
            change.note("test", Noun.WEBHOOK, f"w-{who.user_id}", tenant_id=owned[0], detail={})
    told = beat(world, caller, name, made.place)
    assert told.place.position == world.head()
    records = {record for _, _, record in told.changes}
    assert {keys[mine.tenant_id], mine.user_id, mine.tenant_id} <= records
    assert {keys[other.tenant_id], other.user_id, other.tenant_id}.isdisjoint(records)
    # What is nobody's in particular is told to all; what no decision takes to nobody.
    assert {f"a-{mine.user_id}", f"a-{other.user_id}"} <= records
    assert not {noun for _, noun, _ in told.changes} & {"webhook"}
    asked_for = [
        (Noun.CREDENTIAL, keys[other.tenant_id]),
        (Noun.USER, other.user_id),
        (Noun.TENANT, other.tenant_id),
        (Noun.PROJECT, other.project_id),
        (Noun.CREDENTIAL, "a\0b"),
    ]
    answer = edges.records(world.store, caller, name, asked_for)
    assert answer is not None
    assert read_records(answer.records) == dict.fromkeys(asked_for)
    assert other.tenant_id not in str([one.record for one in answer.records])
    known = seen(world, caller, name, (Noun.CREDENTIAL, keys[mine.tenant_id]))
    assert known[Noun.USER, mine.user_id] is not None


def test_logins_and_application_keys_are_those_of_users_that_are_served(world):
    mine, other = world.somebody(), world.somebody()
    caller = tenants_edge(world, mine)
    name, _ = registered(world, caller)
    for who in (mine, other):
        table = schema.login
        named = {"id": f"ns:{who.user_id}", "user_id": who.user_id, "created_at": NOW}
        add = sa.insert(table).values(**named)
        world.change(Noun.LOGIN, f"ns:{who.user_id}", add)
    application = approved(world)
    for record, user, tenants in (
        ("ak-all", None, None),
        ("ak-mine", mine.user_id, None),
        ("ak-other", other.user_id, None),
        ("ak-both", None, [mine.tenant_id, other.tenant_id]),
        ("ak-elsewhere", None, [other.tenant_id]),
    ):
        add_key(world, application, record, user, tenants)
    logins = [(Noun.LOGIN, f"ns:{who.user_id}") for who in (mine, other)]
    names = ("ak-all", "ak-mine", "ak-other", "ak-both", "ak-elsewhere")
    keys = [(Noun.APPLICATION_KEY, one) for one in names]
    found = seen(world, caller, name, *logins, *keys)
    assert found[logins[0]] is not None
    assert found[logins[1]] is None
    assert [found[key] is not None for key in keys] == [True, True, False, True, False]
    assert found[Noun.APPLICATION_KEY, "ak-both"].tenants == {mine.tenant_id}
    assert (Noun.USER, other.user_id) not in found


def add_key(world, application, record, user, tenants):
    row = {
        "id": record,
        "kind": "teracloud.application_key",
        "application_id": application,
        "user_id": user,
        "digest": b"\0" * 32,
        "tenants": msgspec.json.encode(tenants).decode() if tenants is not None else None,
        "created_at": NOW,
        "created_by": "test",
    }
    world.change(Noun.APPLICATION_KEY, record, sa.insert(schema.application_key).values(**row))


def test_who_follows_another_timeline_is_to_begin_anew_and_acknowledges_nothing(world, operator):
    name, made = registered(world, operator)
    asked = FeedBeat(made.place, "00000009", "0123456789")
    assert edges.beat(world.store, operator, name, asked, now=NOW + 1) is None
    row = world.one(sa.select(schema.verifier).where(schema.verifier.c.incarnation == name))
    assert (row.acknowledged, row.beat) == (0, 0)


def test_a_longer_trust_than_anybody_had_is_known_before_the_row_is_there(world, operator):
    longest = sa.select(schema.promise.c.max_trust)
    with world.store.writing() as connection:
        connection.execute(sa.update(schema.promise).values(max_trust=1.0))
    spec = asked(trust=2.0)
    assert edges.promise(world.store, operator, spec)
    assert world.one(longest).max_trust == 2.0
    assert not edges.promise(world.store, operator, spec)
    assert not world.all(sa.select(schema.verifier))
