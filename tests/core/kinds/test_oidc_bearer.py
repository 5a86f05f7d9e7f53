"""The bearer of an identity provider, proven or not, as the path of a decision treats it."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from tests.core.worlds import (
    NOW,
    OWNER,
    bearer,
    changed,
    credential,
    request,
    world,
)

from latchgate import providers
from latchgate.core.assertion import NAMESPACE, identity_digest
from latchgate.core.explain import record, worded
from latchgate.core.kinds import ASSERTED, OidcBearer, Spec
from latchgate.core.model import Login, Refused
from latchgate.core.network import Networks
from latchgate.core.policy_faults import PolicyError
from latchgate.core.policy_file import read_policy, with_built_in
from latchgate.core.reason import Reason
from latchgate.core.redact import redactor
from latchgate.verify.cache import Cache
from latchgate.verify.check import check
from latchgate.verify.walk import Need, Prove

URL = "https://id.example.com/realms/customers"
SETTINGS = {"issuer": URL, "jwks_uri": f"{URL}/certs", "audience": "dashboard"}
TEXT = f"""\
provider = "law"
title = "Law"
dialect = "wayscloud"

[kinds.service_key]
brand = "law"
key_header = "X-API-Key"

[kinds.oidc_bearer]
issuer = "{URL}"
jwks_uri = "{URL}/certs"
audience = "dashboard"

[services.s]
title = "S"
scopes = {{ "s:r" = "Read" }}

[[areas]]
path = "/s"
service = "s"
accepts = ["service_key", "oidc_bearer"]
rules = [{{ methods = ["GET"], scope = "s:r" }}]

[[areas]]
path = "/keys"
service = "s"
accepts = ["service_key"]
rules = [{{ methods = ["GET"], scope = "s:r" }}]
"""
POLICY = read_policy({"law.toml": TEXT}, version=1)
KIND = OidcBearer.configured("law.oidc_bearer", SETTINGS)
SUBJECT = "0d9b2a1c"
LINK = changed(
    credential(KIND.issue(Spec(service=""), b"x" * 17), KIND),
    services=None,
    digest=identity_digest(URL, SUBJECT),
)
LOGIN = Login(f"{NAMESPACE}:{URL}#{SUBJECT}", OWNER.id, {KIND.name: LINK.id})


def part(told: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def token(header: dict[str, Any] | None = None, **claims: Any) -> str:
    told = {"iss": URL, "sub": SUBJECT, **claims}
    head = {"alg": "RS256", "kid": "one", "typ": "JWT", **(header or {})}
    return f"{part(head)}.{part(told)}.c2lnbmF0dXJl"


def proven(need: Prove) -> bytes | Refused:
    """Stand for the check of the signature, which has tests of its own: it is always right."""
    return identity_digest(need.assertion.issuer.url, SUBJECT)


def judged(headers, *records, path="/s", prove=proven, asked=None):
    """Decide a request, and list what the shell was asked for, in order."""
    sent = request("GET", path, headers)
    held = world(*records)
    walk = check(sent, policy=POLICY, now=NOW, cache=Cache(1), new_id=lambda: "r-1")
    needs = [] if asked is None else asked
    try:
        need = next(walk)
        while True:
            needs.append(need)
            if isinstance(need, Prove):
                need = walk.send(prove(need))
            else:
                assert isinstance(need, Need)
                need = walk.send({key: held.get(key) for key in need.keys})
    except StopIteration as done:
        return done.value


def test_a_token_of_its_issuer_is_claimed_and_proves_nothing_by_itself():
    found = KIND.parse(request(headers=bearer(token())))
    assert isinstance(found, tuple)
    (claimed,) = found
    assert claimed.login == f"{URL}#{SUBJECT}"
    assert claimed.digest == b""
    assert claimed.assertion is not None
    assert (claimed.assertion.algorithm, claimed.assertion.key_id) == ("RS256", "one")
    assert token() not in repr(claimed) + repr(claimed.assertion)
    facts = judged({}, prove=None)
    assert facts.reason is Reason.CREDENTIAL_MISSING


@pytest.mark.parametrize(
    "value",
    [
        "Bearer abc",
        "Bearer law_s_abc_def",
        f"Basic {token()}",
        token(),
        f"Bearer {token(iss='https://other.example')}",
        f"Bearer {token(iss=None)}",
        f"Bearer {token(iss=[URL])}",
    ],
)
def test_what_is_not_of_its_issuer_is_left_alone(value):
    assert KIND.parse(request(headers={"authorization": value})) is None


@pytest.mark.parametrize(
    "sent",
    [
        token({"alg": "none"}),
        token({"alg": "HS256"}),
        token({"alg": "RS512"}),
        token({"crit": ["x"]}),
        token({"zip": "DEF"}),
        token({"typ": "logout+jwt"}),
        token(sub=""),
        token(sub=None),
        token(sub=7),
        token(x="y" * 9000),
    ],
)
def test_d6_51_one_that_is_ours_but_broken_ends_the_request(sent):
    found = KIND.parse(request(headers=bearer(sent)))
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_MALFORMED
    assert judged(bearer(sent), LINK, LOGIN).reason is Reason.CREDENTIAL_MALFORMED


def test_a_header_twice_is_refused():
    found = KIND.parse(request(headers=bearer(token()), repeated={"authorization"}))
    assert found == Refused(Reason.CREDENTIAL_REPEATED, "more than one Authorization header")


def test_a_proven_token_of_somebody_linked_may_do_what_their_user_may():
    asked: list[object] = []
    found = judged(bearer(token()), LINK, LOGIN, asked=asked)
    assert found.allowed
    assert found.grant is not None
    assert found.grant.owner.id == OWNER.id
    # Nothing is looked up for a token before it is proven.
    assert isinstance(asked[0], Prove)
    assert not any(isinstance(need, Prove) for need in asked[1:])


def test_a_token_that_is_not_proven_costs_no_look_up():
    asked: list[object] = []
    wrong = Refused(Reason.SECRET_WRONG, "its signature is not its issuer's")
    found = judged(bearer(token()), LINK, LOGIN, prove=lambda _: wrong, asked=asked)
    assert found.reason is Reason.SECRET_WRONG
    assert found.credential is None
    assert len(asked) == 1


def test_somebody_else_than_was_proven_is_nobody():
    other = identity_digest(URL, "somebody else")
    found = judged(bearer(token()), LINK, LOGIN, prove=lambda _: other)
    assert found.reason is Reason.SECRET_WRONG
    assert judged(bearer(token()), LINK, LOGIN, prove=lambda _: b"").reason is Reason.SECRET_WRONG


def test_d6_59_without_a_link_nobody_is_known_whatever_the_token_claims():
    assert judged(bearer(token())).reason is Reason.CREDENTIAL_UNKNOWN
    named = Login(f"law:{URL}#{SUBJECT}", OWNER.id, {KIND.name: LINK.id})
    found = judged(bearer(token()), LINK, named)
    assert found.reason is Reason.CREDENTIAL_UNKNOWN  # a login name is no link


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ((changed(LINK, revoked_at=NOW),), Reason.CREDENTIAL_REVOKED),
        ((changed(LINK, networks=Networks(())),), Reason.NETWORK_NOT_ALLOWED),
        ((LINK, changed(OWNER, active=False)), Reason.OWNER_DISABLED),
        ((LINK, changed(OWNER, roles=())), Reason.OWNER_LACKS_SCOPE),
        ((changed(LINK, kind="law.service_key"),), Reason.CREDENTIAL_UNKNOWN),
    ],
)
def test_a_link_is_judged_like_any_credential(records, reason):
    assert judged(bearer(token()), LOGIN, *records).reason is reason


def test_an_area_that_does_not_take_it_says_so():
    assert judged(bearer(token()), LINK, LOGIN, path="/keys").reason is (
        Reason.CREDENTIAL_NOT_ACCEPTED
    )


def test_beside_a_key_of_another_owner_it_is_two_principals():
    kind = POLICY.issued("law.service_key")
    issued = kind.issue(Spec(service="s"), b"k" * 48)
    own = changed(credential(issued), kind=kind.name, services=frozenset({"s"}))
    sent = {**bearer(token()), "x-api-key": issued.secret.reveal()}
    assert judged(sent, LINK, LOGIN, own).allowed
    other = changed(OWNER, id="u-eve", name="eve")
    found = judged(sent, LINK, LOGIN, changed(own, owner_id=other.id), other)
    assert found.reason is Reason.CREDENTIALS_AMBIGUOUS


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "ldap://id.example.com"},
        {"issuer": "id.example.com"},
        {"issuer": "https://id.example.com/#x"},
        {"issuer": "https://user@id.example.com/"},
        {"jwks_uri": "http://id.example.com/certs"},
        {"jwks_uri": "http://127.0.0.1.example.com/certs"},
        {"jwks_uri": "http://169.254.169.254/"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://id.example.com:x/"},
        {"audience": ""},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["RS256", "HS256"]},
        {"algorithms": ["RS1"]},
        {"jku": "https://id.example.com"},
    ],
    ids=str,
)
def test_d6_56_settings_that_could_be_abused_are_refused(change):
    with pytest.raises(msgspec.ValidationError):
        OidcBearer.configured("law.oidc_bearer", {**SETTINGS, **change})


@pytest.mark.parametrize(
    "here", ["http://127.0.0.1:8080/x", "http://[::1]/x", "http://localhost/x"]
)
def test_on_this_machine_it_may_be_reached_in_the_clear(here):
    kind = OidcBearer.configured("law.oidc_bearer", {**SETTINGS, "jwks_uri": here})
    assert kind.issuer.jwks_uri == here
    assert {"none", "HS256"}.isdisjoint(kind.issuer.algorithms)


def test_an_issuer_is_a_name_that_nothing_is_fetched_from():
    kind = OidcBearer.configured("law.oidc_bearer", {**SETTINGS, "issuer": "http://idp:8080/r"})
    assert kind.issuer.url == "http://idp:8080/r"


def test_a_link_gets_an_id_and_shows_nothing():
    issued = KIND.issue(Spec(service=""), b"a" * KIND.entropy_bytes)
    assert issued.id.startswith("link-")
    assert (issued.secret.reveal(), issued.digest) == ("", b"")
    with pytest.raises(ValueError, match="entropy"):
        KIND.issue(Spec(service=""), b"a")


def test_tokens_are_masked_wherever_they_stand():
    masked = redactor()
    for prose in ("{}", "token={}", '"{}"', "sub {} end", "Authorization: Bearer {}"):
        assert token().split(".")[1] not in masked(prose.format(token()))


def test_it_is_read_from_authorization_and_challenged_as_bearer():
    assert (KIND.carriers, KIND.scheme, KIND.pattern) == (("authorization",), "Bearer", None)
    assert set(ASSERTED) == {"oidc_bearer"}


def test_two_files_can_not_believe_one_issuer():
    twice = TEXT.replace('"law"', '"wal"').replace("services.s]", "services.w]")
    twice = twice.replace('"s:r"', '"w:r"').replace('service = "s"', 'service = "w"')
    twice = twice.replace('path = "/', 'path = "/w')
    with pytest.raises(PolicyError, match=r"already that of law\.oidc_bearer"):
        read_policy({"law.toml": TEXT, "wal.toml": twice}, version=1)


def test_explain_says_that_a_link_is_missing():
    sent = request("GET", "/s", bearer(token()))
    told = worded(record(judged(bearer(token())), sent, NOW, redactor()))
    assert told["change"] == f"Link {URL}#{SUBJECT} with a user: latchgate user link."


def test_latchgates_own_areas_take_it_where_a_file_says_so_and_nowhere_else():
    built_in = providers.text(providers.BUILT_IN)
    for told in (False, True):
        text = TEXT.replace(
            "[kinds.oidc_bearer]\n", f"[kinds.oidc_bearer]\nmanage = {str(told).lower()}\n"
        )
        areas = with_built_in({"law.toml": text}, built_in, version=1).areas
        for area in areas:
            if area.provider != "latchgate":
                continue
            taken = "law.oidc_bearer" in {kind.name for kind in area.kinds}
            own = "latchgate.oauth_token" in {kind.name for kind in area.kinds}
            assert taken is (told and own), area.path
        paths = {
            area.path for area in areas if "law.oidc_bearer" in {one.name for one in area.kinds}
        }
        assert ("/manage/v1/keys" in paths) is told
        assert "/leaks" not in paths  # public: it takes no credential at all
