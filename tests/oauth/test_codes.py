"""Codes: once, in a minute, and what happens when one comes again."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from tests.oauth import authority

from latchgate.core.model import Noun
from latchgate.core.scope import Scopes
from latchgate.oauth import authorization_code, codes, grants
from latchgate.oauth.errors import OAuthError
from latchgate.oauth.server import standing
from latchgate.store import schema


@pytest.fixture
def redeem(world, clock, app):
    def ask(text, client=app, **more):
        return codes.redeem(
            world.store,
            authority.known(world, client),
            authority.sent(text, **more),
            now=clock.now,
            lifetime=600.0,
            entropy=secrets.token_bytes,
            address="192.0.2.1",
        )

    return ask


def refused(redeem, text, **more):
    with pytest.raises(OAuthError) as told:
        redeem(text, **more)
    assert told.value.code == "invalid_grant"
    assert text not in str(told.value)


def row_of(world, grant_id):
    return world.one(sa.select(schema.credential).where(schema.credential.c.id == grant_id))


def test_a_code_makes_a_grant_of_its_user_that_the_journal_tells_of(world, redeem, app, owner):
    made = redeem(authority.code(world, app, owner))
    row = row_of(world, made.grant_id)
    assert (row.kind, row.owner_id) == ("latchgate.oauth_grant", owner.user_id)
    assert (row.tenant_id, row.project_id) == (owner.tenant_id, owner.project_id)
    assert row.scopes == '["storage:read","storage:write"]'
    assert (row.application_id, row.external_id) == (app.application_id, app.id)
    assert not row.issues
    told = world.journal()[-1]
    assert (told.action, told.record) == ("oauth_grant.create", made.grant_id)
    assert told.actor == f"user:{owner.user_id} client:{app.id}"
    assert told.address == "192.0.2.1"


def test_a_grant_ends_with_its_one_token_unless_it_can_be_refreshed(world, redeem, app, owner):
    long = redeem(authority.code(world, app, owner))
    assert long.refresh is not None
    assert row_of(world, long.grant_id).expires_at == world.clock() + 90 * 86_400
    short = redeem(authority.code(world, app, owner, scopes=["storage:read"]))
    assert short.refresh is None
    assert row_of(world, short.grant_id).expires_at == world.clock() + 600


def test_no_code_is_kept_as_it_is(world, app, owner):
    text = authority.code(world, app, owner)
    assert len(text) == 43
    kept = world.database.read_bytes()
    kept += world.database.with_name("latchgate.db-wal").read_bytes()
    assert text.encode() not in kept


def test_a_code_lasts_a_minute(world, redeem, clock, app, owner):
    text, other = (authority.code(world, app, owner) for _ in range(2))
    clock.now += codes.LIFETIME - 0.5
    redeem(text)
    clock.now += 0.5
    refused(redeem, other)


def test_a_code_that_comes_again_within_seconds_gives_nothing_and_takes_nothing(
    world, redeem, clock, app, owner
):
    text = authority.code(world, app, owner)
    made = redeem(text)
    clock.now += codes.LENIENCY - 0.5
    refused(redeem, text)
    assert row_of(world, made.grant_id).revoked_at is None


@pytest.mark.parametrize("later", [codes.LENIENCY, 3_600.0])
def test_a_code_that_comes_again_later_takes_back_what_it_gave(
    world, redeem, clock, app, owner, later
):
    text = authority.code(world, app, owner)
    made = redeem(text)
    clock.now += later
    refused(redeem, text)
    assert row_of(world, made.grant_id).revoked_at == clock.now
    assert world.journal()[-1].action == "oauth_grant.revoke"
    head = world.head()
    refused(redeem, text)
    assert world.head() == head


def test_a_code_in_strange_hands_takes_nothing_back(world, redeem, clock, app, owner):
    text = authority.code(world, app, owner)
    made = redeem(text)
    clock.now += 3_600
    refused(redeem, text, client=authority.client(world))
    refused(redeem, text, verifier="x" * 43)
    refused(redeem, text, redirect_uri="https://evil.example/")
    assert row_of(world, made.grant_id).revoked_at is None


def test_a_client_of_one_tenant_is_given_nothing_by_users_of_another(world, redeem, owner):
    foreign = authority.client(world, tenant_id=world.tenant())
    refused(redeem, authority.code(world, foreign, owner), client=foreign)


@pytest.mark.parametrize("spoiled", ["é", " ", "%", "\n", "+"])
def test_a_verifier_is_spelled_as_the_rfc_has_it(spoiled):
    assert codes.is_verified(authority.VERIFIER, authority.CHALLENGE)
    assert not codes.is_verified(authority.VERIFIER + spoiled, authority.CHALLENGE)
    assert not codes.is_verified("x" * 129, authority.CHALLENGE)


def test_d5_38_a_code_gives_nothing_that_its_client_lost_since(world, redeem, clock, app, owner):
    text, other = (authority.code(world, app, owner) for _ in range(2))
    before = authority.known(world, app)
    authority.narrow(world, app.id, ["offline_access", "storage:read"])
    made = redeem(text)
    assert row_of(world, made.grant_id).scopes == '["storage:read"]'
    assert made.request.scopes == ("offline_access", "storage:read")
    # Who proved itself just before the change gets no more.
    sent, at = authority.sent(other), {"now": clock.now, "lifetime": 600.0}
    late = codes.redeem(world.store, before, sent, entropy=secrets.token_bytes, **at)
    assert row_of(world, late.grant_id).scopes == '["storage:read"]'


def test_d5_42_a_code_gives_nothing_to_a_client_switched_off_meanwhile(world, clock, app, owner):
    sent, before = authority.sent(authority.code(world, app, owner)), authority.known(world, app)
    table = schema.oauth_client
    off = sa.update(table).where(table.c.id == app.id).values(disabled_at=clock.now)
    world.change(Noun.OAUTH_CLIENT, app.id, off)
    head = world.head()
    with pytest.raises(OAuthError) as told:
        codes.redeem(
            world.store, before, sent, now=clock.now, lifetime=600.0, entropy=secrets.token_bytes
        )
    assert told.value.code == "invalid_grant"
    assert world.head() == head


def test_d6_54_of_two_who_bring_a_code_at_once_one_gets_a_grant(world, clock, app, owner):
    client, text = authority.known(world, app), authority.code(world, app, owner)

    def ask(_):
        try:
            return codes.redeem(
                world.store,
                client,
                authority.sent(text),
                now=clock.now,
                lifetime=600.0,
                entropy=secrets.token_bytes,
            )
        except OAuthError:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert sum(one is not None for one in pool.map(ask, range(8))) == 1
    kind = schema.credential.c.kind == grants.KIND
    assert len(world.all(sa.select(schema.credential.c.id).where(kind))) == 1


def test_d6_54_no_challenge_is_met_by_leaving_the_verifier_out_or_by_the_challenge_itself():
    for told in ("", authority.CHALLENGE, authority.VERIFIER.upper()):
        assert not codes.is_verified(told, authority.CHALLENGE)
    plain = "p" * 43
    assert not codes.is_verified(plain, plain)


def test_d5_39_who_authorized_no_scope_of_a_service_gave_none(world, server, app, owner):
    sent = authority.sent(authority.code(world, app, owner, scopes=["openid"]))
    told = authorization_code.by_code(server, authority.known(world, app), sent, address=None)
    claimed = server.kind.claim(told.access_token)
    assert isinstance(claimed, tuple)
    grant = standing(server.engine.proven(claimed[0]), server.clock())
    assert grant is not None
    assert grant.rights.lacking(Scopes.of(["storage:read"])) == ["storage:read"]
