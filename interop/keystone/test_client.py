"""KakaoCloud's client against a real Keystone, which is what KakaoCloud's identity API is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import pytest
from tests.clients.identity import Identity
from tests.e2e.stack import curl
from tests.world import until

from latchgate.client import AuthenticationFailed, KakaoCloud, KeyRevoked, PermissionDenied, Refused
from latchgate.client.adapters.urllib import Opener, check
from latchgate.client.token_cache import TokenCache

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Key:
    """An access key of alice's."""

    id: str
    name: str
    secret: str


def asked(identity: Identity, method: str, path: str, token: str, sent: object = None) -> Any:
    """Ask with a token, and return what was told."""
    words = ["-X", method, f"{identity.url}{path}", "-H", f"X-Auth-Token: {token}"]
    if path == "/auth/tokens":
        words += ["-H", f"X-Subject-Token: {token}"]
    if sent is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(sent)]
    told = curl(*words)
    assert told.status < 300, told.body
    return told.json() if told.body else None


def logged_in(identity: Identity) -> str:
    """Log alice in by her password, and return the token."""
    how = {"user": {"id": identity.alice.id, "password": identity.alice.password}}
    auth = {
        "identity": {"methods": ["password"], "password": how},
        "scope": {"project": {"id": identity.alice.project_id}},
    }
    told = curl(
        f"{identity.url}/auth/tokens",
        *("-H", "Content-Type: application/json", "-d", json.dumps({"auth": auth})),
    )
    assert told.status == 201, told.body
    return str(told.one("X-Subject-Token"))


def made(identity: Identity, **fields: object) -> Key:
    """Make an access key."""
    name = f"key {next(_numbers)}"
    path = f"/users/{identity.alice.id}/application_credentials"
    sent = {"application_credential": {"name": name, **fields}}
    told = asked(identity, "POST", path, logged_in(identity), sent)["application_credential"]
    return Key(told["id"], name, told["secret"])


def deleted(identity: Identity, *ids: str) -> None:
    """Delete access keys."""
    token = logged_in(identity)
    for one in ids:
        path = f"/users/{identity.alice.id}/application_credentials/{one}"
        asked(identity, "DELETE", path, token)


def left(identity: Identity) -> list[str]:
    """Return the ids of the access keys that there are."""
    path = f"/users/{identity.alice.id}/application_credentials"
    told = asked(identity, "GET", path, logged_in(identity))
    return [one["id"] for one in told["application_credentials"]]


def held(cloud: KakaoCloud) -> str:
    """Return the token that a client holds now."""
    assert cloud.renewal.held is not None
    return cloud.renewal.held.value.reveal()


def sent(cloud: KakaoCloud, path: str, method: str = "GET") -> int:
    """Send a request with the client's token, and return its status; a refusal is raised."""
    request = Request(f"{cloud.url}{path}", method=method)  # noqa: S310 - a server of the test's
    try:
        with Opener(cloud).open(request) as answer:
            return int(answer.status)
    except HTTPError as error:
        check(cloud, error)
        raise


@pytest.fixture
def identity(theirs: Identity) -> Iterator[Identity]:
    """A real Keystone, which other tests compare with: nothing made here is left in it."""
    yield theirs
    deleted(theirs, *left(theirs))


def stopped(cloud: KakaoCloud, path: str) -> bool:
    """Whether a request is refused by now."""
    try:
        sent(cloud, path)
    except Refused:
        return True
    return False


def projects(identity: Identity) -> str:
    """Return the path of what everybody may list: their own projects."""
    return f"/users/{identity.alice.id}/projects"


def test_an_access_key_is_exchanged_by_id_and_by_name_and_validated(identity):
    key = made(identity, roles=[{"name": "reader"}], expires_at="2090-01-02T03:04:05Z")
    for cloud in (
        KakaoCloud(key.id, key.secret, url=identity.url, cache=None),
        KakaoCloud(
            access_key_name=key.name,
            secret=key.secret,
            user_id=identity.alice.id,
            url=identity.url.removesuffix("/v3"),
            cache=None,
        ),
    ):
        assert sent(cloud, projects(identity)) == 200
        told = Opener(cloud).run(cloud.identify())
        assert (told.cloud, told.principal, told.rights) == ("KakaoCloud", "alice", ("reader",))
        assert told.ends_at == 3_787_009_445
        assert told.told["project_id"] == identity.alice.project_id
        assert (told.told["access_key_id"], told.told["access_key_name"]) == (key.id, key.name)
        # The server's own clock says how long the token lasts.
        token = cloud.renewal.held
        assert token is not None
        assert 0 < token.ends_at - token.got_at <= 12 * 3600


def test_another_process_finds_the_token_in_the_cache(identity, tmp_path):
    key = made(identity)
    cache = TokenCache(tmp_path / "tokens")
    one, other = (KakaoCloud(key.id, key.secret, url=identity.url, cache=cache) for _ in range(2))
    assert [sent(cloud, projects(identity)) for cloud in (one, other)] == [200, 200]
    assert held(one) == held(other)


def test_a_revoked_token_is_replaced_by_the_next_request(identity):
    key = made(identity)
    cloud = KakaoCloud(key.id, key.secret, url=identity.url, cache=None)
    assert sent(cloud, projects(identity)) == 200
    first = held(cloud)
    asked(identity, "DELETE", "/auth/tokens", first)
    assert sent(cloud, projects(identity)) == 200
    assert held(cloud) != first


def test_a_revoked_token_is_replaced_by_identify(identity):
    key = made(identity)
    cloud = KakaoCloud(key.id, key.secret, url=identity.url, cache=None)
    Opener(cloud).run(cloud.identify())
    first = held(cloud)
    asked(identity, "DELETE", "/auth/tokens", first)
    assert Opener(cloud).run(cloud.identify()).principal == "alice"
    assert held(cloud) != first


def test_a_wrong_secret_and_an_unknown_id_are_told_alike(identity):
    key = made(identity)
    told = []
    # Keystone looks at the first 72 bytes of a secret alone.
    wrong = ("A" if key.secret[0] != "A" else "B") + key.secret[1:]
    for words in ((key.id, wrong), ("0" * 32, key.secret)):
        cloud = KakaoCloud(*words, url=identity.url, cache=None)
        with pytest.raises(AuthenticationFailed) as caught:
            sent(cloud, projects(identity))
        assert type(caught.value) is AuthenticationFailed
        assert words[1] not in str(caught.value)
        told.append(caught.value.meaning)
    assert told[0] == told[1]
    assert "its id or its secret is wrong" in str(told[0])


def test_a_deleted_access_key_is_revoked(identity):
    key = made(identity)
    cloud = KakaoCloud(key.id, key.secret, url=identity.url, cache=None)
    assert sent(cloud, projects(identity)) == 200
    deleted(identity, key.id)
    # Keystone remembers for a moment what it once looked up.
    until(lambda: stopped(cloud, projects(identity)), seconds=30, what="the end of its token")
    with pytest.raises(KeyRevoked, match="the access key was deleted"):
        sent(cloud, projects(identity))
    with pytest.raises(KeyRevoked, match="the access key itself is refused now"):
        Opener(cloud).run(cloud.identify())


def test_what_a_role_may_not_do_is_denied(identity):
    key = made(identity, roles=[{"name": "reader"}])
    cloud = KakaoCloud(key.id, key.secret, url=identity.url, cache=None)
    with pytest.raises(PermissionDenied) as caught:
        sent(cloud, "/users")
    assert (caught.value.status, caught.value.code) == (403, "Forbidden")
    assert "identity:list_users" in caught.value.message
    assert str(caught.value.request_id).startswith("req-")


def test_its_other_refusals_are_read_as_well(identity):
    key = made(identity)
    cloud = KakaoCloud(key.id, key.secret, url=identity.url, cache=None)
    with pytest.raises(Refused) as caught:
        sent(cloud, f"/users/{identity.alice.id}/application_credentials/deadbeef")
    assert type(caught.value) is Refused
    assert caught.value.code == "Not Found"
    assert caught.value.message == "Could not find Application Credential: deadbeef."
