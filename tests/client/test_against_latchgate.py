"""The clouds' clients against a real Latchgate that serves these clouds, behind nginx.

Right, wrong, revoked meanwhile, expired, from elsewhere, without the scope, with roles that
change: each is the typed error that it should be, and Latchgate explains it by its id.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import warnings
from collections.abc import Iterator
from urllib.error import HTTPError

import httpx
import pytest
from tests.client.place import Person, Place, asking, opened, refusal, sent, stopped
from tests.client.test_spelling import jwt
from tests.world import http_request, until

from latchgate.client import (
    AuthenticationFailed,
    KakaoCloud,
    KeyExpired,
    KeyRevoked,
    PermissionDenied,
    Refused,
    UpCloud,
    WaysCloud,
)
from latchgate.client.adapters.httpx import AsyncTransport
from latchgate.client.adapters.httpx import check as check_httpx
from latchgate.client.adapters.urllib import Opener, check

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ELSEWHERE = ["203.0.113.0/24"]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(tmp_path_factory.mktemp("place")) as made:
        yield made


# --- WAYSCloud


def test_wayscloud_a_right_key_opens_and_says_who_it_is(place):
    cloud = WaysCloud(place.server.key("storage").text, url=place.gateway)
    assert sent(cloud, f"{place.gateway}/v1/storage/bucket/object") == 200
    who = place.server.call("GET", "/manage/v1/account")
    told = Opener(cloud).run(cloud.identify())
    assert (told.cloud, told.principal, told.source) == ("WAYSCloud", "admin", "argument")
    assert (told.rights, told.ends_at) == (
        ("storage:delete", "storage:read", "storage:write"),
        None,
    )
    assert told.told["customer_id"] == who["tenant_id"]


def test_wayscloud_a_wrong_key_and_one_revoked_meanwhile_fail(place):
    key = place.server.key("storage")
    path = f"{place.gateway}/v1/storage/bucket/object"
    wrong = refusal(WaysCloud(key.text[:-4] + "0000", url=place.gateway), path)
    assert type(wrong) is AuthenticationFailed
    assert (wrong.status, wrong.code) == (401, "AUTH_FAILED")
    assert wrong.message == "Invalid or expired API key"

    cloud = WaysCloud(key.text, url=place.gateway)
    assert sent(cloud, path) == 200
    place.server.revoke(key)
    revoked = refusal(cloud, path)
    assert type(revoked) is AuthenticationFailed
    assert place.reason(revoked) == "credential_revoked"
    with pytest.raises(AuthenticationFailed, match="AUTH_FAILED"):
        Opener(cloud).run(cloud.identify())


def test_wayscloud_a_key_that_was_rotated_stands_and_is_told_to_end(place):
    key = place.server.key("storage")
    rotation = place.server.call("POST", f"/manage/v1/keys/{key.id}/rotation", {"grace": "7d"})
    old, new = (WaysCloud(text, url=place.gateway) for text in (key.text, rotation["secret"]))
    told = Opener(old).run(old.identify())
    assert told.told["deprecation"].startswith("@")
    assert told.told["sunset"].endswith(" GMT")
    assert "sunset" not in Opener(new).run(new.identify()).told


def test_wayscloud_a_key_from_elsewhere_stands_and_is_refused(place):
    key = place.server.key("storage", allowed_ip_ranges=ELSEWHERE)
    cloud = WaysCloud(key.text, url=place.gateway)
    error = refusal(cloud, f"{place.gateway}/v1/storage/bucket/object")
    assert type(error) is PermissionDenied
    assert (error.code, error.scope) == ("INSUFFICIENT_PERMISSIONS", None)
    assert place.reason(error) == "network_not_allowed"
    told = Opener(cloud).run(cloud.identify())
    assert told.principal == key.text.removesuffix(f"_{key.secret}")
    assert (told.rights, told.ends_at) == (None, None)
    assert told.told == {"service": "storage", "asked": "GET /v1/storage/", "answered": "403"}


def test_wayscloud_what_a_key_lacks_is_named(place):
    cloud = WaysCloud(place.server.key("storage", scopes=["storage:read"]).text, url=place.gateway)
    error = refusal(cloud, f"{place.gateway}/v1/storage/bucket/object", "DELETE")
    assert type(error) is PermissionDenied
    assert error.scope == "storage:delete"
    assert "it takes the scope storage:delete" in str(error)
    assert place.reason(error) == "scope_not_granted"


def test_a_token_whose_own_time_is_over_is_told_to_have_expired(place):
    over = WaysCloud(jwt({"exp": int(time.time()) - 3600}), url=place.gateway)
    assert type(refusal(over, f"{place.gateway}/v1/storage/bucket/object")) is KeyExpired
    live = WaysCloud(jwt({"exp": int(time.time()) + 3600}), url=place.gateway)
    assert type(refusal(live, f"{place.gateway}/v1/storage/bucket/object")) is AuthenticationFailed


# --- Latchgate's management API, which says which it is


def test_the_management_api_says_revoked_and_expired(place):
    account = f"{place.api}/manage/v1/account"
    key = place.server.key("own")
    cloud = WaysCloud(key.text, url=place.api)
    assert sent(cloud, account) == 200
    place.server.revoke(key)
    revoked = refusal(cloud, account)
    assert type(revoked) is KeyRevoked
    assert (revoked.code, revoked.message) == ("credential_revoked", "The credential was revoked.")

    key = place.server.key("own")
    cloud = WaysCloud(key.text, url=place.api)
    place.end(key.id)
    until(lambda: stopped(cloud, account), seconds=30, what="the key's end")
    expired = refusal(cloud, account)
    assert type(expired) is KeyExpired
    assert expired.code == "credential_expired"
    assert place.reason(expired) == "credential_expired"


def test_the_management_api_names_the_fields_at_fault(place):
    cloud = WaysCloud(place.server.token, url=place.api)
    body = {"name": "x", "services": ["gpus"]}
    with pytest.raises(HTTPError) as caught:
        Opener(cloud).open(asking(f"{place.api}/manage/v1/keys", "POST", body))
    with pytest.raises(Refused) as refused:
        check(cloud, caught.value)
    told = refused.value
    assert (told.status, told.code) == (422, "invalid")
    ((part, why),) = told.faults
    assert part == "services"
    assert why.startswith("unknown: gpus; ")


# --- UpCloud


def token(place: Place, *words: str) -> tuple[str, str]:
    """Make an API token with the command that the provider's own has; its id and its text."""
    told = place.server.json(
        "account", "token", "create", "--name", "a test's", "--expires-in", "1h", *words
    )
    return told["id"], told["token"]


def test_upcloud_a_token_opens_says_who_it_is_and_nothing_more(place):
    cloud = UpCloud(token(place)[1], url=place.api)
    assert sent(cloud, f"{place.api}/1.3/account") == 200
    told = Opener(cloud).run(cloud.identify())
    assert (told.cloud, told.principal) == ("UpCloud", "admin")
    assert (told.rights, told.ends_at) == (None, None)


def test_upcloud_a_wrong_token_and_one_deleted_meanwhile_fail(place):
    identifier, text = token(place)
    account = f"{place.api}/1.3/account"
    wrong = refusal(UpCloud("ucat_" + "0" * 26, url=place.api), account)
    assert type(wrong) is AuthenticationFailed
    assert (wrong.status, wrong.code) == (401, "AUTHENTICATION_FAILED")

    cloud = UpCloud(text, url=place.api)
    assert sent(cloud, account) == 200
    place.server.run("account", "token", "delete", identifier)
    assert place.reason(refusal(cloud, account)) == "credential_revoked"
    with pytest.raises(AuthenticationFailed, match="AUTHENTICATION_FAILED"):
        Opener(cloud).run(cloud.identify())


def test_where_the_cloud_does_not_say_that_a_credentials_time_is_over_latchgate_explains_it(place):
    identifier, text = token(place)
    key = place.server.key("storage")
    for cloud, url, record in (
        (UpCloud(text, url=place.api), f"{place.api}/1.3/account", identifier),
        (WaysCloud(key.text, url=place.gateway), f"{place.gateway}/v1/storage/a/b", key.id),
    ):
        assert sent(cloud, url) == 200
        place.end(record)
        until(lambda: stopped(cloud, url), seconds=30, what="its end")  # noqa: B023 - at once
        error = refusal(cloud, url)
        assert type(error) is AuthenticationFailed
        assert place.reason(error) == "credential_expired"


def test_upcloud_a_token_may_lack_the_right_or_the_address(place):
    reads = UpCloud(token(place, "--scope", "upcloud:read")[1], url=place.api)
    error = refusal(reads, f"{place.api}/1.3/account/tokens/{'0' * 32}", "DELETE")
    assert type(error) is PermissionDenied
    # A problem document: its code is in the type's fragment.
    assert (error.code, error.scope) == ("ACTION_FORBIDDEN", "upcloud:account")
    assert error.request_id is not None
    assert place.reason(error) == "scope_not_granted"

    elsewhere = UpCloud(token(place, "--allow-ip-range", ELSEWHERE[0])[1], url=place.api)
    error = refusal(elsewhere, f"{place.api}/1.3/account")
    assert type(error) is PermissionDenied
    assert place.reason(error) == "network_not_allowed"


def test_upcloud_says_the_same_in_xml(place):
    cloud = UpCloud("ucat_" + "0" * 26, url=place.api)
    with pytest.raises(HTTPError) as caught:
        Opener(cloud).open(asking(f"{place.api}/1.3/account", Accept="application/xml"))
    assert caught.value.headers["Content-Type"].startswith("application/xml")
    with pytest.raises(AuthenticationFailed) as refused:
        check(cloud, caught.value)
    assert refused.value.code == "AUTHENTICATION_FAILED"


def test_upcloud_a_subaccounts_password_opens_and_warns(place):
    main = UpCloud(token(place, "--can-create-tokens")[1], url=place.api)
    name, password = f"sub_{next(_numbers)}", "mysecr3tPassword of otters"
    account = {"username": name, "password": password, "allow_api": "yes", "email": "a@b.example"}
    asked = asking(f"{place.api}/1.3/account/sub", "POST", {"sub_account": account})
    with Opener(main).open(asked) as answer:
        assert answer.status == 204
    with pytest.warns(DeprecationWarning, match="make an API token instead"):
        sub = UpCloud(username=name, password=password, url=place.api)
    assert Opener(sub).run(sub.identify()).principal == name
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        wrong = UpCloud(username=name, password="Another1Password", url=place.api)
    error = refusal(wrong, f"{place.api}/1.3/account")
    assert type(error) is AuthenticationFailed
    assert error.code == "AUTHENTICATION_FAILED"


# --- KakaoCloud


def held(cloud: KakaoCloud) -> str:
    """Return the token that a client holds now."""
    assert cloud.renewal.held is not None
    return cloud.renewal.held.value.reveal()


@pytest.fixture
def servers(place) -> str:
    """A path of a service that project tokens open."""
    return f"{place.gateway}/compute/v2.1/servers"


def test_kakaocloud_an_access_key_opens_by_id_and_by_name_and_says_who_it_is(place, servers):
    person = Person.made(place, "member")
    by_name = {"access_key_id": None, "access_key_name": "deploy", "user_id": person.id}
    for cloud in (person.cloud(), person.cloud(**by_name)):
        assert sent(cloud, servers) == 200
        assert sent(cloud, servers, "POST") == 200
        told = Opener(cloud).run(cloud.identify())
        assert (told.principal, told.rights) == (person.name, ("member", "reader"))
        assert told.ends_at is None
        assert told.told["project_id"] == person.project
        assert told.told["access_key_id"] == person.key["id"]
        assert told.told["token_expires_at"].endswith("Z")


def test_kakaocloud_the_access_keys_own_end_is_told_where_it_has_one(place):
    person = Person.made(place, "reader")
    sent = {"name": "mortal", "expires_at": "2090-01-02T03:04:05Z"}
    person.key = person.call("POST", "", {"application_credential": sent})
    cloud = person.cloud()
    assert Opener(cloud).run(cloud.identify()).ends_at == 3_787_009_445


def test_kakaocloud_a_wrong_secret_and_an_unknown_id_say_that_the_key_is_refused(place, servers):
    person = Person.made(place, "reader")
    wrong = person.key["secret"][:9] + "AAAA" + person.key["secret"][13:]
    for more in ({"secret": wrong}, {"access_key_id": "0" * 32}):
        with pytest.raises(AuthenticationFailed) as caught:
            sent(person.cloud(**more), servers)
        error = caught.value
        assert type(error) is AuthenticationFailed
        assert (error.status, error.code) == (401, "Unauthorized")
        assert error.message == "The request you have made requires authentication."
        assert "its id or its secret is wrong" in str(error)
        assert wrong not in str(error)


def test_kakaocloud_what_a_role_lacks_is_denied(place, servers):
    error = refusal(Person.made(place, "reader").cloud(), servers, "POST")
    assert type(error) is PermissionDenied
    assert (error.status, error.code) == (403, "Forbidden")
    assert place.reason(error) == "owner_lacks_scope"


def test_kakaocloud_a_token_that_was_deleted_is_replaced_once(place, servers):
    cloud = Person.made(place, "reader").cloud()
    assert sent(cloud, servers) == 200
    first = held(cloud)
    both = {"X-Auth-Token": first, "X-Subject-Token": first}
    url = f"{place.identity.url}/auth/tokens"
    assert http_request("DELETE", url, headers=both).status == 204
    assert sent(cloud, servers) == 200
    second = held(cloud)
    assert second != first
    both = {"X-Auth-Token": second, "X-Subject-Token": second}
    assert http_request("DELETE", url, headers=both).status == 204
    # It came for a refused one just now, so no third is fetched, and the refusal is what it is.
    assert type(refusal(cloud, servers)) is AuthenticationFailed


def test_kakaocloud_identify_replaces_a_token_that_is_dead_early(place):
    cloud = Person.made(place, "reader").cloud()
    Opener(cloud).run(cloud.identify())
    first = held(cloud)
    both = {"X-Auth-Token": first, "X-Subject-Token": first}
    assert http_request("DELETE", f"{place.identity.url}/auth/tokens", headers=both).status == 204
    assert Opener(cloud).run(cloud.identify()).rights == ("reader",)
    assert held(cloud) != first


def test_kakaocloud_rights_shrink_with_the_role_and_end_with_the_last(place, servers):
    person = Person.made(place, "member", "reader")
    cloud = person.cloud()
    opener = Opener(cloud)
    assert sent(cloud, servers, "POST") == 200
    assert opener.run(cloud.identify()).rights == ("member", "reader")
    person.take("member")
    error = refusal(cloud, servers, "POST")
    assert type(error) is PermissionDenied
    assert sent(cloud, servers) == 200
    assert opener.run(cloud.identify()).rights == ("reader",)
    person.take("reader")
    for attempt in (lambda: sent(cloud, servers), lambda: opener.run(cloud.identify())):
        with pytest.raises(AuthenticationFailed, match="its user has no role in the project any"):
            attempt()


def test_kakaocloud_tasks_share_one_token_and_read_the_same_refusals(place, servers):
    person = Person.made(place, "reader")
    cloud = person.cloud()

    async def ask() -> tuple[set[int], Refused]:
        async with AsyncTransport(cloud) as over, httpx.AsyncClient(transport=over) as client:
            answers = await asyncio.gather(*(client.get(servers) for _ in range(20)))
            who = await over.run(cloud.identify())
            assert who.rights == ("reader",)
            with pytest.raises(Refused) as caught:
                check_httpx(cloud, await client.post(servers))
            return {answer.status_code for answer in answers}, caught.value

    statuses, error = asyncio.run(ask())
    assert statuses == {200}
    assert type(error) is PermissionDenied
    assert place.reason(error) == "owner_lacks_scope"


def test_kakaocloud_an_access_key_whose_time_is_over_is_refused_itself(place, servers):
    person = Person.made(place, "reader")
    cloud = person.cloud()
    assert sent(cloud, servers) == 200
    place.end(person.key["id"])
    until(lambda: stopped(cloud, servers), seconds=30, what="its end")
    with pytest.raises(AuthenticationFailed, match="the access key itself is refused now") as told:
        sent(cloud, servers)
    assert "or has expired" in str(told.value)


def test_kakaocloud_a_deleted_access_key_is_told_apart_from_a_tokens_end(place, servers):
    person = Person.made(place, "reader")
    cloud = person.cloud()
    assert sent(cloud, servers) == 200
    person.delete_key()
    for attempt in (
        lambda: sent(cloud, servers),
        lambda: Opener(cloud).run(cloud.identify()),
    ):
        with pytest.raises(AuthenticationFailed) as caught:
            attempt()
        assert str(caught.value).startswith(
            "KakaoCloud: the access key itself is refused now, not its token alone: it was deleted"
        )
        assert (caught.value.status, caught.value.code) == (401, "Unauthorized")
        assert person.key["secret"] not in str(caught.value)
