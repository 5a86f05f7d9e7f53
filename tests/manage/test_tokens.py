"""Tokens made with tokens: never wider, never longer, gone with their maker, bounded in depth."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.world import FILES, asking, compiled

from latchgate.core.reason import Reason
from latchgate.core.standing import MAX_PARENTS
from latchgate.manage import tokens
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.tokens import TokenSpec

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)
TARGET = "/1.3/server"


def create(world, caller, **spec):
    told = {"name": "t", "expires_in": "10h", "can_create_tokens": True} | spec
    asked = msgspec.convert(told, TokenSpec)
    made, issued, n = tokens.create(
        world.store, POLICY, caller, asked, now=world.clock(), entropy=secrets.token_bytes
    )
    assert issued is not None
    return made, issued.secret.reveal(), n


def decide(world, text, **more):
    engine = world.engine()
    headers = {"authorization": f"Bearer {text}"}
    request = asking(target=TARGET, headers=headers, client="127.0.0.1", **more)
    return engine.decide(request)


def bearer(world, text):
    """Whoever comes with a token, as a door that takes tokens would know them."""
    from latchgate.manage.actor import Caller

    decision = decide(world, text)
    assert decision.grant is not None
    return Caller(decision.grant, "127.0.0.1")


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def test_a_token_that_may_not_make_tokens_makes_none(world, admin):
    _, text, _ = create(world, admin, can_create_tokens=False)
    with pytest.raises(ForbiddenError, match="may not make others"):
        create(world, bearer(world, text))


def test_a_tokens_tokens_are_bounded_by_it_and_die_with_it(world, admin):
    parent, text, _ = create(
        world, admin, scopes=["upcloud:read"], allowed_ip_ranges=["127.0.0.0/8"]
    )
    maker = bearer(world, text)
    for spec in (
        {"scopes": ["upcloud:write"]},
        {"expires_in": "11h"},
        {"allowed_ip_ranges": ["127.0.0.0/7"]},
        {"allowed_ip_ranges": ["::/0"]},
    ):
        with pytest.raises(ForbiddenError):
            create(world, maker, **spec)
    child, below, _ = create(world, maker, expires_in="9h")
    assert child.parent_id == parent.id
    assert child.scopes == ["upcloud:read"]
    assert child.allowed_ip_ranges == ["127.0.0.0/8"]
    assert decide(world, below).allowed
    assert decide(world, below, method="POST").reason is Reason.SCOPE_NOT_GRANTED
    tokens.delete(world.store, POLICY, admin, parent.id)
    assert decide(world, below).reason is Reason.PARENT_GONE


def test_a_chain_is_as_long_as_a_decision_looks_and_no_longer(world, admin):
    _, text, _ = create(world, admin)
    for depth in range(MAX_PARENTS):
        made, text, _ = create(world, bearer(world, text), expires_in=f"{9 - depth}h")
        assert decide(world, text).allowed
        assert made.parent_id is not None
    before = world.head()
    with pytest.raises(ForbiddenError, match="further up"):
        create(world, bearer(world, text), expires_in="1h")
    assert world.head() == before


def test_what_a_token_holds_follows_its_owner_at_each_request(world):
    owner = world.somebody("upcloud:read")
    key = world.key("own", owner=owner)
    _, text, _ = create(world, world.acting(key))
    assert decide(world, text, method="POST").reason is Reason.OWNER_LACKS_SCOPE
    world.assign(owner.user_id, owner.project_id, world.role(owner.tenant_id, ["upcloud:write"]))
    assert decide(world, text, method="POST").allowed


def test_the_journal_names_maker_and_token_and_holds_no_secret(world, admin):
    made, text, n = create(world, admin)
    _, end = tokens.delete(world.store, POLICY, admin, made.id)
    rows = {row.n: row for row in world.journal()}
    assert (rows[n].action, rows[n].record) == ("token.create", made.id)
    assert (rows[end].action, rows[end].record) == ("token.delete", made.id)
    assert rows[n].actor == admin.actor.name
    assert "digest" not in msgspec.json.decode(rows[n].detail)["after"]
    assert text not in "".join(row.detail for row in rows.values())
    assert text not in repr(made)


def test_without_a_provider_that_has_tokens_there_are_none(world, admin):
    bare = compiled({}, 0)
    spec = TokenSpec(name="t", expires_in="1h")
    with pytest.raises(NotFoundError, match="API tokens"):
        tokens.create(
            world.store, bare, admin, spec, now=world.clock(), entropy=secrets.token_bytes
        )


def test_everything_that_is_wrong_is_told_at_once(world, admin):
    spec = {"expires_in": "1y", "allowed_ip_ranges": ["x"], "scopes": ["no:such"]}
    with pytest.raises(InvalidError) as error:
        create(world, admin, **spec)
    fields = {field for field, _ in error.value.faults}
    assert fields == {"expires_in", "allowed_ip_ranges", "scopes"}
