"""Packed credentials: each comes back as it was, and memory stays bounded whatever they are."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from latchgate.core.model import AccessRule, Credential
from latchgate.core.network import Networks
from latchgate.core.scope import Scopes
from latchgate.verify.packed import Packed

TEXT = st.text(max_size=40)
TIME = st.floats(allow_nan=False)
NAMES = st.frozensets(TEXT, max_size=4)
RULES = st.builds(AccessRule, service=TEXT, method=TEXT, path=TEXT)
NETWORKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::/0", "0.0.0.0/0"]), max_size=4
)
FIELDS = {
    "id": st.text(min_size=1, max_size=3),
    "kind": TEXT,
    "tenant_id": TEXT,
    "project_id": TEXT,
    "owner_id": TEXT,
    "parent_id": st.none() | TEXT,
    "services": st.none() | NAMES,
    "scopes": st.builds(Scopes.of, NAMES | st.just(frozenset({"*"}))),
    "networks": st.none() | st.builds(Networks.of, NETWORKS),
    "issues": st.booleans(),
    "environment": st.none() | TEXT,
    "external_id": st.none() | TEXT,
    "digest": st.binary(max_size=120),
    "created_at": TIME,
    "expires_at": st.none() | TIME,
    "revoked_at": st.none() | TIME,
    "name": TEXT,
    "roles": st.none() | st.lists(TEXT, max_size=3).map(tuple),
    "access_rules": st.none() | st.lists(RULES, max_size=3).map(tuple),
    "denied_tokens": NAMES,
    "tokens_after": st.none() | TIME,
    "minted": st.booleans(),
    "superseded_by": st.none() | TEXT,
    "superseded_at": st.none() | TIME,
    "predecessor_id": st.none() | TEXT,
    "disabled_at": st.none() | TIME,
    "application_id": st.none() | TEXT,
}
CREDENTIALS = st.builds(Credential, **FIELDS)


def unused(_credential_id):
    return False


def spelled(value):
    """What a value is with its types, told all the way down: 1, 1.0 and True are equal."""
    if isinstance(value, Credential | Scopes | AccessRule):
        fields = {name: spelled(getattr(value, name)) for name in value.__struct_fields__}
        return type(value), tuple(fields.items())
    if isinstance(value, tuple):
        return tuple, tuple(map(spelled, value))
    return type(value), value


def test_every_field_is_drawn():
    # A field that Credential gets, and that is not drawn here, would be packed unproven.
    assert set(FIELDS) == set(Credential.__struct_fields__)


@given(st.lists(CREDENTIALS, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_comes_back_is_what_went_in(credentials):
    packed, wanted = Packed(100, unused), {}
    for one in credentials:
        packed.put(one)
        wanted[one.id] = one
    for credential_id, one in wanted.items():
        assert spelled(packed.get(credential_id)) == spelled(one)
    assert len(packed) == len(wanted)
    for credential_id in wanted:
        packed.drop(credential_id)
        assert packed.get(credential_id) is None
    assert (len(packed), packed.size) == (0, 0)
    assert not packed._shapes
    assert not packed._numbers


@given(st.lists(st.tuples(CREDENTIALS, st.booleans()), max_size=8), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_it_is_bounded_and_never_wrong_whatever_comes_and_goes(steps, limit):
    packed, newest = Packed(limit, unused), {}
    for one, kept in steps:
        if kept:
            packed.put(one)
            newest[one.id] = one
            assert packed.get(one.id) == one, "what was put last made room for itself"
        else:
            packed.drop(one.id)
            newest.pop(one.id, None)
        assert len(packed) <= limit
        assert sum(kept.users for kept in packed._shapes.values()) == len(packed)
    for credential_id, one in newest.items():
        assert packed.get(credential_id) in (one, None)


LIKE = Credential(
    id="k",
    kind="service_key",
    tenant_id="t-1",
    project_id="p-1",
    owner_id="u-1",
    parent_id=None,
    services=frozenset({"storage"}),
    scopes=Scopes.of(["storage:read", "storage:write"]),
    networks=None,
    issues=False,
    environment=None,
    external_id=None,
    digest=bytes(32),
    created_at=1.5,
    expires_at=None,
    revoked_at=None,
)


def numbered(number, **changed):
    return structs.replace(LIKE, id=f"k{number:011d}", **changed)


def kept(packed, number):
    found = packed.get(numbered(number).id)
    assert found is not None
    return found


def test_what_many_share_is_kept_once():
    packed = Packed(1_000, unused)
    for number in range(100):
        packed.put(numbered(number))
    first, second = kept(packed, 0), kept(packed, 1)
    assert first.scopes is second.scopes
    assert len(packed._shapes) == 1


def test_the_oldest_make_room_and_those_in_use_stay():
    used = {numbered(number).id for number in range(20)}
    packed = Packed(200, used.__contains__)
    for number in range(2_000):
        packed.put(numbered(number))
    assert len(packed) == 200
    assert all(packed.get(credential_id) is not None for credential_id in used)
    assert packed.get(numbered(1_999).id) is not None
    assert packed.get(numbered(21).id) is None


def test_room_is_made_even_where_all_is_in_use():
    packed = Packed(10, lambda _: True)
    for number in range(100):
        packed.put(numbered(number))
    assert len(packed) == 10


def test_keys_that_share_nothing_take_no_more_memory_than_others():
    limit = 200_000
    packed = Packed(1_000_000, unused, max_bytes=limit)
    for number in range(5_000):
        networks = Networks.of([f"10.{number >> 8}.{number & 255}.0/24"])
        packed.put(numbered(number, networks=networks))
        assert packed.size <= limit
    assert len(packed) == len(packed._shapes) < 1_000
    for number in range(5_000, 10_000):
        packed.put(numbered(number))
    assert len(packed._shapes) == 1, "a shape outlived what had it"


def test_a_credential_larger_than_all_is_kept_alone():
    packed = Packed(10, unused, max_bytes=1_000)
    packed.put(numbered(1))
    packed.put(numbered(2, name="n" * 2_000))
    assert len(packed) == 1
    assert kept(packed, 2).name == "n" * 2_000


@pytest.mark.parametrize("shared", [True, False])
def test_the_bytes_that_are_counted_are_those_that_are_taken(shared):
    def made(number):
        # As a row is read: each with values of its own.
        networks = None if shared else Networks.of([f"10.{number >> 8}.{number & 255}.0/24"])
        return numbered(
            number,
            digest=number.to_bytes(32, "big"),
            name=f"key {number}",
            networks=networks,
            scopes=Scopes.of(["storage:read", "storage:write"]),
            services=frozenset({"storage"}),
        )

    packed = Packed(1_000_000, unused)
    tracemalloc.start()
    try:
        for number in range(20_000):
            packed.put(made(number))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # Too much rather than too little: what two shapes share is counted for each of them.
    assert 0.85 < packed.size / taken < (1.4 if shared else 2)


def test_the_collector_has_nothing_to_look_at():
    packed = Packed(100_000, unused)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(10_000):
        packed.put(numbered(number))
    gc.collect()
    assert len(gc.get_objects()) - before < 100
