"""What an external provider answers: believed when all of it is right, by an issuer in memory."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.identity_provider import AnyKey, new_key, sign

from latchgate.core.identity_provider import Claim, IdentityProvider, RoleClaim
from latchgate.core.secret import Secret
from latchgate.oauth.relying_party import (
    DeclinedError,
    ProviderError,
    RelyingParty,
    Round,
    UnavailableError,
)
from latchgate.signin.asking import Answer
from latchgate.signin.jwks import FetchError

ISSUER = "https://id.example/realms/customers"
CALLBACK = "https://console.example/sign-in/callback/id"
NOW = 1_800_000_000.0
ACCESS = "an-access-token"
KEY = new_key("ES256", "first")
OTHER = new_key("ES256", "second")
PROVIDER = IdentityProvider(
    name="id",
    title="Example",
    issuer=ISSUER,
    client_id="latchgate",
    secret_file=None,
    scopes=("openid", "email"),
    algorithms=("ES256", "RS256"),
    tenant=None,
    create_users=False,
    require_verified_email=True,
    email_domains=frozenset(),
    mfa_acr=frozenset({"gold"}),
    roles=(),
    required=None,
    disable_without_required=False,
)


@dataclass
class Issuer:
    """An issuer: what it publishes, and what it answers; every request that it got."""

    keys: list[AnyKey] = field(default_factory=lambda: [KEY])
    metadata: dict[str, Any] = field(default_factory=dict)
    token: dict[str, Any] | Answer = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)
    sent: dict[str, str] = field(default_factory=dict)

    def fetch(self, address: str, *, home: str) -> bytes:
        assert home == ISSUER
        self.asked.append(address)
        if self.down:
            raise FetchError("it is down")
        if address.endswith("/.well-known/openid-configuration"):
            told = {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/auth?kind=any",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/certs",
                "userinfo_endpoint": f"{ISSUER}/userinfo",
            }
            return json.dumps(told | self.metadata).encode()
        keys = [{**key.as_dict(private=False), "use": "sig"} for key in self.keys]
        return json.dumps({"keys": keys}).encode()

    def ask(
        self,
        method: str,
        address: str,
        *,
        home: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        assert home == ISSUER
        self.asked.append(address)
        if self.down:
            raise FetchError("it is down")
        if method == "GET":
            assert headers == {"Authorization": f"Bearer {ACCESS}"}
            return Answer(200, json.dumps(self.userinfo).encode())
        self.sent = dict(form or {}) | dict(headers)
        if isinstance(self.token, Answer):
            return self.token
        return Answer(200, json.dumps(self.token).encode())


@pytest.fixture
def issuer():
    return Issuer()


@pytest.fixture
def relying(issuer):
    made = party(issuer)
    yield made
    made.close()


def party(issuer: Issuer, provider: IdentityProvider = PROVIDER) -> RelyingParty:
    return RelyingParty(
        [provider], ticks=lambda: 0.0, clock=lambda: NOW, ask=issuer.ask, fetch=issuer.fetch
    )


def asked(*, again: bool = False, seed: str = "00") -> Round:
    return Round(Secret("b" * 32), seed, NOW - 5, again)


def claims(question: Round, **changes: Any) -> dict[str, Any]:
    told = {
        "iss": ISSUER,
        "sub": "ada",
        "aud": "latchgate",
        "iat": NOW,
        "exp": NOW + 300,
        "nonce": question.nonce.reveal(),
    } | changes
    return {name: value for name, value in told.items() if value is not None}


def tokens(
    question: Round, key: AnyKey = KEY, header: Any = None, **changes: Any
) -> dict[str, Any]:
    text = sign(claims(question, **changes), key, alg="ES256", header=header)
    return {"id_token": text, "access_token": ACCESS, "token_type": "Bearer"}


def answered(relying: RelyingParty, question: Round, provider=PROVIDER, **told: str) -> Any:
    return relying.answer(provider, question, {"code": "c", **told}, redirect_uri=CALLBACK)


def half(text: str) -> str:
    return (
        base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).decode().rstrip("=")
    )


def test_a_question_holds_pkce_state_and_nonce_and_its_answer_signs_in(issuer, relying):
    question = asked()
    address = relying.question(PROVIDER, question, redirect_uri=CALLBACK)
    assert address.startswith(f"{ISSUER}/auth?kind=any&")
    told = dict(parse_qsl(urlsplit(address).query))
    assert told["state"] == question.state.reveal()
    assert "prompt" not in told
    issuer.token = tokens(question, at_hash=half(ACCESS), c_hash=half("c"), azp="latchgate")
    assert answered(relying, question).subject == "ada"
    assert issuer.sent["client_id"] == "latchgate"
    verifier = issuer.sent["code_verifier"]
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    assert told["code_challenge"] == made.decode().rstrip("=")
    secrets = {question.state.reveal(), question.nonce.reveal(), verifier}
    assert len(secrets) == 3
    assert secrets.isdisjoint({asked(seed="01").state.reveal(), asked(seed="01").nonce.reveal()})


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"aud": "another"},
        {"aud": None},
        {"aud": ["latchgate", "another"]},
        {"azp": "another"},
        {"aud": ["latchgate", "another"], "azp": "another"},
        {"exp": NOW},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"iat": None},
        {"iat": NOW - 700},
        {"iat": NOW + 100},
        {"nbf": NOW + 100},
        {"nonce": None},
        {"nonce": "another"},
        {"nonce": "\udc80"},
        {"nonce": ["x"]},
        {"at_hash": half("another")},
        {"at_hash": 7},
        {"c_hash": half("another")},
        {"sub": None},
        {"sub": ""},
        {"sub": "a" * 256},
        {"sub": "ada\n"},
        {"typ": "Bearer"},
        {"typ": "Logout"},
    ],
    ids=str,
)
def test_an_id_token_with_anything_wrong_signs_nobody_in(issuer, relying, change):
    question = asked()
    issuer.token = tokens(question, **change)
    with pytest.raises(ProviderError):
        answered(relying, question)


def test_an_id_token_that_is_signed_by_nobody_or_somebody_else_signs_nobody_in(issuer, relying):
    question = asked()
    good = tokens(question)["id_token"]
    head, body, mark = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for text in (
        tokens(question, OTHER)["id_token"],
        tokens(question, OTHER, {"kid": "first"})["id_token"],
        f"{head}.{body}.{mark[:-4]}AAAA",
        f"{none}.{body}.",
        f"{none}.{body}.{mark}",
        tokens(question, header={"crit": ["x"]})["id_token"],
        tokens(question, header={"typ": "at+jwt+x"})["id_token"],
        "",
        None,
        7,
        good + "." + mark,
    ):
        issuer.token = {"id_token": text, "access_token": ACCESS, "token_type": "Bearer"}
        with pytest.raises(ProviderError):
            answered(relying, question)


def test_an_algorithm_that_is_not_configured_signs_nobody_in(issuer):
    provider = replace(PROVIDER, algorithms=("RS256",))
    question = asked()
    issuer.token = tokens(question)
    with pytest.raises(ProviderError, match="RS256"):
        answered(party(issuer, provider), question, provider)


def test_thirty_made_up_key_ids_cost_five_fetches_at_most(issuer, relying):
    question = asked()
    for number in range(30):
        issuer.token = tokens(question, OTHER, {"kid": f"made-up-{number}"})
        with pytest.raises(ProviderError):
            answered(relying, question)
    assert issuer.asked.count(f"{ISSUER}/certs") <= 5
    issuer.token = tokens(question)
    assert answered(relying, question).subject == "ada"


def test_a_new_key_is_fetched_once_it_signs(issuer, relying):
    question = asked()
    issuer.token = tokens(question)
    answered(relying, question)
    issuer.keys = [OTHER]
    issuer.token = tokens(question, OTHER)
    assert answered(relying, question).subject == "ada"


def test_a_provider_that_is_down_signs_nobody_in(issuer, relying):
    question = asked()
    issuer.down = True
    with pytest.raises(UnavailableError):
        relying.question(PROVIDER, question, redirect_uri=CALLBACK)
    with pytest.raises(UnavailableError):
        answered(relying, question)
    assert len(issuer.asked) == 1  # not asked anew at each attempt


def test_what_was_read_before_goes_on_while_it_is_down(issuer, relying):
    question = asked()
    relying.question(PROVIDER, question, redirect_uri=CALLBACK)
    issuer.down = True
    assert relying.question(PROVIDER, question, redirect_uri=CALLBACK).startswith(ISSUER)


@pytest.mark.parametrize(
    ("told", "sort"),
    [
        ({"iss": "https://evil.example"}, ProviderError),
        ({"iss": ""}, ProviderError),
        ({"code": ""}, ProviderError),
        ({"code": "x" * 5_000}, ProviderError),
        ({"error": "access_denied"}, DeclinedError),
        ({"error": "server_error"}, UnavailableError),
        ({"error": "<script>"}, ProviderError),
    ],
)
def test_an_answer_with_anything_wrong_is_not_exchanged(issuer, relying, told, sort):
    issuer.token = tokens(asked())
    with pytest.raises(sort) as caught:
        answered(relying, asked(), **told)
    assert "script" not in str(caught.value)
    assert f"{ISSUER}/token" not in issuer.asked


def test_an_iss_that_was_announced_must_be_there(issuer, relying):
    issuer.metadata = {"authorization_response_iss_parameter_supported": True}
    issuer.token = tokens(asked())
    with pytest.raises(ProviderError, match="iss"):
        answered(relying, asked())
    assert answered(relying, asked(), iss=ISSUER).subject == "ada"


@pytest.mark.parametrize(
    ("answer", "sort"),
    [
        (Answer(400, b'{"error":"invalid_grant","error_description":"s3cret"}'), ProviderError),
        (Answer(503, b""), UnavailableError),
        (Answer(200, b"[]"), ProviderError),
        (Answer(200, b"{}"), ProviderError),
        (Answer(302, b""), ProviderError),
    ],
)
def test_a_token_endpoint_that_gives_no_tokens_signs_nobody_in(issuer, relying, answer, sort):
    issuer.token = answer
    with pytest.raises(sort) as caught:
        answered(relying, asked())
    assert "s3cret" not in str(caught.value)


def test_who_must_sign_in_anew_does_and_not_before_they_were_asked(issuer, relying):
    question = asked(again=True)
    told = dict(parse_qsl(relying.question(PROVIDER, question, redirect_uri=CALLBACK)))
    assert (told["prompt"], told["max_age"]) == ("login", "0")
    for wrong in (None, NOW - 100, NOW + 100, "now"):
        issuer.token = tokens(question, auth_time=wrong)
        with pytest.raises(ProviderError, match="auth_time"):
            answered(relying, question)
    issuer.token = tokens(question, auth_time=NOW - 2)
    assert answered(relying, question).subject == "ada"


def test_claims_that_are_needed_and_not_in_the_id_token_come_from_userinfo_of_the_same_subject(
    issuer,
):
    claim = RoleClaim(Claim(("groups",), "staff"), "p", "r")
    provider = replace(PROVIDER, roles=(claim,))
    relying = party(issuer, provider)
    issuer.token = tokens(asked())
    issuer.userinfo = {"sub": "ada", "groups": ["staff"], "iss": "https://evil.example"}
    found = answered(relying, asked(), provider)
    assert claim.claim.holds(found.claims)
    assert found.claims["iss"] == ISSUER
    issuer.userinfo["sub"] = "bob"
    with pytest.raises(ProviderError, match="another subject"):
        answered(relying, asked(), provider)


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "http://id.example/auth"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://id.example/token"},
        {"token_endpoint": "https://10.0.0.1/token"},
        {"token_endpoint": "https://169.254.169.254/latest"},
        {"token_endpoint": "https://127.0.0.1/token"},
        {"token_endpoint": "https://user:pw@id.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://[::1]/certs"},
        {"userinfo_endpoint": "http://metadata.internal/"},
        {"response_types_supported": ["id_token"]},
        {"code_challenge_methods_supported": ["plain"]},
    ],
    ids=str,
)
def test_d6_56_a_configuration_that_leads_elsewhere_is_not_followed(issuer, relying, change):
    issuer.metadata = change
    with pytest.raises(UnavailableError):
        relying.question(PROVIDER, asked(), redirect_uri=CALLBACK)


def test_the_methods_are_those_that_the_provider_says_and_no_more():
    assert PROVIDER.methods({"amr": ["pwd", 7, "x y", "pwd", "mfa"]}) == ("pwd", "mfa")
    assert PROVIDER.methods({"amr": "mfa"}) == ()
    assert PROVIDER.methods({"acr": "gold"}) == ("mfa",)
    assert PROVIDER.methods({"acr": "1"}) == ()


def test_a_state_is_the_browsers_and_the_questions():
    question = asked()
    assert question.is_answered_by(question.state.reveal())
    for wrong in ("", "x", asked(seed="01").state.reveal(), question.nonce.reveal(), "\udcff"):
        assert not question.is_answered_by(wrong)
