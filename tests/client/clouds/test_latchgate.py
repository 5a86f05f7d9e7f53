"""Latchgate's own API as a cloud: one key, one origin."""

from __future__ import annotations

import json
from urllib.error import HTTPError

import pytest
from tests.client.steps import answer, taken

from latchgate.client import (
    AuthenticationFailed,
    CredentialInvalid,
    CredentialMissing,
    InsecureTransport,
    Latchgate,
    PermissionDenied,
    Unreachable,
    WrongHost,
)
from latchgate.client.adapters.urllib import Opener, check
from latchgate.client.message import Target
from latchgate.client.sources.environment import Environment

TOKEN = "latchgate_manage_abcdef_" + "0" * 40
URL = "https://gate.example"


def test_the_key_goes_to_its_own_origin_alone():
    made = Latchgate(TOKEN, url=f"{URL}/")
    (step,) = taken(made.flow(Target.of(f"{URL}/manage/v1/keys"))).steps
    assert step.headers == (("Authorization", f"Bearer {TOKEN}"),)
    for other in ("https://gate.example:8443/", "https://api.gate.example/"):
        with pytest.raises(WrongHost):
            made.flow(Target.of(other))
    assert TOKEN not in f"{made!r}{made.secrets}"


def test_key_and_address_come_from_one_place_or_the_argument():
    told = {"LATCHGATE_TOKEN": TOKEN, "LATCHGATE_URL": URL}
    made = Latchgate(sources=(Environment(told),))
    assert made.url == URL
    assert "LATCHGATE_TOKEN" in made.source
    assert Latchgate(url="https://other.example", sources=(Environment(told),)).url != URL
    with pytest.raises(CredentialInvalid, match="LATCHGATE_URL"):
        Latchgate(sources=(Environment({"LATCHGATE_TOKEN": TOKEN}),))
    # An address of another source is not the key's.
    with pytest.raises(CredentialInvalid, match="say where"):
        Latchgate(TOKEN, sources=(Environment(told),))
    with pytest.raises(CredentialMissing, match="LATCHGATE_TOKEN"):
        Latchgate(sources=(Environment({"LATCHGATE_URL": URL}),))
    with pytest.raises(InsecureTransport):
        Latchgate(TOKEN, url="http://gate.example")
    with pytest.raises(CredentialInvalid, match="copied wrong"):
        Latchgate(f"{TOKEN}\n", url=URL)


@pytest.mark.parametrize("told", [b"", [], {"user": {}}, {"user": {"id": "u"}, "rights": 5}, None])
def test_an_answer_that_is_no_account_is_said_to_be_none(told):
    with pytest.raises(Unreachable, match="management API"):
        taken(Latchgate(TOKEN, url=URL).identify(), [answer(told)])


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_key_calls_the_management_api_and_knows_whose_it_is(server, world):
    api = server.addresses["api"]
    made = Latchgate(server.token, url=api)
    opener = Opener(made)
    with opener.open(f"{api}/manage/v1/account") as answered:
        told = json.load(answered)
    identity = opener.run(made.identify())
    assert (identity.principal, identity.rights) == (world.owner.user_id, tuple(told["rights"]))
    assert identity.told["credential_id"] == told["credential_id"]


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_revoked_key_and_one_without_rights_are_told_apart(server, world):
    api = server.addresses["api"]
    key = world.key("manage", scopes=["manage:keys.read"])
    made = Latchgate(key.text, url=api)
    with pytest.raises(PermissionDenied) as denied:
        Opener(made).run(made.identify())
    assert denied.value.decision
    opener = Opener(made)
    with pytest.raises(HTTPError) as caught:
        opener.open(f"{api}/manage/v1/users")
    with pytest.raises(PermissionDenied) as denied:
        check(made, caught.value)
    assert denied.value.scope == "manage:users.read"
    world.revoke(key)
    with pytest.raises(AuthenticationFailed):
        Opener(made).run(made.identify())
