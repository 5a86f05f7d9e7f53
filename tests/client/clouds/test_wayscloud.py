"""WAYSCloud's client: who a key is, by the cloud's answers."""

from __future__ import annotations

import pytest
from tests.client.refusing import answer
from tests.client.test_spelling import jwt

from latchgate.client import AuthenticationFailed, PermissionDenied, Refused, Unreachable, WaysCloud
from latchgate.client.flow import Identity
from latchgate.client.message import Request, Response
from latchgate.client.shell import carry_out

SECRET = "XyZ789SecretKey"
KEY = f"wayscloud_storage_abc123_{SECRET}"
PROFILE = "/api/v1/dashboard/account/profile"
NO = {"error": "Invalid or expired API key", "code": "AUTH_FAILED"}
WHO = {"email": "a@b.example", "name": "Alice", "customer_id": "c-1", "customer_type": "main"}


def identified(
    key: str, answers: dict[str, Response]
) -> tuple[Identity | Exception, list[Request]]:
    """Ask who a key is where these are the answers by path; what came of it, and the requests."""
    cloud, asked = WaysCloud(key), []

    def ask(request: Request) -> Response:
        asked.append(request)
        return answers[request.url.removeprefix(cloud.url)]

    try:
        return carry_out(cloud, cloud.identify(), ask=ask), asked
    except (Refused, Unreachable) as error:
        return error, asked


def test_the_profile_says_who_it_is_and_neither_rights_nor_an_end_are_made_up():
    told, (asked,) = identified(KEY, {PROFILE: answer(200, WHO)})
    assert told == Identity("WAYSCloud", "a@b.example", "argument", None, None, WHO)
    assert (asked.method, dict(asked.headers)["Authorization"]) == ("GET", f"Bearer {KEY}")


def test_what_a_latchgate_says_beside_are_the_rights_and_the_end():
    more = {"scopes": ["storage:read"], "expires_at": "2027-01-01T00:00:00Z"}
    told, _ = identified(KEY, {PROFILE: answer(200, {**WHO, **more})})
    rights, end = ("storage:read",), 1_798_761_600.0
    assert told == Identity("WAYSCloud", "a@b.example", "argument", rights, end, WHO)


@pytest.mark.parametrize("told", [{"scopes": "all"}, {"scopes": [1]}, {"expires_at": "soon"}])
def test_rights_and_ends_that_can_t_be_read_are_none(told):
    who, _ = identified(KEY, {PROFILE: answer(200, {**WHO, **told})})
    assert isinstance(who, Identity)
    assert (who.rights, who.ends_at) == (None, None)


@pytest.mark.parametrize(
    ("who", "principal"),
    [
        ({**WHO, "email": None}, "Alice"),
        ({"customer_id": "c-1"}, "c-1"),
        ({"other": 1}, "wayscloud_storage_abc123"),
    ],
)
def test_whoever_has_no_address_is_known_by_what_there_is(who, principal):
    told, _ = identified(KEY, {PROFILE: answer(200, who)})
    assert isinstance(told, Identity)
    assert told.principal == principal


@pytest.mark.parametrize("refusal", [answer(status, NO) for status in (401, 403, 404, 405)])
@pytest.mark.parametrize("status", [200, 204, 403, 404])
def test_a_service_key_that_the_profile_is_refused_to_stands_if_its_service_answers(
    refusal, status
):
    told, asked = identified(KEY, {PROFILE: refusal, "/v1/storage/": answer(status)})
    assert isinstance(told, Identity)
    assert (told.principal, told.rights, told.ends_at) == ("wayscloud_storage_abc123", None, None)
    assert told.told == {
        "service": "storage",
        "asked": "GET /v1/storage/",
        "answered": str(status),
    }
    assert [request.method for request in asked] == ["GET", "GET"]


def test_a_page_for_people_is_no_profile():
    page = answer(200, b"<!DOCTYPE html><title>Dashboard</title>")
    told, _ = identified(KEY, {PROFILE: page, "/v1/storage/": answer(200)})
    assert isinstance(told, Identity)
    other, _ = identified("wayscloud_pat_ab_cd", {PROFILE: page})
    assert isinstance(other, Unreachable)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationFailed), (302, Refused), (429, Refused), (500, Refused), (503, Refused)],
)
def test_a_service_that_refuses_it_or_does_not_decide_says_nothing_good(status, kind):
    told, _ = identified(KEY, {PROFILE: answer(401, NO), "/v1/storage/": answer(status, NO)})
    assert isinstance(told, kind)
    assert told.status == status


@pytest.mark.parametrize("status", [302, 429, 500, 503])
def test_nobody_else_is_asked_where_the_profile_is_out_of_order(status):
    told, asked = identified(KEY, {PROFILE: answer(status)})
    assert isinstance(told, Refused)
    assert len(asked) == 1


@pytest.mark.parametrize("key", ["wayscloud_pat_ab_cd", "wayscloud_vps_ab_cd", "storage_ab_cd"])
def test_a_key_of_no_service_that_can_be_read_is_what_the_profile_says(key):
    told, asked = identified(key, {PROFILE: answer(401, NO)})
    assert type(told) is AuthenticationFailed
    told, _ = identified(key, {PROFILE: answer(403, NO)})
    assert type(told) is PermissionDenied
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("llm", "/v1/models"),
        ("database", "/v1/databases"),
        ("dns", "/v1/dns/zones"),
        ("gpu", "/v1/gpu/jobs"),
    ],
)
def test_each_service_is_asked_for_what_changes_nothing(service, path):
    key = f"wayscloud_{service}_abc123_{SECRET}"
    told, asked = identified(key, {PROFILE: answer(401, NO), path: answer(200)})
    assert isinstance(told, Identity)
    assert asked[1].method == "GET"


def test_a_key_that_is_not_made_as_documented_names_nothing_of_itself():
    for rest in ("onlyasecretofthirtycharacters", "longerthanits_secret"):
        told, _ = identified(
            f"wayscloud_storage_{rest}", {PROFILE: answer(401, NO), "/v1/storage/": answer(200)}
        )
        assert isinstance(told, Identity)
        assert told.principal == "a key"


def test_an_accounts_key_goes_where_the_clouds_own_tools_put_it():
    _, (asked,) = identified("wayscloud_api_ab_cd", {PROFILE: answer(200, WHO)})
    assert dict(asked.headers)["X-API-Key"] == "wayscloud_api_ab_cd"


def test_the_end_is_told_that_a_token_names_itself():
    told, _ = identified(jwt({"exp": 1_900_000_000}), {PROFILE: answer(200, WHO)})
    assert isinstance(told, Identity)
    assert told.ends_at == 1_900_000_000


def test_what_a_cloud_tells_is_made_fit_to_be_shown():
    who = {"email": f"{KEY}\x1b[2J", "list": [1], "flag": True, "none": None, "number": 1.5}
    told, _ = identified(KEY, {PROFILE: answer(200, who)})
    assert isinstance(told, Identity)
    assert told.principal == r"…\x1b[2J"
    assert told.told == {"email": r"…\x1b[2J", "flag": "true", "number": "1.5"}


def test_a_secret_that_was_rotated_is_told_to_end():
    said = {"deprecation": "@1790000000", "sunset": "Sun, 29 Nov 2026 15:00:00 GMT"}
    told, _ = identified(KEY, {PROFILE: answer(200, WHO, **said)})
    assert isinstance(told, Identity)
    assert told.told == WHO | said
    assert told.ends_at is None  # it may be the address that ends
