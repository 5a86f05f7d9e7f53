"""Access tokens in a decision: forged ones, and what takes effect at once on our own areas."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

import msgspec
import pytest
from tests.core.worlds import (
    NOW,
    OWNER,
    PROJECT,
    ROLE,
    TENANT,
    changed,
    credential,
    decide,
    entropy,
    request,
    service_key,
    without,
    world,
)

from latchgate import providers
from latchgate.core.answer import refusal
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.oauth_token import OauthToken
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Application, Key, SigningKey, User
from latchgate.core.network import Networks
from latchgate.core.policy_file import with_built_in
from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.keyring.jwt import public_jwk, unseal_jwt
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, draw
from latchgate.tokens.access import TokenSpec, draft, sign
from latchgate.verify.cache import Cache

ISSUER = "https://login.example"
FILES = {"teracloud.toml": providers.text("teracloud.toml")}
POLICY = with_built_in(
    FILES,
    providers.text(providers.BUILT_IN),
    version=3,
    given={"oauth_token": {"issuer": ISSUER}},
)
KIND = next(kind for kind in POLICY.kinds.values() if isinstance(kind, OauthToken))
SERVICE_KEYS = next(kind for kind in POLICY.kinds.values() if isinstance(kind, ServiceKey))
MASTER = MasterKey(bytes(range(32)))
SEALED = draw(Purpose.OAUTH, MASTER, secrets.token_bytes)
SIGNER = unseal_jwt(SEALED, MASTER)
KEY = SigningKey(SEALED.id, "oauth", SEALED.public, None)
APPLICATION = Application(id="app-1", name="Photos", approved=True)
ADA: User = changed(OWNER, roles=(("p-web", ROLE.id),))
HELD = changed(ROLE, scopes=Scopes.of(["dav:read", "dav:write"]))
_ISSUED = AccessKey.configured("x.access_key", {})
GRANT = changed(
    credential(
        _ISSUED.issue(Spec(service=""), entropy(1, _ISSUED.entropy_bytes)),
        _ISSUED,
        services=None,
        scopes=Scopes.of(["dav:read", "dav:write"]),
        issues=False,
    ),
    kind="latchgate.oauth_grant",
    application_id="app-1",
)


def minted(source=GRANT, signer=SIGNER, scopes=("dav:read", "openid"), **change: Any):
    """Return a token's text; `change` are claims that it shall have instead."""
    spec = TokenSpec("client-1", Scopes.of(scopes))
    claims = draft(KIND, source, spec, now=NOW - 100, entropy=secrets.token_bytes)
    return sign(msgspec.structs.replace(claims, **change), signer).reveal()


TEXT = minted()


def records(*more, grant=GRANT, user=ADA, role=HELD, key=KEY, application=APPLICATION):
    return world(grant, user, role, key, application, *more)


def ask(text=TEXT, known=None, method="GET", **more):
    headers = {"authorization": f"Bearer {text}"}
    asked = request(method, "/v2/dav/x", headers, tls=True)
    return decide(asked, records() if known is None else known, policy=POLICY, **more)


def signed(header, claims, signer=SIGNER):
    """Sign any header: what a key of ours might have signed for something else."""
    text = signer.sign(claims, typ=header.get("typ", "at+jwt"))
    assert header == json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    return text


def said(text=TEXT):
    return json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))


def spell(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_token_opens_what_it_names_its_grant_holds_and_its_owner_may():
    found = ask()
    assert found.allowed
    assert found.grant.owner == ADA
    assert found.grant.application == APPLICATION
    held = found.grant.credential
    assert (held.id, held.source_id, held.minted) == (said()["jti"], GRANT.id, True)
    assert ask(method="PUT").reason is Reason.SCOPE_NOT_GRANTED
    assert ask(minted(scopes=("dav:write",)), method="PUT").allowed


def test_a_signature_is_checked_once_while_it_is_remembered():
    cache = Cache(1)
    needed: list[Key] = []
    assert ask(cache=cache).allowed
    assert ask(cache=cache, known={}, needed=needed).allowed
    assert needed == []


# --- forged


def test_a_token_that_no_key_of_ours_signed_names_nobody():
    other = unseal_jwt(draw(Purpose.OAUTH, MASTER, secrets.token_bytes), MASTER)
    assert ask(minted(signer=other)).reason is Reason.CREDENTIAL_UNKNOWN
    assert ask(known=without(records(), KEY)).reason is Reason.CREDENTIAL_UNKNOWN
    for wrong in ({"purpose": "token"}, {"purpose": "audit"}, {"public": bytes(65)}):
        assert ask(known=records(key=changed(KEY, **wrong))).reason is Reason.CREDENTIAL_UNKNOWN


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "ES384"])
def test_no_other_algorithm_is_taken_whatever_it_was_signed_with(algorithm):
    header = {"alg": algorithm, "kid": SEALED.id, "typ": "at+jwt"}
    message = f"{spell(json.dumps(header).encode())}.{TEXT.split('.')[1]}"
    # The public key taken for a shared secret: of its point, and of its JWK.
    told = json.dumps(public_jwk(SEALED.public, SEALED.id)).encode()
    shared = [hmac.digest(one, message.encode(), hashlib.sha256) for one in (SEALED.public, told)]
    for mark in (b"", bytes(64), *shared, *(one * 2 for one in shared)):
        found = ask(f"{message}.{spell(mark)}")
        assert not found.allowed
        assert refusal(found).status == 401


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "jwt", ""])
def test_what_we_signed_for_something_else_is_no_access_token(typ):
    header = {"alg": "ES256", "kid": SEALED.id, "typ": typ}
    found = ask(signed(header, said()))
    assert found.reason is Reason.CREDENTIAL_MALFORMED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "https://other.example"}, Reason.CREDENTIAL_NOT_ACCEPTED),
        ({"iss": ISSUER + "/"}, Reason.CREDENTIAL_NOT_ACCEPTED),
        ({"aud": "another"}, Reason.CREDENTIAL_MALFORMED),
        ({"aud": "client-1"}, Reason.CREDENTIAL_MALFORMED),
        ({"exp": int(NOW)}, Reason.CREDENTIAL_EXPIRED),
        ({"exp": int(NOW) - 1}, Reason.CREDENTIAL_EXPIRED),
        ({"grant_id": "nothing"}, Reason.CREDENTIAL_UNKNOWN),
    ],
)
def test_a_token_for_somebody_else_or_of_another_time_is_refused(change, reason):
    found = ask(minted(**change))
    assert found.reason is reason
    assert refusal(found).status == 401


def test_another_spelling_of_the_same_token_is_refused_warm_and_cold():
    cache = Cache(1)
    assert ask(cache=cache).allowed
    head, body, mark = TEXT.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = mark[:-1] + last[(last.index(mark[-1]) + 1) % 64]
    # A signature's other half-way twin verifies as well as the first: r and n - s.
    raw = base64.urlsafe_b64decode(mark + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    for text in (
        f"{head}.{body}.{other}",
        f"{head}.{body}.{mark}=",
        f"{head}.{body}.{spell(twin)}",
    ):
        assert not ask(text, cache=cache).allowed
    for text in (f"{head}.{body}.{other}", f"{head}.{body}.{mark}="):
        assert not ask(text).allowed


def test_a_retired_key_signs_nothing_new_and_what_it_signed_stays():
    for retired_at in (NOW - 50, NOW + 50):
        assert ask(known=records(key=changed(KEY, retired_at=retired_at))).allowed
    gone = records(key=changed(KEY, retired_at=NOW - 161))
    assert ask(known=gone).reason is Reason.CREDENTIAL_UNKNOWN


@pytest.mark.parametrize(
    ("scope", "methods"),
    [
        ("dav:read", ("GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT")),
        ("dav:write", ("PUT", "POST", "MKCOL", "PROPPATCH", "COPY", "MOVE", "LOCK", "UNLOCK")),
        ("dav:delete", ("DELETE",)),
    ],
)
def test_each_method_opens_to_its_own_scope_and_to_no_other(scope, methods):
    everything = changed(ROLE, scopes=Scopes.of(["*"]))
    wide = changed(GRANT, scopes=Scopes.of(["dav:read", "dav:write", "dav:delete", "account:read"]))
    known = records(grant=wide, role=everything)
    others = [one for one in wide.scopes.names if one != scope]
    for method in methods:
        assert ask(minted(source=wide, scopes=(scope,)), known, method).allowed
        found = ask(minted(source=wide, scopes=others), known, method)
        assert found.reason is Reason.SCOPE_NOT_GRANTED


# --- what takes effect at once


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revoked_at": NOW - 1}, Reason.PARENT_GONE),
        ({"disabled_at": NOW - 1}, Reason.PARENT_GONE),
        ({"expires_at": NOW}, Reason.PARENT_GONE),
        ({"networks": Networks.of(["203.0.113.0/24"])}, Reason.PARENT_GONE),
        ({"denied_tokens": frozenset({said()["jti"]})}, Reason.CREDENTIAL_REVOKED),
        ({"tokens_after": NOW - 99}, Reason.CREDENTIAL_REVOKED),
        ({"scopes": Scopes.of(["dav:write"])}, Reason.SCOPE_NOT_GRANTED),
        ({"owner_id": "u-nobody"}, Reason.OWNER_MISSING),
    ],
)
def test_a_token_ends_with_its_grant(change, reason):
    assert ask(known=records(grant=changed(GRANT, **change))).reason is reason


def test_a_token_whose_grant_is_gone_names_nobody():
    assert ask(known=without(records(), GRANT)).reason is Reason.CREDENTIAL_UNKNOWN


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user": changed(ADA, active=False)}, Reason.OWNER_DISABLED),
        ({"user": changed(ADA, api=False)}, Reason.OWNER_WITHOUT_API),
        ({"user": changed(ADA, roles=())}, Reason.OWNER_LACKS_SCOPE),
        ({"user": changed(ADA, blocked=frozenset({"app-1"}))}, Reason.APPLICATION_BLOCKED),
        ({"role": changed(HELD, scopes=Scopes.of(["dav:write"]))}, Reason.OWNER_LACKS_SCOPE),
        ({"application": changed(APPLICATION, approved=False)}, Reason.APPLICATION_NOT_APPROVED),
    ],
)
def test_a_disabled_user_a_narrowed_role_and_a_suspended_or_blocked_program(change, reason):
    found = ask(known=records(**change))
    assert found.reason is reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (changed(PROJECT, active=False), Reason.PROJECT_DISABLED),
        (changed(TENANT, active=False), Reason.TENANT_SUSPENDED),
    ],
)
def test_it_ends_with_its_project_and_tenant(record, reason):
    assert ask(known=records(record)).reason is reason


def test_a_program_that_is_gone_leaves_nothing():
    found = ask(known=without(records(), APPLICATION))
    assert found.reason is Reason.APPLICATION_NOT_APPROVED


# --- what was exchanged


def test_a_token_of_a_key_opens_no_service_that_the_key_is_not_for():
    key = service_key()
    source = credential(key, SERVICE_KEYS, scopes=Scopes.of(["*"]))
    text = minted(source=source)
    everything = changed(ROLE, scopes=Scopes.of(["*"]))
    assert source.services is not None
    found = ask(text, known=world(source, everything, KEY))
    assert found.reason is Reason.SERVICE_NOT_GRANTED
    wide = changed(source, services=None)
    assert ask(minted(source=wide), known=world(wide, everything, KEY)).allowed
