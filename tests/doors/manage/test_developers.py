"""Applications over HTTP: request, review, keys, withdrawal, blocks, and the next decision."""

from __future__ import annotations

import secrets
from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec
import pytest
from tests.asking import allows, basic, verdict
from tests.world import Server, World, http_request

from latchgate.manage import applications

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

REQUESTS = "/manage/v1/application-requests"
APPLICATIONS = "/manage/v1/applications"
OWN = "/manage/v1/account/applications"
REST = "/v2/api/user"
SPEC = {
    "name": "Sync <it>",
    "vendor": "Example AG",
    "contact": "keys@example.com",
    "purpose": "Shows quotas.",
    "developer": "open_source",
}


class Asked:
    """A request and its developer's token."""

    def __init__(self, server, answer):
        assert answer.status == 201, answer.body
        self.server = server
        self.id = answer.json["application"]["id"]
        self.token = answer.json["developer_token"]

    def act(self, path, told=None):
        method = "GET" if told is None else "POST"
        return self.server.call(method, f"{REQUESTS}/{self.id}{path}", told, token=self.token)

    def decide(self, verb, reason="because"):
        path = f"{APPLICATIONS}/{self.id}/{verb}"
        return self.server.call("POST", path, {"reason": reason})

    def key(self, user_id=None, path="/keys"):
        answer = self.act(path, {} if user_id is None else {"user_id": user_id})
        assert answer.status == 201, answer.body
        return answer.json["api_key"]


@pytest.fixture
def user(server, world):
    """A user with Basic: their headers and their key for this API."""

    def make(login):
        owner = world.somebody(tenant_id=world.owner.tenant_id)
        key = world.key("own", owner=owner)
        made = server.call("POST", "/manage/v1/account/basic", {"login": login}, token=key.text)
        return owner, key, basic(login, made.json["password"])

    return make


@pytest.fixture
def asked(server, world):
    """A request, written as the form's handler would: the throttle is per address."""
    spec = msgspec.convert(SPEC, applications.ApplicationSpec)
    made, token = applications.request(world.store, spec, address=None, entropy=secrets.token_bytes)
    found = Asked.__new__(Asked)
    found.server, found.id, found.token = server, made.id, token.reveal()
    return found


def with_key(headers, key):
    return {**headers, "X-TeraCLOUD-API-KEY": key}


def test_a_request_is_public_throttled_and_answers_its_token_once(tmp_path):
    server = Server.started(tmp_path / "lg")
    try:
        url = server.addresses["api"] + REQUESTS
        sent = {"Content-Type": "application/json"}

        def ask(body):
            return http_request("POST", url, headers=sent, body=msgspec.json.encode(body))

        wrong = ask({**SPEC, "contact": "a@b@example.com"})
        assert (wrong.status, wrong.json["errors"][0]["field"]) == (422, "contact")
        made = [Asked(server, ask(SPEC)) for _ in range(5)]
        assert len({one.token for one in made}) == 5
        full = ask(SPEC)
        assert (full.status, full.code) == (429, "too_many_requests")
        assert 0 < int(full.headers["retry-after"]) <= 3600
        shown = made[0].act("")
        assert shown.json["application"]["state"] == "requested"
        assert made[0].token.encode() not in shown.body
        world = World.beside(server)
        rows = "".join(row.detail for row in world.journal())
        world.close()
        assert made[0].token not in rows + server.log
    finally:
        server.kill()


def test_a_request_is_reviewed_and_its_key_opens_the_api_with_a_user(server, asked, user):
    owner, _, headers = user("reader")
    assert asked.act("/keys", {}).status == 409
    approved = asked.decide("approve", "welcome")
    assert (approved.json["state"], approved.json["reason"]) == ("approved", "welcome")
    assert "api_key" not in approved.json  # its developer picks it up
    key = asked.key()
    assert asked.act("/keys", {}).status == 409
    assert not allows(server, REST, headers)
    told = verdict(server, REST, with_key(headers, key))
    assert told["allowed"] is True
    assert told["identity"]["X-Latchgate-User"] == owner.user_id
    assert told["identity"]["X-Latchgate-Application"] == asked.id
    assert allows(server, f"{REST};api_key={key}", headers)
    assert not allows(server, REST, {"X-TeraCLOUD-API-KEY": key})  # it names no user
    standing = asked.act("").json
    assert standing["application"]["decided_by"] is None
    assert key not in str(standing)


def test_requests_with_a_replaced_key_are_told_until_when_it_works(server, asked, user):
    # RFC 9745, RFC 8594, as for every other secret that was rotated
    _, _, headers = user("updated")
    asked.decide("approve")
    old = asked.key()
    assert verdict(server, REST, with_key(headers, old))["headers"] == {}
    made = asked.act("/keys/reissue", {"grace": "2d"})
    assert made.status == 201
    (before,) = [one for one in asked.act("").json["keys"] if one["superseded_by"]]
    began = int(datetime.fromisoformat(made.json["created_at"]).timestamp())
    ends = datetime.fromisoformat(before["expires_at"]).replace(microsecond=0)
    told = verdict(server, REST, with_key(headers, old))
    assert told["allowed"] is True
    assert told["headers"]["Deprecation"] == f"@{began}"
    assert parsedate_to_datetime(told["headers"]["Sunset"]) == ends
    new = verdict(server, REST, with_key(headers, made.json["api_key"]))
    assert (new["allowed"], new["headers"]) == (True, {})


def test_suspension_reissue_and_withdrawal_hold_from_the_next_request_on(server, asked, user):
    _, _, headers = user("holder")
    asked.decide("approve")
    key = asked.key()
    assert allows(server, REST, with_key(headers, key))
    assert asked.decide("suspend", "leaks").json["receipt"]["verifiers"]
    assert not allows(server, REST, with_key(headers, key))
    assert asked.act("").json["application"]["reason"] == "leaks"
    asked.decide("reinstate")
    assert allows(server, REST, with_key(headers, key))
    second = asked.key(path="/keys/reissue")
    assert not allows(server, REST, with_key(headers, key))
    assert allows(server, REST, with_key(headers, second))
    assert asked.act("/withdraw", {}).json["receipt"]["verifiers"]
    assert not allows(server, REST, with_key(headers, second))
    for verb in ("approve", "reinstate", "suspend", "refuse"):
        assert asked.decide(verb).status == 409, verb
    assert asked.act("/keys/reissue", {}).status == 409


def test_a_block_is_for_oneself_and_a_withdrawal_for_one_user_is_lifted_by_nobody(
    server, asked, user
):
    asked.decide("approve")
    key = asked.key()
    owner, mine, headers = user("blocker")
    _, _, others = user("bystander")
    block = f"{OWN}/{asked.id}/block"
    assert server.call("PUT", block, token=mine.text).json["blocked"] is True
    assert not allows(server, REST, with_key(headers, key))
    assert allows(server, REST, with_key(others, key))
    (listed,) = server.call("GET", OWN, token=mine.text).json["applications"]
    assert (listed["application_id"], listed["blocked_by"]) == (asked.id, ["user"])
    assert server.call("DELETE", block, token=mine.text).json["blocked"] is False
    assert allows(server, REST, with_key(headers, key))
    asked.act("/withdraw", {"user_id": owner.user_id})
    assert not allows(server, REST, with_key(headers, key))
    assert server.call("DELETE", block, token=mine.text).json["blocked"] is True
    assert not allows(server, REST, with_key(headers, key))
    assert allows(server, REST, with_key(others, key))
    assert asked.act("").json["withdrawn_for"] == [owner.user_id]


def test_a_key_for_one_user_serves_nobody_else(server, asked, user):
    asked.decide("approve")
    owner, _, headers = user("only")
    _, _, others = user("not-only")
    key = asked.key(owner.user_id)
    assert allows(server, REST, with_key(headers, key))
    assert not allows(server, REST, with_key(others, key))
    general = asked.key()  # beside it
    assert allows(server, REST, with_key(others, general))
    again = asked.key(owner.user_id, "/keys/reissue")
    assert not allows(server, REST, with_key(headers, key))
    assert allows(server, REST, with_key(headers, again))
    assert allows(server, REST, with_key(others, general))
    missing = asked.act("/keys", {"user_id": "u-nobody"})
    assert (missing.status, missing.json["errors"][0]["field"]) == (422, "user_id")


@pytest.mark.parametrize("token", ["", "wrong", "lgdev_0000000000000000000000aaaaaaaa"])
def test_without_the_developers_token_nothing_is_told_or_done(server, asked, token):
    asked.decide("approve")
    key = asked.key()
    answers = []
    for application_id in (asked.id, "app-nosuch"):
        for method, path in (
            ("GET", ""),
            ("POST", "/keys"),
            ("POST", "/keys/reissue"),
            ("POST", "/withdraw"),
        ):
            target = f"{REQUESTS}/{application_id}{path}"
            body: dict[str, str] | None = {} if method == "POST" else None
            headers = {"Authorization": f"Bearer {token}"}
            answers.append(server.call(method, target, body, headers=headers))
    assert {one.status for one in answers} == {401}
    assert len({one.body for one in answers}) == 1  # existing or not
    assert asked.act("").json["application"]["state"] == "approved"
    assert len(asked.act("").json["keys"]) == 1
    assert key


def test_the_operators_own_key_is_no_developers_token(server, asked):
    target = f"{REQUESTS}/{asked.id}"
    assert server.call("GET", target).status == 401
    assert server.call("POST", f"{target}/withdraw", {}).status == 401


def test_decisions_are_conditional_listed_and_need_a_reason(server, asked):
    path = f"{APPLICATIONS}/{asked.id}"
    shown = server.call("GET", path)
    stale = server.call("POST", f"{path}/approve", {"reason": "x"}, headers={"If-Match": '"1"'})
    assert stale.status == 412
    good = {"If-Match": shown.headers["etag"]}
    assert server.call("POST", f"{path}/refuse", {"reason": "no"}, headers=good).status == 200
    assert server.call("POST", f"{path}/approve", {}).status == 422
    assert server.call("POST", f"{path}/suspend", {"reason": "x"}).status == 409
    listed = server.call("GET", f"{APPLICATIONS}?state=refused&q=example").json
    assert asked.id in {one["id"] for one in listed["applications"]}
    assert server.call("GET", f"{APPLICATIONS}/nosuch").status == 404
    assert server.call("PUT", f"{OWN}/nosuch/block").status == 404
