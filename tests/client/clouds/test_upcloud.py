"""UpCloud's client: who a credential is, by the cloud's answers."""

from __future__ import annotations

import base64

import pytest
from tests.client.refusing import answer

from latchgate.client import AuthenticationFailed, PermissionDenied, Refused, Unreachable, UpCloud
from latchgate.client.flow import Identity
from latchgate.client.message import Request, Response
from latchgate.client.shell import carry_out

TOKEN = "ucat_" + "0" * 26
PASSWORD = "mysecr3tPassword"
# As the provider answers it.
ACCOUNT = {
    "account": {"credits": 9972.2324, "username": "alice", "resource_limits": {"cores": 200}}
}


def identified(cloud: UpCloud, told: Response) -> tuple[Identity, Request]:
    """Ask who a credential is at a cloud with this answer."""
    asked: list[Request] = []

    def ask(request: Request) -> Response:
        asked.append(request)
        return told

    who = carry_out(cloud, cloud.identify(), ask=ask)
    (request,) = asked
    return who, request


def subaccount() -> UpCloud:
    """Return a client with a subaccount's password."""
    with pytest.warns(DeprecationWarning, match="make an API token instead"):
        return UpCloud(username="alice", password=PASSWORD)


def test_the_account_says_who_it_is_and_neither_rights_nor_an_end_are_made_up():
    told, asked = identified(UpCloud(TOKEN), answer(200, ACCOUNT))
    facts = {"credits": "9972.2324", "username": "alice"}
    assert told == Identity("UpCloud", "alice", "argument", None, None, facts)
    assert (asked.method, asked.url) == ("GET", "https://api.upcloud.com/1.3/account")
    assert dict(asked.headers) == {
        "Authorization": f"Bearer {TOKEN}",
        "Accept": "application/json",
    }


def test_a_subaccount_is_asked_about_in_the_same_way():
    told, asked = identified(subaccount(), answer(200, ACCOUNT))
    assert told.principal == "alice"
    coded = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    assert dict(asked.headers)["Authorization"] == f"Basic {coded}"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"[" * 100_000, {"account": []}, {"account": {}}, {"accounts": {}}],
    ids=lambda body: str(body)[:12],
)
def test_what_holds_no_account_is_told_to_be_none(body):
    with pytest.raises(Unreachable, match="answered with no account"):
        identified(UpCloud(TOKEN), answer(200, body))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "AUTHENTICATION_FAILED", AuthenticationFailed),
        (403, "ACTION_FORBIDDEN", PermissionDenied),
        (302, None, Refused),
        (503, "SERVICE_UNAVAILABLE", Refused),
    ],
)
def test_a_refusal_is_the_error_that_it_is(status, code, kind):
    body = {"error": {"error_code": code, "error_message": f"No: {TOKEN}"}}
    with pytest.raises(Refused) as caught:
        identified(UpCloud(TOKEN), answer(status, body))
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == (code, "No: …")


def test_a_password_is_masked_in_the_header_that_carried_it_too():
    coded = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    with pytest.raises(Refused) as caught:
        identified(subaccount(), answer(400, {"message": f"bad header: Basic {coded}"}))
    assert caught.value.message == "bad header: Basic …"
