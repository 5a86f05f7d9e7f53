"""Debian's HAProxy checks access tokens offline, with the shipped configuration and our keys."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from tests.certificates import Authority
from tests.clients.oauth.provider import INTROSPECTION
from tests.e2e.stack import (
    ROOT,
    Program,
    Upstream,
    accepts,
    curl,
    environment,
    free_address,
    text_of,
)
from tests.oauth.authority import unchecked

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SHIPPED = ROOT / "deploy" / "haproxy"
UNCHANGED = 3
PATH = "/v1/storage/file"


class Haproxy(Program):
    """HAProxy in the foreground, with the shipped configuration and its EDIT lines filled in."""

    def __init__(self, folder: Path, issuer: str, behind: str) -> None:
        super().__init__("haproxy", folder)
        self.address = free_address()
        self.file = folder / "haproxy.cfg"
        text = (SHIPPED / "jwt.cfg.example").read_text(encoding="utf-8")
        edits = {
            "127.0.0.1:8080": text_of(self.address),
            "127.0.0.1:9000": behind,
            "https://login.example.com": issuer,
            "/etc/haproxy/latchgate": str(folder),
        }
        for shipped, own in edits.items():
            assert shipped in text
            text = text.replace(shipped, own)
        self.file.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.launch(["haproxy", "-db", "-f", self.file], lambda: accepts(self.address))

    def ask(self, token: str | None, method: str = "GET", *more: str):
        """Ask for a file with a token."""
        bearer = () if token is None else ("-H", f"Authorization: Bearer {token}")
        return curl("-X", method, *bearer, *more, f"http://{text_of(self.address)}{PATH}")


def keys(provider, folder: Path, believed: Path, *, status: int) -> str:
    """Run the shipped program that fetches the keys; it must exit with this status."""
    done = subprocess.run(
        [sys.executable, SHIPPED / "latchgate-keys", provider.issuer, folder, "--ca", believed],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done
    return done.stderr


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    with Upstream("echo", tmp_path_factory.mktemp("echo")) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def haproxy(provider, behind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("haproxy")
    keys(provider, folder, provider.authority.file, status=0)
    with Haproxy(folder, provider.issuer, text_of(behind.address)) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def robot(provider):
    return provider.robot("Backup")


@pytest.fixture(scope="module")
def token(provider, robot):
    """A token that nobody revokes, with both scopes."""
    return provider.access_token(robot)


INVALID = 'Bearer error="invalid_token"'


def test_a_token_passes_and_the_service_is_told_who_it_is_but_not_given_it(haproxy, token):
    claims = unchecked(token)[1]
    forged = ("-H", "X-Latchgate-User: root", "-H", "X_Latchgate_Scope: *")
    answer = haproxy.ask(token, "GET", *forged)
    assert answer.status == 200
    reached = [(name, value) for name, value in answer.json()["headers"] if "atchgate" in name]
    assert sorted(reached) == [
        ("x-latchgate-client", claims["client_id"]),
        ("x-latchgate-scope", "storage:read storage:write"),
        ("x-latchgate-user", claims["sub"]),
    ]
    assert token not in answer.body.decode()


def test_a_token_opens_what_its_scope_says(provider, haproxy, robot, token):
    assert haproxy.ask(token, "PUT").status == 200
    assert haproxy.ask(token, "DELETE").status == 403
    reading = provider.access_token(robot, scope="storage:read")
    assert haproxy.ask(reading).status == 200
    refused = haproxy.ask(reading, "PUT")
    assert (refused.status, refused.one("www-authenticate")) == (
        403,
        'Bearer error="insufficient_scope"',
    )


def test_without_a_token_a_client_is_asked_for_one(haproxy, token):
    for more in ((), ("-H", "Authorization: Basic dTpw")):
        refused = haproxy.ask(None, "GET", *more)
        assert refused.status == 401
        assert refused.one("www-authenticate").startswith("Bearer")
    twice = haproxy.ask(token, "GET", "-H", f"Authorization: Bearer {token}x")
    assert twice.status == 400


def test_a_token_that_ended_or_is_for_somebody_else_is_refused(provider, haproxy, token):
    now = int(time.time())
    assert haproxy.ask(provider.signed(token, exp=now + 60)).status == 200
    others = (
        {"exp": now - 1},
        {"exp": "never"},
        {"aud": "elsewhere"},
        {"iss": provider.issuer + "/"},
        {"iss": "https://login.example.com"},
    )
    for changed in others:
        refused = haproxy.ask(provider.signed(token, **changed))
        assert (refused.status, refused.one("www-authenticate")) == (401, INVALID), changed
    lasting = unchecked(token)[1]
    for missing in ("exp", "iss", "aud"):
        left = {name: value for name, value in lasting.items() if name != missing}
        assert haproxy.ask(provider.signer().sign(left, typ="at+jwt")).status == 401, missing
    assert haproxy.ask(provider.signer().sign(lasting, typ="JWT")).status == 401


def test_a_token_that_was_altered_or_signed_by_somebody_else_is_refused(haproxy, token):
    head, body, mark = token.split(".")
    told, claims = unchecked(token)
    theirs = ECKey.generate_key("P-256")
    public = (haproxy.folder / "key-1.pem").read_bytes()
    forged = [
        f"{head}.{body[:-4]}AAAA.{mark}",
        f"{head}.{body}.{mark[:-4]}AAAA",
        f"{head}.{body}.",
        f"{head}.{body}",
        jwt.encode(told, claims, theirs, algorithms=["ES256"]),
        # The public key taken for a shared secret, and the name of its file, too.
        shared(told, body, public),
        shared(told, body, str(haproxy.folder / "key-1.pem").encode()),
        f"{spelled(json.dumps(told | {'alg': 'none'}).encode())}.{body}.",
    ]
    for text in forged:
        refused = haproxy.ask(text)
        assert (refused.status, refused.one("www-authenticate")) == (401, INVALID), text


def shared(told: dict[str, object], body: str, secret: bytes) -> str:
    """Return claims signed with what a careless verifier would take for a shared secret."""
    signed = f"{spelled(json.dumps(told | {'alg': 'HS256'}).encode())}.{body}"
    return f"{signed}.{spelled(hmac.digest(secret, signed.encode(), 'sha256'))}"


def spelled(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_offline_a_revoked_token_passes_until_it_ends_and_latchgate_refuses_it_at_once(
    provider, haproxy, robot
):
    token = provider.access_token(robot)
    api = provider.client("Looks at tokens", INTROSPECTION)
    asked = {"token": token}
    assert provider.posted("/oauth/introspect", api, asked)["active"]
    provider.posted("/oauth/revoke", robot, asked)
    assert provider.posted("/oauth/introspect", api, asked) == {"active": False}
    assert haproxy.ask(token).status == 200
    assert haproxy.ask(provider.signed(token, exp=int(time.time()) - 1)).status == 401


def test_keys_are_replaced_without_a_refusal(provider, haproxy, robot, token):
    keys(provider, haproxy.folder, provider.authority.file, status=UNCHANGED)
    before = unchecked(token)[0]["kid"]
    provider.replace_keys()
    after = provider.access_token(robot)
    assert unchecked(after)[0]["kid"] != before
    # HAProxy has not been told: the key that signs now was published before.
    assert haproxy.ask(after).status == 200
    keys(provider, haproxy.folder, provider.authority.file, status=0)
    haproxy.stop()
    haproxy.start()
    assert [haproxy.ask(one).status for one in (token, after)] == [200, 200]


def test_keys_that_cannot_be_had_change_nothing(provider, haproxy, tmp_path):
    held = {file.name: file.read_bytes() for file in haproxy.folder.glob("*.pem")}
    strange = Authority(tmp_path / "strange", "Somebody else")
    said = keys(provider, haproxy.folder, strange.file, status=1)
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert {file.name: file.read_bytes() for file in haproxy.folder.glob("*.pem")} == held
