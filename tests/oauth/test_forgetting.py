"""Codes and tokens that ended are let go of, and not before they could tell of a theft."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.oauth import authority

from latchgate.oauth import authorization_code, device, forgetting, refresh
from latchgate.oauth.errors import OAuthError
from latchgate.oauth.forgetting import KEPT, forget
from latchgate.store import schema


def test_what_ended_a_day_ago_is_let_go_of(world, server, clock, app, owner):
    client = authority.known(world, app)
    text = authority.code(world, app, owner)
    sent = authority.sent(text)
    first = authorization_code.by_code(server, client, sent, address=None)
    assert first.refresh_token is not None
    asked = {"address": None, "now": clock.now, "entropy": server.entropy}
    device.begin(world.store, client, (), **asked)
    clock.now += KEPT
    assert forget(world.store, now=clock.now) == 1  # the device, which tells of no theft
    with pytest.raises(OAuthError):  # it comes again, and is still known
        authorization_code.by_code(server, client, sent, address=None)
    with pytest.raises(OAuthError):
        authorization_code.by_refresh(server, client, first.refresh_token, scope=None, address=None)
    clock.now += device.LIFETIME + 1
    assert forget(world.store, now=clock.now) == 1
    assert world.one(sa.select(sa.func.count()).select_from(schema.oauth_refresh))[0] == 1
    clock.now += refresh.IDLE_LIFE + 1
    assert forget(world.store, now=clock.now) == 1


def test_d7_62_more_than_one_batch_goes_at_once(world, clock, app, monkeypatch):
    monkeypatch.setattr(forgetting, "MOST", 2)
    client = authority.known(world, app)
    asked = {"address": None, "now": clock.now, "entropy": secrets.token_bytes}
    for _ in range(5):
        device.begin(world.store, client, (), **asked)
    clock.now += device.LIFETIME + forgetting.KEPT_DEVICE + 1
    assert forget(world.store, now=clock.now) == 5
