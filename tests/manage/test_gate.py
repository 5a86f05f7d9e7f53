"""The gate: what is made is never wider, longer or elsewhere than what it is made with."""

from __future__ import annotations

import msgspec
import pytest
from tests.world import World

from latchgate.core.model import Grant
from latchgate.core.network import Networks
from latchgate.core.scope import ALL, NONE, Scopes
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError
from latchgate.manage.gate import may_hand_out, may_issue, sourced

OFFICE = Networks.of(["192.0.2.0/24"])
HOME = Networks.of(["198.51.100.7"])


@pytest.fixture
def caller(tmp_path):
    world = World(tmp_path)
    yield world.acting(world.admin)
    world.close()


def restricted(caller, *, owner=None, rights=ALL, **credential):
    changed = msgspec.structs.replace(caller.credential, **credential)
    user = msgspec.structs.replace(caller.owner, networks=owner)
    return Caller(Grant(credential=changed, owner=user, rights=rights), None)


def test_only_what_is_held_is_handed_out(caller):
    few = restricted(caller, rights=Scopes.of(["storage:read"]))
    may_hand_out(few, Scopes.of(["storage:read"]))
    may_hand_out(few, NONE)
    for wanted in (Scopes.of(["storage:read", "storage:write"]), ALL):
        with pytest.raises(ForbiddenError, match="you don't hold"):
            may_hand_out(few, wanted)
    may_hand_out(restricted(caller), ALL)


@pytest.mark.parametrize(
    ("limit", "asked", "given"),
    [
        (None, None, None),
        (None, HOME, HOME),
        (OFFICE, None, OFFICE),
        (OFFICE, Networks.of(["192.0.2.7"]), Networks.of(["192.0.2.7"])),
        (OFFICE, Networks.of([]), Networks.of([])),
        (Networks.of([]), None, Networks.of([])),
    ],
)
def test_a_credential_comes_from_where_its_maker_comes_from(caller, limit, asked, given):
    assert may_issue(restricted(caller, networks=limit), NONE, asked, None) == given


@pytest.mark.parametrize("asked", [HOME, Networks.of(["192.0.2.1", "198.51.100.7"])])
def test_a_credential_comes_from_nowhere_that_its_maker_may_not_come_from(caller, asked):
    for maker in (restricted(caller, networks=OFFICE), restricted(caller, owner=OFFICE)):
        with pytest.raises(ForbiddenError, match=r"192\.0\.2\.0/24"):
            may_issue(maker, NONE, asked, None)


def test_a_credential_never_outlives_its_maker(caller):
    maker = restricted(caller, expires_at=100.0)
    may_issue(maker, NONE, None, 100.0)
    for expires_at in (None, 100.1):
        with pytest.raises(ForbiddenError, match="outlive"):
            may_issue(maker, NONE, None, expires_at)


def test_a_credential_that_may_not_make_others_makes_none(caller):
    with pytest.raises(ForbiddenError, match="may not make"):
        may_issue(restricted(caller, issues=False), NONE, None, None)


def test_what_a_token_makes_is_bounded_by_what_it_was_minted_from(world):
    source = world.key(networks=["192.0.2.0/24"], expires_at=2e9)
    caller = world.acting(source)
    minted = msgspec.structs.replace(
        caller.credential, id="jti", parent_id=source.id, minted=True, expires_at=5.0, networks=None
    )
    token = Caller(msgspec.structs.replace(caller.grant, credential=minted), None)
    with world.store.reading() as connection:
        assert sourced(connection, caller) is caller
        bounded = sourced(connection, token).credential
    assert (bounded.expires_at, bounded.networks) == (2e9, OFFICE)
    world.revoke(source)
    with world.store.reading() as connection, pytest.raises(ForbiddenError, match="gone"):
        sourced(connection, token)
