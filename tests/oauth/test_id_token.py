"""ID tokens that come back: whom they name, and which are none of ours."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

import msgspec
import pytest
from joserfc.jwk import ECKey, OctKey
from joserfc.jws import serialize_compact
from tests.oauth import authority
from tests.oauth.authority import ISSUER
from tests.oauth.conftest import Clock
from tests.world import ACTOR, World

from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose
from latchgate.manage import signing_keys
from latchgate.oauth.id_token import SignIn, hinted, id_token
from latchgate.oauth.minting import Wanted, mint
from latchgate.oauth.server import AuthorizationServer


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def world(tmp_path_factory, clock) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("id_token"), clock=clock)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(world, clock) -> AuthorizationServer:
    return authority.authority(world, clock=clock)


@pytest.fixture(scope="module")
def minted(world, server):
    owner, app = world.somebody("storage:read"), authority.client(world)
    granted = authority.grant(world, app, owner, ["openid", "storage:read"])
    made = mint(server, Wanted(granted, app.id, ("openid", "storage:read")))
    return owner, app, made


@pytest.fixture(scope="module")
def token(server, minted) -> str:
    return id_token(server, minted[2], SignIn(1.0, ("pwd",), "n-1")).reveal()


def test_it_says_whom_it_names_and_for_which_client(server, minted, token):
    owner, app, _ = minted
    told = hinted(server, token)
    assert told is not None
    assert (told.sub, told.aud, told.nonce, told.iss) == (owner.user_id, app.id, "n-1", ISSUER)


def test_one_that_has_ended_still_names_somebody(server, clock, token):
    clock.now += 90 * 86_400.0
    assert hinted(server, token) is not None


def test_an_access_token_is_none(server, minted):
    assert hinted(server, minted[2].text.reveal()) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda head, body, mark: f"{head}.{body}",
        lambda head, body, mark: f"{head}.{body}.",
        lambda head, body, mark: f"{head}.{body}.{mark}.{mark}",
        lambda head, body, mark: f"{head}.{body}.{mark[:-6]}AAAAAA",
        lambda head, body, mark: f"{_other(head, alg='none')}.{body}.",
        lambda head, body, mark: f"{_other(head, alg='HS256')}.{body}.{mark}",
        lambda head, body, mark: f"{_other(head, typ='at+jwt')}.{body}.{mark}",
        lambda head, body, mark: f"{_other(head, kid='unknown')}.{body}.{mark}",
        lambda head, body, mark: f"{head}.{_other(body, sub='u-admin')}.{mark}",
        lambda head, body, mark: f"{head}.{_other(body, iss='https://evil.example')}.{mark}",
        lambda head, body, mark: f"{head}.é.{mark}",
        lambda head, body, mark: "a" * 5_000,
        lambda head, body, mark: "",
    ],
)
def test_whatever_was_changed_in_one_names_nobody(server, token, change):
    assert hinted(server, change(*token.split("."))) is None


def test_one_that_somebody_else_signed_names_nobody(server, token):
    head, body, _ = token.split(".")
    claims = base64.urlsafe_b64decode(body + "==")
    header = msgspec.json.decode(base64.urlsafe_b64decode(head + "=="))
    theirs = ECKey.generate_key("P-256")
    forged = serialize_compact(header, claims, theirs, algorithms=["ES256"])
    assert hinted(server, forged) is None
    # Signed with the public half as a password, which some libraries took (RFC 8725 §2.1).
    public = signing_keys.published(server.store, Purpose.OAUTH, since=0.0)[0][1]
    confused = header | {"alg": "HS256"}
    mac = serialize_compact(confused, claims, OctKey.import_key(public), algorithms=["HS256"])
    assert hinted(server, mac) is None


def test_one_signed_with_a_key_that_was_replaced_since_still_names_somebody(world, server, token):
    before = signing_keys.current(world.store, Purpose.OAUTH)
    master = MasterKey(secrets.token_bytes(32))
    signing_keys.replace(world.store, ACTOR, master, entropy=secrets.token_bytes)
    assert signing_keys.current(world.store, Purpose.OAUTH).id != before.id
    assert hinted(server, token) is not None


def _other(part: str, **changed: str) -> str:
    told = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    text = msgspec.json.encode(told | changed)
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
