"""Remembered acceptances: they spare work, and never say what the whole way would not."""

import gc
import time

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.world import FILES, World, asking

from latchgate.core.model import Noun
from latchgate.core.reason import Reason
from latchgate.store import schema
from latchgate.verify import passes as passes_module

WAYSCLOUD = FILES["wayscloud.toml"]


def remembered(engine, request):
    """Decide a request until its acceptance is one that was remembered."""
    for _ in range(2):
        assert engine.decide(request).allowed
    found = engine.decide(request)
    assert found.allowed
    assert engine.decide(request) is found, "it was not remembered"
    return found


def same(one, other):
    """Whether two decisions say the same, whatever was remembered of them."""
    told = [(d.reason, d.area, d.rule, d.grant, d.dialect, d.policy_version) for d in (one, other)]
    return told[0] == told[1]


def update(world, noun, table, record, **values):
    world.change(noun, record, sa.update(table).where(table.c.id == record).values(**values))


# --- what is spared


def test_an_acceptance_is_decided_once_and_told_every_time(world):
    told = []
    key, engine = world.key(), world.engine(on_decision=lambda *one: told.append(one))
    first = engine.decide(asking(key))
    found = remembered(engine, asking(key))
    assert same(first, found)
    assert first.trace
    assert found.trace == ()
    assert len(told) == 5
    assert [request.client for _, request, _ in told] == [asking(key).client] * 5


def test_each_rule_of_a_key_is_remembered_by_itself(world):
    key, engine = world.key(), world.engine()
    found = {method: remembered(engine, asking(key, method=method)) for method in ("GET", "PUT")}
    assert found["GET"].rule is not found["PUT"].rule
    assert remembered(engine, asking(key, method="GET")) is found["GET"]


def test_another_place_under_the_same_rule_is_the_same_acceptance(world):
    key, engine = world.key(), world.engine()
    found = remembered(engine, asking(key))
    elsewhere = asking(key, target="/v1/storage/other?list=1")
    engine.decide(elsewhere)  # the place is new, and found by the whole way
    assert engine.decide(elsewhere) is found


# --- what ends it


def test_what_is_revoked_is_refused_at_once(world):
    key, engine = world.key(), world.engine()
    remembered(engine, asking(key))
    world.revoke(key)
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def _disabled(world, key, _owner):
    update(world, Noun.CREDENTIAL, schema.credential, key.id, disabled_at=1.0)


def _narrowed(world, key, _owner):
    update(world, Noun.CREDENTIAL, schema.credential, key.id, scopes='["storage:write"]')


def _pinned(world, key, _owner):
    update(world, Noun.CREDENTIAL, schema.credential, key.id, networks='["198.51.100.0/24"]')


def _owner_disabled(world, _key, owner):
    update(world, Noun.USER, schema.user, owner.user_id, active=False)


def _owner_pinned(world, _key, owner):
    update(world, Noun.USER, schema.user, owner.user_id, networks='["198.51.100.0/24"]')


def _tenant_suspended(world, _key, owner):
    update(world, Noun.TENANT, schema.tenant, owner.tenant_id, active=False)


def _project_disabled(world, _key, owner):
    update(world, Noun.PROJECT, schema.project, owner.project_id, active=False)


def _left(world, _key, owner):
    table = schema.role_assignment
    mine = table.c.user_id == owner.user_id
    world.change(Noun.USER, owner.user_id, sa.delete(table).where(mine))


def _shut(world, _key, _owner):
    world.publish({**FILES, "wayscloud.toml": WAYSCLOUD.replace("/v1/storage", "/v1/shut")})


CHANGES = (
    _disabled, _narrowed, _pinned, _owner_disabled, _owner_pinned, _tenant_suspended,
    _project_disabled, _left, _shut,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=[one.__name__.strip("_") for one in CHANGES])
def test_whatever_narrows_a_remembered_key_holds_for_the_next_request(world, change):
    owner = world.somebody("storage:read")
    key, engine = world.key(owner=owner), world.engine()
    remembered(engine, asking(key))
    change(world, key, owner)
    found = engine.decide(asking(key))
    assert not found.allowed
    assert same(found, engine.explain(asking(key)))


@pytest.mark.parametrize("above", [False, True], ids=["its own", "its parent's"])
def test_a_remembered_key_ends_to_the_moment(world, above):
    now = [1_000.0]
    ending = world.key(expires_at=2_000.0)
    key = world.key(parent=ending) if above else ending
    engine = world.engine(clock=lambda: now[0])
    remembered(engine, asking(key))
    now[0] = 1_999.999
    assert engine.decide(asking(key)).allowed
    now[0] = 2_000.0
    assert not engine.decide(asking(key)).allowed


def test_what_is_above_a_remembered_key_ends_it_too(world):
    parent = world.key()
    key, engine = world.key(parent=parent), world.engine()
    remembered(engine, asking(key))
    world.revoke(parent)
    assert engine.decide(asking(key)).reason is Reason.PARENT_GONE


# --- what is looked at each time


@pytest.mark.parametrize("whose", ["key", "parent", "owner"])
def test_networks_are_looked_at_for_each_request(world, whose):
    networks = ["192.0.2.0/24"]
    owner = world.somebody("*")
    if whose == "owner":
        update(world, Noun.USER, schema.user, owner.user_id, networks='["192.0.2.0/24"]')
    parent = world.key(owner=owner, networks=networks if whose == "parent" else None)
    key = world.key(
        owner=owner,
        networks=networks if whose == "key" else None,
        parent=parent if whose == "parent" else None,
    )
    engine = world.engine()
    remembered(engine, asking(key))
    for client in ("198.51.100.1", None):
        assert not engine.decide(asking(key, client=client)).allowed
    assert remembered(engine, asking(key, client="192.0.2.77")).allowed


def test_a_place_over_tls_is_not_open_in_the_clear(world):
    over_tls = WAYSCLOUD.replace('path = "/v1/storage"', 'path = "/v1/storage"\ntls = "required"')
    world.publish({**FILES, "wayscloud.toml": over_tls})
    key, engine = world.key(), world.engine()
    clear = asking(key)
    secure = msgspec.structs.replace(clear, tls=True)
    remembered(engine, secure)
    assert engine.decide(clear).reason is Reason.TLS_REQUIRED
    assert engine.decide(secure).allowed


def variants(key, other):
    """Return requests that resemble an accepted one, and are another question."""
    plain = asking(key)
    headers = dict(plain.headers)
    text = headers["authorization"]
    change = msgspec.structs.replace
    yield plain
    yield change(plain, repeated=frozenset({"authorization"}))
    yield change(plain, repeated=frozenset({"cookie"}))
    yield change(plain, fault=(Reason.CLIENT_ADDRESS_INVALID, "no address"))
    yield change(plain, scope="storage:read")
    yield change(plain, scope="storage:write")
    yield change(plain, scope="database:read")
    yield change(plain, method="DELETE")
    yield change(plain, method="get")
    yield change(plain, host="other.example")
    yield change(plain, host="bad host")
    yield change(plain, target="/v1/database/x")
    yield change(plain, target="/v1/storage/../database")
    yield change(plain, client=None)
    for more in (
        {"x-http-method-override": "DELETE"},
        {"x-api-key": text.removeprefix("Bearer ")},
        {"x-api-key": other.text},
        {"x-api-key": text},
        {"x-auth-token": "gAAAA"},
        {"api-key": "0" * 32},
    ):
        yield change(plain, headers={**headers, **more})
    for value in (
        text + " ", " " + text, text.lower(), text[:-1], text + "x", "Basic " + text[7:], text[7:],
        text.replace("Bearer ", "Bearer  "), text.replace("_", "é", 1), "\ud800" + text, "",
    ):  # fmt: skip
        yield change(plain, headers={"authorization": value})
    yield change(plain, headers={"x-api-key": text.removeprefix("Bearer ")})
    yield change(plain, headers={"x-api-key": text})
    yield change(plain, headers={"x-auth-token": text})


def test_what_resembles_a_remembered_request_is_decided_as_by_the_whole_way(world):
    key, other = world.key(), world.key()
    engine = world.engine()
    remembered(engine, asking(key))
    for request in [*variants(key, other)] * 3:
        assert same(engine.decide(request), engine.explain(request)), request.headers


def test_a_key_that_names_its_requests_is_asked_each_time(world):
    rules = '[{"service":"storage","method":"GET","path":"/v1/storage/bucket/*"}]'
    key = world.key()
    update(world, Noun.CREDENTIAL, schema.credential, key.id, access_rules=rules)
    engine = world.engine()
    assert engine.decide(asking(key)).allowed
    assert not engine.decide(asking(key, target="/v1/storage/other/object")).allowed
    *_, one, other = [engine.decide(asking(key)) for _ in range(4)]
    assert one is not other


# --- any order


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "revoke", "disable", "enable", "pin", "later"]),
        st.integers(0, 2),
        st.sampled_from(["GET", "PUT", "DELETE"]),
        st.sampled_from(["192.0.2.1", "198.51.100.1"]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_in_any_order_of_changes_an_engine_that_remembers_says_what_one_that_does_not(
    tmp_path_factory, steps
):
    now = [time.time()]
    world = World(tmp_path_factory.mktemp("passes"))
    try:
        made = [
            world.key(),
            world.key(networks=["192.0.2.0/24"]),
            world.key(expires_at=now[0] + 50, scopes=["storage:read"]),
        ]
        engine = world.engine(clock=lambda: now[0])
        for what, which, method, client in steps:
            key = made[which]
            if what == "revoke":
                update(world, Noun.CREDENTIAL, schema.credential, key.id, revoked_at=1.0)
            elif what in {"disable", "enable"}:
                at = 1.0 if what == "disable" else None
                update(world, Noun.CREDENTIAL, schema.credential, key.id, disabled_at=at)
            elif what == "pin":
                pinned = '["198.51.100.0/24"]'
                update(world, Noun.CREDENTIAL, schema.credential, key.id, networks=pinned)
            elif what == "later":
                now[0] += 30
            for _ in range(3):
                request = asking(key, method=method, client=client)
                assert same(engine.decide(request), engine.explain(request))
    finally:
        world.close()


# --- bounds and secrets


def test_passes_are_bounded_one_by_one(world, monkeypatch):
    monkeypatch.setattr(passes_module, "MAX_PASSES", 3)
    engine, keys = world.engine(), [world.key() for _ in range(5)]
    for key in keys:
        for _ in range(2):
            engine.decide(asking(key))
    kept = engine._passes._kept
    assert len(kept) == 3
    assert {one.facts.credential.id for one in kept.values()} == {key.id for key in keys[2:]}


def test_a_secret_that_is_used_once_takes_no_place(world, monkeypatch):
    monkeypatch.setattr(passes_module, "MAX_PASSES", 3)
    engine, used = world.engine(), world.key()
    found = remembered(engine, asking(used))
    for _ in range(9):
        engine.decide(asking(world.key()))
    assert engine.decide(asking(used)) is found
    assert len(engine._passes._kept) == 1
    assert engine._passes._ones <= 3
    assert int.from_bytes(engine._passes._once, "big").bit_count() <= 3


def test_a_secret_that_comes_again_takes_a_place_though_many_came_once_in_between(world):
    engine, used = world.engine(), world.key()
    engine.decide(asking(used))
    for _ in range(9):
        engine.decide(asking(world.key()))
    assert len(engine._passes._kept) == 0
    engine.decide(asking(used))
    assert [one.facts.credential.id for one in engine._passes._kept.values()] == [used.id]


def test_a_pass_whose_secret_made_room_is_dead_and_found_by_nobody(world, monkeypatch):
    monkeypatch.setattr(passes_module, "MAX_PASSES", 1)
    engine, keys = world.engine(), [world.key(), world.key()]
    first = remembered(engine, asking(keys[0]))
    (was,) = engine._passes._kept.values()
    remembered(engine, asking(keys[1]))
    assert not was.live
    assert engine._cache.hot._derived.keys() == {keys[1].id}
    assert remembered(engine, asking(keys[0])) is not first


def test_a_pass_is_bounded_in_its_rules(world, monkeypatch):
    monkeypatch.setattr(passes_module, "MAX_OPENED", 1)
    key, engine = world.key(), world.engine()
    for method in ("GET", "PUT", "GET", "PUT"):
        assert engine.decide(asking(key, method=method)).allowed
    (kept,) = engine._passes._kept.values()
    assert kept.others == ()


def test_no_secret_is_remembered_and_no_digest_that_another_process_could_tell(world):
    key = world.key()
    engines = [world.engine() for _ in range(2)]
    for engine in engines:
        remembered(engine, asking(key))
    one, other = (set(engine._passes._kept) for engine in engines)
    assert len(one) == len(other) == 1
    assert one != other
    secret = key.text.rpartition("_")[2]
    held, seen = [engine._passes for engine in engines], set[int]()
    while held:
        found = held.pop()
        if id(found) in seen or isinstance(found, type) or len(seen) > 200_000:
            continue
        seen.add(id(found))
        assert secret not in (found if isinstance(found, str) else "")
        assert secret.encode() not in (found if isinstance(found, bytes) else b"")
        held += gc.get_referents(found) if not callable(found) else []
        if isinstance(found, msgspec.Struct):
            held += [getattr(found, name) for name in found.__struct_fields__]
