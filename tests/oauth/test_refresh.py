"""Refresh tokens: used once, a second time by mistake, or stolen."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.oauth import authority

from latchgate.core.model import Noun
from latchgate.oauth import authorization_code, clients, grants, refresh
from latchgate.oauth.errors import OAuthError
from latchgate.store import schema


@pytest.fixture
def client(world, app):
    return authority.known(world, app)


@pytest.fixture
def first(world, server, client, app, owner):
    sent = authority.sent(authority.code(world, app, owner))
    return authorization_code.by_code(server, client, sent, address=None)


@pytest.fixture
def refreshed(server, client):
    def ask(text, scope=None):
        return authorization_code.by_refresh(server, client, text, scope=scope, address=None)

    return ask


def refused(refreshed, text):
    with pytest.raises(OAuthError) as told:
        refreshed(text)
    assert told.value.code == "invalid_grant"


def revoked(world):
    table = schema.credential
    row = world.one(sa.select(table.c.revoked_at).where(table.c.kind == "latchgate.oauth_grant"))
    return row.revoked_at


def test_within_seconds_a_second_use_is_a_retry(world, clock, first, refreshed):
    one = refreshed(first.refresh_token)
    clock.now += refresh.LENIENCY - 0.5
    other = refreshed(first.refresh_token)
    assert one.refresh_token != other.refresh_token
    assert refreshed(one.refresh_token).refresh_token
    assert refreshed(other.refresh_token).refresh_token
    assert revoked(world) is None


def test_later_a_second_use_is_a_theft_and_ends_the_whole_family(world, clock, first, refreshed):
    following = refreshed(first.refresh_token)
    clock.now += refresh.LENIENCY
    refused(refreshed, first.refresh_token)
    assert revoked(world) == clock.now
    assert world.journal()[-1].action == "oauth_grant.revoke"
    refused(refreshed, following.refresh_token)


def test_an_unused_token_ends_after_thirty_days_and_all_of_them_after_ninety(
    clock, first, refreshed
):
    newest = first.refresh_token
    for _ in range(3):
        clock.now += refresh.IDLE_LIFE - 1
        newest = refreshed(newest).refresh_token
    clock.now += 10
    refused(refreshed, newest)


def test_a_token_that_was_not_used_for_thirty_days_is_none(clock, first, refreshed):
    clock.now += refresh.IDLE_LIFE
    refused(refreshed, first.refresh_token)


def test_a_disabled_user_uses_up_no_token_and_goes_on_when_enabled(world, owner, first, refreshed):
    table = schema.user
    for active in (False, True):
        changed = sa.update(table).where(table.c.id == owner.user_id).values(active=active)
        world.change(Noun.USER, owner.user_id, changed)
        if not active:
            refused(refreshed, first.refresh_token)
    assert refreshed(first.refresh_token).refresh_token


def test_a_blocked_application_gets_nothing_more(world, owner, app, first, refreshed):
    row = {"user_id": owner.user_id, "application_id": app.application_id}
    block = sa.insert(schema.application_block)
    block = block.values(**row, blocked_by="user", at=world.clock())
    world.change(Noun.USER, owner.user_id, block)
    refused(refreshed, first.refresh_token)


def test_what_is_asked_for_now_is_not_what_can_be_asked_for_next(first, refreshed):
    narrow = refreshed(first.refresh_token, scope="storage:read openid")
    assert narrow.scope == "openid storage:read"
    assert set(refreshed(narrow.refresh_token).scope.split()) == set(authority.SCOPES)


def test_no_token_is_kept_as_it_is(world, first):
    kept = world.database.read_bytes()
    kept += world.database.with_name("latchgate.db-wal").read_bytes()
    assert first.refresh_token.encode() not in kept


def test_d5_41_what_a_client_lost_no_refresh_token_gives_any_more(
    world, app, owner, server, client, first
):
    authority.narrow(world, app.id, ["openid", "offline_access", "storage:read"])
    now = authority.known(world, app)
    told = authorization_code.by_refresh(server, now, first.refresh_token, scope=None, address=None)
    assert set(told.scope.split()) == {"openid", "offline_access", "storage:read"}
    assert told.refresh_token is not None
    authority.narrow(world, app.id, authority.SCOPES)
    with pytest.raises(OAuthError) as refusal:
        authorization_code.by_refresh(
            server, client, told.refresh_token, scope="email", address=None
        )
    assert refusal.value.code == "invalid_scope"


def test_d5_43_a_grant_that_is_revoked_while_it_is_refreshed_gives_no_token(
    world, server, client, first, monkeypatch
):
    real = refresh.rotate

    def revoked_first(*told, **more):
        with world.changing() as change:
            assert grants.end(change, told[2].family.grant_id)
        return real(*told, **more)

    monkeypatch.setattr(refresh, "rotate", revoked_first)
    with pytest.raises(OAuthError) as refusal:
        authorization_code.by_refresh(server, client, first.refresh_token, scope=None, address=None)
    assert refusal.value.code == "invalid_grant"


@pytest.mark.parametrize("lost", ["tenant", "project", "client", "user"])
def test_d5_42_whoever_is_gone_refreshes_nothing(
    world, server, clock, app, client, first, owner, lost
):
    table, noun, record, gone = {
        "tenant": (schema.tenant, Noun.TENANT, owner.tenant_id, {"active": False}),
        "project": (schema.project, Noun.PROJECT, owner.project_id, {"active": False}),
        "client": (schema.oauth_client, Noun.OAUTH_CLIENT, app.id, {"disabled_at": clock.now}),
        "user": (schema.user, Noun.USER, owner.user_id, {"active": False, "deleted_at": clock.now}),
    }[lost]
    world.change(noun, record, sa.update(table).where(table.c.id == record).values(**gone))

    def ask():
        known = clients.authenticated(world.store, app.id, app.secret, now=clock.now)
        return authorization_code.by_refresh(
            server, known, first.refresh_token, scope=None, address=None
        )

    with pytest.raises(OAuthError) as refusal:
        ask()
    assert refusal.value.code == ("invalid_client" if lost == "client" else "invalid_grant")
