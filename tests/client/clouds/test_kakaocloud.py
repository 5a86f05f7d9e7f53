"""KakaoCloud's client: exchange, validation, and what is made of refusals."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.client.refusing import answer

from latchgate.client import (
    AuthenticationFailed,
    KakaoCloud,
    KeyRevoked,
    PermissionDenied,
    Refused,
    Unreachable,
)
from latchgate.client.flow import Identity
from latchgate.client.message import Request, Response
from latchgate.client.refusal import refused
from latchgate.client.shell import carry_out

KEY_ID, SECRET = "0" * 32, "a secret access key"
USER, PROJECT = "u" * 32, "p" * 32
TOKEN: dict[str, Any] = {
    "methods": ["application_credential"],
    "user": {"id": USER, "name": "alice", "domain": {"id": "default", "name": "Default"}},
    "project": {"id": PROJECT, "name": "demo"},
    "roles": [{"id": "1", "name": "reader"}, {"id": "2", "name": "member"}],
    "issued_at": "2026-11-21T16:32:34.000000Z",
    "expires_at": "2026-11-22T04:32:34.000000Z",
    "application_credential": {"id": KEY_ID, "name": "deploy", "restricted": True},
}
NO = {"error": {"code": 401, "title": "Unauthorized", "message": "It requires authentication."}}
GONE = {
    "error": {
        "code": 404,
        "title": "Not Found",
        "message": f"Could not find Application Credential: {KEY_ID}.",
    }
}


class Api:
    """An identity API whose answers a test changes; tokens are t1, t2, …"""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.asked: list[Request] = []
        self.exchange: Callable[[], Response] = lambda: answer(
            201, {"token": TOKEN}, x_subject_token=f"t{next(numbers)}"
        )
        self.dead: set[str] = set()
        self.validation = answer(200, {"token": TOKEN})
        self.key = answer(200, {"application_credential": {"expires_at": None}})

    def ask(self, request: Request) -> Response:
        self.asked.append(request)
        if request.method == "POST":
            return self.exchange()
        if request.url.endswith(f"/users/{USER}/application_credentials/{KEY_ID}"):
            return self.key
        assert request.url.endswith("/auth/tokens?nocatalog")
        token = dict(request.headers)["X-Auth-Token"]
        assert dict(request.headers)["X-Subject-Token"] == token
        return answer(401, NO) if token in self.dead else self.validation

    def identified(self, cloud: KakaoCloud) -> Identity:
        return carry_out(cloud, cloud.identify(), ask=self.ask)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def cloud() -> KakaoCloud:
    return KakaoCloud(KEY_ID, SECRET, cache=None)


def test_a_token_is_validated_and_its_facts_told(api, cloud):
    assert api.identified(cloud) == Identity(
        "KakaoCloud",
        "alice",
        "argument",
        ("reader", "member"),
        None,
        {
            "user_id": USER,
            "user_name": "alice",
            "project_id": PROJECT,
            "project_name": "demo",
            "access_key_id": KEY_ID,
            "access_key_name": "deploy",
            "token_expires_at": "2026-11-22T04:32:34.000000Z",
        },
    )
    login = json.loads(api.asked[0].body or b"")["auth"]["identity"]
    assert login["application_credential"] == {"id": KEY_ID, "secret": SECRET}


def test_rights_are_those_of_now_not_those_at_issue(api, cloud):
    api.identified(cloud)
    api.validation = answer(200, {"token": {**TOKEN, "roles": [{"name": "reader"}]}})
    assert api.identified(cloud).rights == ("reader",)
    api.validation = answer(200, {"token": {**TOKEN, "roles": []}})
    assert api.identified(cloud).rights == ()


def ending(at: str | None) -> Response:
    """Return what the cloud tells of an access key that ends then."""
    return answer(200, {"application_credential": {"expires_at": at}})


@pytest.mark.parametrize(
    ("told", "ends_at"),
    [
        (ending("2027-02-27T18:30:59.000000"), 1_803_753_059),
        (ending("2027-02-27T18:30:59Z"), 1_803_753_059),
        (ending(None), None),
        (ending("soon"), None),
        (answer(403, NO), None),
        (answer(500), None),
        (answer(200, b"[" * 100_000), None),
    ],
)
def test_the_access_keys_own_end_is_told_where_the_cloud_tells_it(api, cloud, told, ends_at):
    api.key = told
    assert api.identified(cloud).ends_at == ends_at


def test_a_token_dead_early_is_replaced_once(api, cloud):
    api.identified(cloud)
    api.dead = {"t1"}
    assert api.identified(cloud).principal == "alice"
    assert cloud.renewal.held is not None
    assert cloud.renewal.held.value.reveal() == "t2"
    api.dead = {"t1", "t2"}
    with pytest.raises(AuthenticationFailed, match="It requires authentication"):
        api.identified(cloud)
    logins = [request for request in api.asked if request.method == "POST"]
    assert len(logins) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind", "meaning"),
    [
        (401, NO, AuthenticationFailed, "its id or its secret is wrong"),
        (404, GONE, AuthenticationFailed, "its id or its secret is wrong"),
        (403, NO, PermissionDenied, None),
        (404, b"<html><title>404 Not Found</title>", Refused, None),
        (500, NO, Refused, None),
    ],
)
def test_an_access_key_that_never_worked_is_told_to_be_refused(
    api, cloud, status, body, kind, meaning
):
    api.exchange = lambda: answer(status, body)
    with pytest.raises(Refused) as caught:
        api.identified(cloud)
    assert type(caught.value) is kind
    assert (meaning or "") in (caught.value.meaning or "")
    assert (caught.value.meaning is None) == (meaning is None)
    assert "expired token" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(401, NO, AuthenticationFailed), (404, GONE, KeyRevoked)],
)
def test_one_that_once_worked_is_told_to_be_refused_now(api, cloud, status, body, kind):
    api.identified(cloud)
    api.dead, api.exchange = {"t1"}, lambda: answer(status, body)
    with pytest.raises(AuthenticationFailed) as caught:
        api.identified(cloud)
    assert type(caught.value) is kind
    assert caught.value.meaning is not None
    assert caught.value.meaning.startswith(
        "the access key itself is refused now, not its token alone: it was deleted"
    )


def test_keystones_404_for_a_deleted_access_key_is_known_by_its_id(api):
    by_id = KakaoCloud(KEY_ID, SECRET, cache=None)
    by_name = KakaoCloud(access_key_name="deploy", secret=SECRET, user_id=USER, cache=None)
    assert type(refused(by_name, answer(404, GONE))) is Refused
    api.identified(by_name)  # from now on it knows the id
    for cloud in (by_id, by_name):
        error = refused(cloud, answer(404, GONE))
        assert type(error) is KeyRevoked
        assert error.meaning == "the access key was deleted"
    other = json.loads(json.dumps(GONE).replace(KEY_ID, "deadbeef"))
    assert type(refused(by_id, answer(404, other))) is Refused


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"[" * 100_000, {"token": {}}, {"token": {**TOKEN, "user": "alice"}}]
)
def test_an_answer_without_a_token_is_no_token(api, cloud, body):
    api.exchange = lambda: answer(201, body, x_subject_token="t1")
    with pytest.raises(Unreachable, match="without a project token"):
        api.identified(cloud)
    api.exchange = lambda: answer(201, {"token": TOKEN}, x_subject_token="t1")
    api.validation = answer(200, body)
    with pytest.raises(Unreachable, match="without what a token is"):
        api.identified(cloud)


def test_what_a_cloud_tells_is_made_fit_to_be_shown(api, cloud):
    user = {"id": USER, "name": f"{SECRET} t1 \x1b[2J"}
    api.validation = answer(200, {"token": {**TOKEN, "user": user}})
    assert api.identified(cloud).principal == r"… … \x1b[2J"
