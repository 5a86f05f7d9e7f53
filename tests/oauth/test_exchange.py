"""Token exchange: by every type of subject, and never for more."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from tests.oauth import authority
from tests.world import asking

from latchgate.core.model import Decision, Noun
from latchgate.core.secret import Secret
from latchgate.manage import access_keys, tokens
from latchgate.manage.access_keys import AccessKeySpec
from latchgate.manage.tokens import TokenSpec
from latchgate.oauth import exchange
from latchgate.oauth.errors import OAuthError
from latchgate.oauth.exchange import Asked
from latchgate.store import schema


@pytest.fixture
def trade(server):
    def ask(text, kind, scope=None, client=None, targets=()):
        asked = Asked(Secret(text), kind, scope, targets, None)
        exchange.check(server, asked)
        for claim in exchange.claims(server.engine.policy, asked):
            decision = server.engine.attempt(asking(), None, claim)
            if not isinstance(decision, Decision):  # as a chosen secret it has to be worked out
                decision = asyncio.run(server.engine.decide_later(asking(), decision, claim))
            if decision.allowed and decision.grant is not None:
                return exchange.exchanged(server, client, asked, decision.grant)
        raise exchange.refused()

    return ask


def said(answer):
    return authority.unchecked(answer.access_token)[1]


def code_of(ask):
    with pytest.raises(OAuthError) as told:
        ask()
    return str(told.value.code)


def test_a_service_key_is_its_tokens_parent(world, trade, owner):
    key = world.key(owner=owner, scopes=["storage:read"])
    answer = trade(key.text, exchange.SERVICE_KEY)
    assert answer.scope == "storage:read"
    assert said(answer)["grant_id"] == key.id
    assert code_of(lambda: trade(key.text, exchange.API_TOKEN)) == "invalid_grant"
    assert code_of(lambda: trade(key.text[:-1] + "x", exchange.SERVICE_KEY)) == "invalid_grant"


def test_an_api_token_and_an_access_key_are_too(world, server, trade):
    policy, caller = server.engine.policy, world.acting(world.admin)
    spec = TokenSpec("t", expires_in="1h", scopes=["upcloud:read"])
    made, issued, _ = tokens.create(
        world.store, policy, caller, spec, now=world.clock(), entropy=server.entropy
    )
    assert issued is not None
    answer = trade(issued.secret.reveal(), exchange.API_TOKEN)
    assert (answer.scope, said(answer)["grant_id"]) == ("upcloud:read", made.id)
    key, secret, _ = access_keys.create(
        world.store,
        policy,
        caller,
        AccessKeySpec("k"),
        now=world.clock(),
        entropy=server.entropy,
    )
    assert secret is not None
    text = f"{key.id}:{secret.reveal()}"
    answer = trade(text, exchange.ACCESS_KEY, "storage:read")
    assert (answer.scope, said(answer)["grant_id"]) == ("storage:read", key.id)
    for wrong in (text[:-1], text.replace(":", ""), f":{text}"):
        assert code_of(lambda sent=wrong: trade(sent, exchange.ACCESS_KEY)) == "invalid_grant"


def test_a_token_of_a_revoked_key_is_gone_with_it(world, server, trade, owner):
    key = world.key(owner=owner)
    text = trade(key.text, exchange.SERVICE_KEY).access_token
    assert trade(text, exchange.ACCESS_TOKEN).scope
    world.revoke(key)
    assert code_of(lambda: trade(text, exchange.ACCESS_TOKEN)) == "invalid_grant"


def test_networks_hold_when_a_key_is_exchanged_and_when_its_token_is(world, trade, owner):
    near = world.key(owner=owner, networks=["192.0.2.0/24"])
    text = trade(near.text, exchange.SERVICE_KEY).access_token
    far = world.key(owner=owner, networks=["203.0.113.0/24"])
    assert code_of(lambda: trade(far.text, exchange.SERVICE_KEY)) == "invalid_grant"
    changed = sa.update(schema.credential).where(schema.credential.c.id == near.id)
    world.change(Noun.CREDENTIAL, near.id, changed.values(networks='["203.0.113.0/24"]'))
    assert code_of(lambda: trade(text, exchange.ACCESS_TOKEN)) == "invalid_grant"


def test_no_scope_is_given_that_the_credential_or_the_client_has_not(world, trade, owner):
    key = world.key(owner=owner)
    wide = lambda: trade(key.text, exchange.SERVICE_KEY, "dns:manage")  # noqa: E731
    assert code_of(wide) == "invalid_scope"
    client = authority.known(world, authority.client(world, scopes=["storage:write"]))
    answer = trade(key.text, exchange.SERVICE_KEY, client=client)
    assert answer.scope == "storage:write"
    assert said(answer)["act"] == {"sub": client.id}
    narrow = trade(answer.access_token, exchange.ACCESS_TOKEN)
    assert narrow.scope == "storage:write"


def test_whom_a_token_is_for_can_only_be_us(server, trade, world, owner):
    key = world.key(owner=owner)
    for target in (authority.ISSUER, server.kind.audience):
        assert trade(key.text, exchange.SERVICE_KEY, targets=(target,)).scope
    for target in ("", authority.ISSUER + "/", "https://other.example"):
        ask = lambda one=target: trade(key.text, exchange.SERVICE_KEY, targets=(one,))  # noqa: E731
        assert code_of(ask) == "invalid_target"


def test_d6_57_a_client_of_one_tenant_exchanges_nothing_of_another(world, trade, owner):
    key = world.key(owner=owner)
    foreign = authority.known(world, authority.client(world, tenant_id=world.tenant()))
    assert code_of(lambda: trade(key.text, exchange.SERVICE_KEY, client=foreign)) == "invalid_grant"
    text = trade(key.text, exchange.SERVICE_KEY).access_token
    assert code_of(lambda: trade(text, exchange.ACCESS_TOKEN, client=foreign)) == "invalid_grant"
    own = authority.known(world, authority.client(world, tenant_id=owner.tenant_id))
    assert trade(text, exchange.ACCESS_TOKEN, client=own).scope


def test_d6_57_who_acts_is_not_washed_off_by_exchanging_once_more(world, trade, owner):
    key = world.key(owner=owner)
    acting = authority.known(world, authority.client(world))
    told = trade(key.text, exchange.SERVICE_KEY, client=acting).access_token
    public = authority.known(world, authority.client(world, public=True))
    again = said(trade(told, exchange.ACCESS_TOKEN))
    assert (again["act"], again["client_id"]) == ({"sub": acting.id}, acting.id)
    again = said(trade(told, exchange.ACCESS_TOKEN, client=public))
    assert (again["act"], again["client_id"]) == ({"sub": acting.id}, public.id)


def test_d5_41_exchanging_again_and_again_neither_widens_nor_lengthens(world, clock, trade, owner):
    key = world.key(owner=owner)
    first = trade(key.text, exchange.SERVICE_KEY, "storage:read").access_token
    clock.now += 300
    second = trade(first, exchange.ACCESS_TOKEN).access_token
    assert said(trade(second, exchange.ACCESS_TOKEN))["exp"] == unchecked_end(first)
    wide = lambda: trade(second, exchange.ACCESS_TOKEN, "storage:write")  # noqa: E731
    assert code_of(wide) == "invalid_scope"
    clock.now += 300
    assert code_of(lambda: trade(second, exchange.ACCESS_TOKEN)) == "invalid_grant"


def unchecked_end(text):
    return authority.unchecked(text)[1]["exp"]


@pytest.mark.parametrize("table", [schema.user, schema.tenant])
def test_d5_42_nothing_is_exchanged_for_whom_is_disabled(world, trade, owner, table):
    key = world.key(owner=owner)
    text = trade(key.text, exchange.SERVICE_KEY).access_token
    record = owner.user_id if table is schema.user else owner.tenant_id
    noun = Noun.USER if table is schema.user else Noun.TENANT
    world.change(noun, record, sa.update(table).where(table.c.id == record).values(active=False))
    assert code_of(lambda: trade(key.text, exchange.SERVICE_KEY)) == "invalid_grant"
    assert code_of(lambda: trade(text, exchange.ACCESS_TOKEN)) == "invalid_grant"
