"""Who a client is, by its id and a secret of its application."""

from __future__ import annotations

from typing import get_args

import pytest
import sqlalchemy as sa
from tests.oauth import authority

from latchgate.core.model import Noun
from latchgate.manage import client_terms
from latchgate.oauth.clients import GrantType, authenticated, found
from latchgate.oauth.errors import OAuthError
from latchgate.oauth.known_clients import KnownClients
from latchgate.store import schema


def refused(ask):
    with pytest.raises(OAuthError) as told:
        ask()
    assert (told.value.code, told.value.status) == ("invalid_client", 401)
    return told.value.description


def test_what_can_be_registered_is_what_can_be_asked_for():
    assert {str(one) for one in GrantType} == set(get_args(client_terms.GrantType))


def test_a_client_is_read_with_its_application(world, app):
    client = authority.known(world, app)
    assert client.stands
    assert client.application_id == app.application_id
    assert client.redirect_uris == (authority.REDIRECT,)
    assert client.scopes == frozenset(authority.SCOPES)
    assert found(world.store, "nobody") is None


def test_every_secret_of_its_application_that_stands_proves_a_client(world, clock, app):
    grace = authority.secret_of(world, app.application_id, expires_at=clock.now + 60)
    gone = authority.secret_of(world, app.application_id)
    table = schema.application_key
    revoked = sa.update(table).where(table.c.id == gone[0]).values(revoked_at=clock.now)
    world.change(Noun.APPLICATION_KEY, gone[0], revoked)
    for text in (app.secret, grace[1]):
        assert authenticated(world.store, app.id, text, now=clock.now).id == app.id
    refused(lambda: authenticated(world.store, app.id, gone[1], now=clock.now))
    refused(lambda: authenticated(world.store, app.id, grace[1], now=clock.now + 60))


def test_nobody_is_told_what_was_wrong_before_the_secret_was_right(world, clock, app):
    public = authority.client(world, public=True)
    other = authority.client(world)
    tries = [(app.id, None), (app.id, ""), (app.id, other.secret), ("nobody", app.secret)]
    tries += [(public.id, app.secret), ("x" * 300, app.secret), (app.id.upper(), app.secret)]
    told = {
        refused(lambda asked=asked: authenticated(world.store, *asked, now=clock.now))
        for asked in tries
    }
    assert len(told) == 1


@pytest.mark.parametrize("state", ["requested", "refused", "suspended", "withdrawn"])
def test_a_client_of_an_application_that_is_not_approved_is_none(world, clock, state):
    app = authority.client(world, application_id=authority.application(world, state=state))
    refused(lambda: authenticated(world.store, app.id, app.secret, now=clock.now))


def test_what_is_remembered_of_a_client_is_forgotten_with_the_next_change(
    world, server, clock, app
):
    known = KnownClients(server)
    assert known.recall(app.id, app.secret) is None
    assert known.authenticated(app.id, app.secret).client.id == app.id
    again = known.recall(app.id, app.secret)
    assert again is not None
    assert again.client == authority.known(world, app)
    assert known.recall(app.id, app.secret + "x") is None
    assert known.recall(app.id, None) is None
    disabled = sa.update(schema.oauth_client).where(schema.oauth_client.c.id == app.id)
    world.change(Noun.OAUTH_CLIENT, app.id, disabled.values(disabled_at=clock.now))
    assert known.recall(app.id, app.secret) is None
    refused(lambda: known.authenticated(app.id, app.secret))


def test_a_secret_in_its_grace_is_remembered_until_that_ends(world, server, clock, app):
    text = authority.secret_of(world, app.application_id, expires_at=clock.now + 60)[1]
    known = KnownClients(server)
    known.authenticated(app.id, text)
    clock.now += 59
    assert known.recall(app.id, text) is not None
    clock.now += 1
    assert known.recall(app.id, text) is None
    refused(lambda: known.authenticated(app.id, text))
