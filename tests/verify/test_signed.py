"""Signed tokens in a decision: whose signature, what they came from, which roles are left."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.core.worlds import (
    NOW,
    OWNER,
    PROJECT,
    TENANT,
    changed,
    credential,
    decide,
    entropy,
    request,
    without,
    world,
)

from latchgate import providers
from latchgate.core.answer import refusal
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import AccessRule, Key, Role, SigningKey, User
from latchgate.core.network import Networks
from latchgate.core.policy_file import read_policy
from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, draw, unseal
from latchgate.tokens.mint import draft, sign
from latchgate.verify.cache import Cache

# A service of the operator's own, which takes project tokens beside the identity API.
OWN = """
[services.files]
title = "Files"
scopes = { "files:read" = "Read", "files:write" = "Write" }

[[areas]]
path = "/files"
service = "files"
accepts = ["project_token"]
rules = [
  { methods = ["GET"], scope = "files:read" },
  { methods = ["PUT"], scope = "files:write" },
  { methods = ["POST"], signed_in = true },
  { methods = ["OPTIONS"], public = true },
]
"""
POLICY = read_policy(
    {
        "latchgate.toml": providers.text(providers.BUILT_IN),
        "kakaocloud.toml": providers.text("kakaocloud.toml") + OWN,
    },
    version=3,
)
TOKENS = next(kind for kind in POLICY.kinds.values() if isinstance(kind, ProjectToken))
KEYS = next(kind for kind in POLICY.kinds.values() if isinstance(kind, AccessKey))
MASTER = MasterKey(bytes(range(32)))
SIGNER = unseal(draw(Purpose.TOKEN, MASTER, secrets.token_bytes), MASTER)
KEY = SigningKey(SIGNER.id, "token", SIGNER.public, None)

READER = Role("r-reader", None, Scopes.of(["files:read"]), ())
MEMBER = Role("r-member", None, Scopes.of(["files:write"]), ("r-reader",))
ADMIN = Role("r-admin", None, Scopes.of(["files:all"]), ("r-member",))
ADA: User = changed(OWNER, roles=(("p-web", "r-admin"),))
SOURCE = credential(
    KEYS.issue(Spec(service=""), entropy(1, KEYS.entropy_bytes)),
    KEYS,
    services=None,
    roles=("r-admin",),
    issues=False,
)


def minted(source=SOURCE, signer=SIGNER, **more):
    """Return the text of a token, and what it says."""
    asked: dict[str, Any] = {"project_id": "p-web", "roles": ("r-admin", "r-member", "r-reader")}
    asked |= {"issues": False, "now": NOW - 100} | more
    token = draft(TOKENS, source, entropy=secrets.token_bytes, **asked)
    return sign(TOKENS, token, signer).reveal(), token


TEXT, TOKEN = minted()


def records(*more, source=SOURCE, user=ADA, key=KEY):
    return world(source, user, READER, MEMBER, ADMIN, key, *more)


def ask(text=TEXT, known=None, method="GET", path="/files/a", **more):
    asked = request(method, path, {"x-auth-token": text} if text else {}, tls=True)
    found = records() if known is None else known
    return decide(asked, found, policy=POLICY, **more)


def test_a_token_opens_what_its_roles_hold():
    found = ask()
    assert found.allowed
    assert found.grant.roles == {"r-admin", "r-member", "r-reader"}
    credential_ = found.grant.credential
    assert (credential_.id, credential_.source_id) == (TOKEN.id, SOURCE.id)
    assert credential_.minted
    assert ask(method="PUT").allowed
    assert ask(method="DELETE").reason is Reason.METHOD_NOT_ALLOWED


def test_a_signature_is_checked_once_while_it_is_remembered():
    cache = Cache(1)
    needed: list[Key] = []
    assert ask(cache=cache).allowed
    assert ask(cache=cache, known={}, needed=needed).allowed
    assert needed == []


# --- whose signature


@pytest.mark.parametrize(
    "key",
    [
        None,
        changed(KEY, purpose="audit"),
        changed(KEY, public=bytes(32)),
        changed(KEY, retired_at=NOW - 161),
    ],
    ids=["unknown", "of another purpose", "of another", "retired before"],
)
def test_what_no_key_for_tokens_signed_names_nobody(key):
    known = records(key=key) if key is not None else without(records(), KEY)
    assert ask(known=known).reason is Reason.CREDENTIAL_UNKNOWN


@pytest.mark.parametrize("retired_at", [NOW - 160, NOW - 50, NOW + 50])
def test_what_was_signed_before_a_key_was_retired_stays_valid(retired_at):
    assert ask(known=records(key=changed(KEY, retired_at=retired_at))).allowed


def test_a_token_of_another_latchgate_names_nobody():
    other = unseal(draw(Purpose.TOKEN, MASTER, secrets.token_bytes), MASTER)
    assert ask(minted(signer=other)[0]).reason is Reason.CREDENTIAL_UNKNOWN


def test_a_text_with_another_signature_of_the_same_token_is_refused_warm_and_cold():
    raw = TEXT[:60] + ("A" if TEXT[60] != "A" else "B") + TEXT[61:]
    cache = Cache(1)
    assert ask(cache=cache).allowed
    for memory in (cache, None):
        found = ask(raw, cache=memory)
        assert found.reason in {Reason.CREDENTIAL_UNKNOWN, Reason.SECRET_WRONG}
        assert found.grant is None


# --- what it came from


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revoked_at": NOW - 1}, Reason.PARENT_GONE),
        ({"expires_at": NOW}, Reason.PARENT_GONE),
        ({"denied_tokens": frozenset({TOKEN.id})}, Reason.CREDENTIAL_REVOKED),
        ({"tokens_after": NOW - 99}, Reason.CREDENTIAL_REVOKED),
        ({"roles": ()}, Reason.ROLES_WITHDRAWN),
        ({"roles": ("r-other",)}, Reason.ROLES_WITHDRAWN),
        ({"networks": Networks.of(["203.0.113.0/24"])}, Reason.PARENT_GONE),
        ({"owner_id": "u-nobody"}, Reason.OWNER_MISSING),
    ],
)
def test_d5_41_a_token_ends_with_its_source(change, reason):
    assert ask(known=records(source=changed(SOURCE, **change))).reason is reason


@pytest.mark.parametrize(
    "change",
    [{"denied_tokens": frozenset({"another"})}, {"tokens_after": NOW - 100}],
)
def test_another_tokens_deletion_is_not_its_own(change):
    assert ask(known=records(source=changed(SOURCE, **change))).allowed


def test_a_source_that_is_gone_leaves_nothing():
    assert ask(known=without(records(), SOURCE)).reason is Reason.CREDENTIAL_UNKNOWN


def test_it_is_valid_to_the_last_moment():
    assert ask(now=TOKEN.expires_at - 0.001).allowed
    assert ask(now=TOKEN.expires_at).reason is Reason.CREDENTIAL_EXPIRED


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (changed(ADA, active=False), Reason.OWNER_DISABLED),
        (changed(ADA, api=False), Reason.OWNER_WITHOUT_API),
        (changed(ADA, roles=()), Reason.ROLES_WITHDRAWN),
        (changed(ADA, roles=(("p-other", "r-admin"),)), Reason.ROLES_WITHDRAWN),
        (changed(PROJECT, active=False), Reason.PROJECT_DISABLED),
        (changed(TENANT, active=False), Reason.TENANT_SUSPENDED),
    ],
)
def test_d5_42_it_ends_with_its_owner_project_and_tenant_with_401(record, reason):
    known = records(record) if not isinstance(record, User) else records(user=record)
    found = ask(known=known)
    assert found.reason is reason
    assert refusal(found).status == 401


# --- what is left of its roles


def test_admin_made_member_leaves_a_live_token_with_members_rights():
    known = records(user=changed(ADA, roles=(("p-web", "r-member"),)))
    found = ask(known=known, method="PUT")
    assert found.allowed
    assert found.grant.roles == {"r-member", "r-reader"}
    reader = records(user=changed(ADA, roles=(("p-web", "r-reader"),)))
    assert ask(known=reader).allowed
    assert ask(known=reader, method="PUT").reason is Reason.OWNER_LACKS_SCOPE


def test_a_role_gained_later_is_not_the_tokens():
    text, _ = minted(roles=("r-reader",))
    assert ask(text).allowed
    assert ask(text, method="PUT").reason is Reason.OWNER_LACKS_SCOPE


def test_a_key_bounds_its_tokens_whatever_they_say():
    known = records(source=changed(SOURCE, roles=("r-reader",)))
    assert ask(known=known).grant.roles == {"r-reader"}
    assert not ask(known=known, method="PUT").allowed


def test_one_of_no_project_is_signed_in_and_opens_nothing_that_takes_a_scope():
    text, _ = minted(project_id="", roles=())
    assert ask(text).reason in {Reason.OWNER_LACKS_SCOPE, Reason.SCOPE_NOT_GRANTED}
    found = ask(text, method="POST")
    assert found.allowed
    assert found.grant.roles == frozenset()


# --- rules of the policy


def test_a_rule_may_take_whoever_is_signed_in_or_nobody_at_all():
    assert ask(method="POST").allowed
    assert ask(None, method="POST").reason is Reason.CREDENTIAL_MISSING
    open_ = ask(None, method="OPTIONS")
    assert (open_.allowed, open_.grant) == (True, None)
    assert ask(None).reason is Reason.CREDENTIAL_MISSING
    assert ask("kcpt_broken", method="POST").reason is Reason.CREDENTIAL_MALFORMED


@pytest.mark.parametrize("base", ["/identity/v3", "/v3"])
def test_tokens_are_given_out_to_nobody_and_shown_to_the_signed_in(base):
    path = f"{base}/auth/tokens"
    assert ask(None, method="POST", path=path).allowed
    for method in ("GET", "HEAD", "DELETE"):
        assert ask(None, method=method, path=path).reason is Reason.CREDENTIAL_MISSING
        assert ask(method=method, path=path).allowed
    assert ask(path=f"{base}/projects").allowed
    assert ask(None, path=f"{base}/projects").reason is Reason.CREDENTIAL_MISSING
    assert ask(None, path=base).allowed


# --- access rules


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ((), False),
        ((AccessRule("files", "GET", "/files/a"),), True),
        ((AccessRule("files", "GET", "/files/*"),), True),
        ((AccessRule("files", "GET", "/files"),), False),
        ((AccessRule("files", "HEAD", "/files/a"),), False),
        ((AccessRule("identity", "GET", "/files/a"),), False),
        ((AccessRule("files", "PUT", "/files/a"), AccessRule("files", "GET", "/**")), True),
    ],
)
def test_a_keys_access_rules_are_its_tokens(rules, allowed):
    found = ask(known=records(source=changed(SOURCE, access_rules=rules)))
    assert found.allowed is allowed
    assert allowed or found.reason is Reason.ACCESS_RULE_MISSING


def test_access_rules_name_the_path_without_its_query_and_hold_for_the_signed_in_too():
    rules = (AccessRule("files", "GET", "/files/a"),)
    known = records(source=changed(SOURCE, access_rules=rules))
    assert ask(known=known, path="/files/a?x=/files/b").allowed
    assert ask(known=known, path="/files/%61").allowed
    assert not ask(known=known, path="/files/b?x=/files/a").allowed
    assert ask(known=known, method="POST").reason is Reason.ACCESS_RULE_MISSING
    assert ask(known=known, path="/v3/projects").reason is Reason.ACCESS_RULE_MISSING
