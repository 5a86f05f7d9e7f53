"""Device authorization, by the clock: how often a program may ask, and until when."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.oauth import authority

from latchgate.oauth import device, grants
from latchgate.oauth.device import Approval
from latchgate.oauth.errors import OAuthError
from latchgate.oauth.grants import KIND, Holder
from latchgate.store import schema

IS_GRANT = schema.credential.c.kind == KIND


@pytest.fixture
def client(world):
    return authority.known(world, authority.client(world, public=True))


@pytest.fixture
def begun(world, clock, client):
    return device.begin(
        world.store,
        client,
        ("storage:read",),
        address="192.0.2.7",
        now=clock.now,
        entropy=secrets.token_bytes,
    )


@pytest.fixture
def ask(server, client, begun):
    def poll():
        try:
            text = begun.device_code.reveal()
            return device.by_device(server, client, text, address=None).scope
        except OAuthError as error:
            return str(error.code)

    return poll


def test_a_user_code_has_letters_that_nobody_takes_for_others(begun):
    letters = begun.user_code.replace("-", "")
    assert len(letters) == 8
    assert set(letters) <= set(device.LETTERS)
    assert not set(device.LETTERS) & set("AEIOUY01")
    assert len(device.LETTERS) ** 8 > 1 << 20


def test_each_question_too_early_makes_the_interval_longer(ask, clock):
    assert ask() == "authorization_pending"
    clock.now += 4.9
    assert ask() == "slow_down"  # and now it is ten
    clock.now += 9.9
    assert ask() == "slow_down"  # and now fifteen
    clock.now += 15
    assert ask() == "authorization_pending"


def test_it_ends_after_ten_minutes_for_both(ask, clock, world, begun, owner):
    clock.now += device.LIFETIME
    assert ask() == "expired_token"
    allowed = Approval(Holder(owner.user_id, owner.project_id), clock.now, ())
    assert device.pending(world.store, begun.user_code, now=clock.now) is None
    assert not device.approve(world.store, begun.user_code, allowed, now=clock.now)


def test_a_person_is_told_who_asked_from_where_and_answers_once(ask, clock, world, begun, owner):
    told = device.pending(world.store, begun.user_code.lower(), now=clock.now)
    assert told is not None
    assert (told.address, told.scopes) == ("192.0.2.7", ("storage:read",))
    assert device.pending(world.store, "BCDF-BCDF", now=clock.now) is None
    assert device.pending(world.store, "", now=clock.now) is None
    allowed = Approval(Holder(owner.user_id, owner.project_id), clock.now, ("pwd",))
    assert device.approve(world.store, begun.user_code, allowed, now=clock.now)
    assert not device.deny(world.store, begun.user_code, now=clock.now)
    assert ask() == "storage:read"
    assert ask() == "invalid_grant"
    row = world.journal()[-1]
    assert (row.action, row.actor.partition(" ")[0]) == (
        "oauth_grant.create",
        f"user:{owner.user_id}",
    )


def test_d7_62_devices_that_nobody_allows_do_not_fill_the_disk(world, clock, client, monkeypatch):
    monkeypatch.setattr(device, "MAX_WAITING", 3)

    def begin():
        return device.begin(
            world.store, client, (), now=clock.now, address=None, entropy=secrets.token_bytes
        )

    for _ in range(3):
        begin()
    with pytest.raises(OAuthError) as told:
        begin()
    assert (told.value.code, told.value.status) == ("temporarily_unavailable", 503)
    clock.now += device.LIFETIME
    assert begin().user_code


def test_d5_38_what_a_client_lost_while_a_person_was_asked_is_not_given(
    world, ask, clock, client, begun, owner
):
    allowed = Approval(Holder(owner.user_id, owner.project_id), clock.now, ())
    assert device.approve(world.store, begun.user_code, allowed, now=clock.now)
    authority.narrow(world, client.id, ["storage:write"])
    assert ask() != "storage:read"
    held = world.all(sa.select(schema.credential.c.scopes).where(IS_GRANT))
    assert all("storage:read" not in row.scopes for row in held)


def test_d5_44_of_two_who_bring_an_approved_code_at_once_one_gets_a_token(
    world, server, ask, clock, client, begun, owner, monkeypatch
):
    allowed = Approval(Holder(owner.user_id, owner.project_id), clock.now, ())
    assert device.approve(world.store, begun.user_code, allowed, now=clock.now)
    real, other = grants.given_by, []

    def another_is_faster(*told):
        monkeypatch.setattr(grants, "given_by", real)
        other.append(ask())
        return real(*told)

    monkeypatch.setattr(grants, "given_by", another_is_faster)
    assert ask() == "invalid_grant"
    assert other == ["storage:read"]
    assert len(world.all(sa.select(schema.credential.c.id).where(IS_GRANT))) == 1
