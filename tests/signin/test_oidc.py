"""Statements proven or not, remembered, and never waited for inside a decision."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

import pytest
from tests.core.worlds import NOW
from tests.identity_provider import new_key, sign

from latchgate.core.assertion import LEEWAY, Assertion, Issuer, identity_digest
from latchgate.core.model import Refused
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret
from latchgate.signin.jwks import FetchError
from latchgate.signin.oidc import LEASE_SECONDS, MAX_WAITING, Assertions

URL = "https://id.example.com/realms/r"
ISSUER = Issuer(URL, f"{URL}/certs", "api", ("ES256",))
KEY = new_key("ES256", "one")
CLAIMS = {"iss": URL, "aud": "api", "sub": "ada", "iat": int(NOW), "exp": int(NOW) + 300}


@dataclass
class Asked:
    assertion: Assertion
    now: float = NOW


def claim(token=None, *, now=NOW, key_id="one", issuer=ISSUER, **changes):
    text = token or sign({**CLAIMS, **changes}, KEY, alg="ES256")
    return Asked(Assertion(Secret(text), issuer, "ES256", key_id), now)


class Prover:
    def __init__(self):
        self.now = 50.0
        self.fetches = 0
        self.answer: bytes | None = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
        self.assertions = Assertions(
            ticks=lambda: self.now, entropy=lambda size: b"k" * size, fetch=self.fetch
        )

    def fetch(self, _address):
        self.fetches += 1
        if self.answer is None:
            raise FetchError("nobody answers")
        return self.answer

    def told(self, asked):
        """Return what the next decision is told, once the work for this one is done."""
        refused = self.assertions.submit(asked).result(30)
        return self.assertions.recall(asked) or refused


@pytest.fixture
def prover():
    made = Prover()
    yield made
    made.assertions.close()


def test_a_proven_statement_is_told_by_the_digest_of_whom_it_names(prover):
    asked = claim()
    assert prover.assertions.recall(asked) is None
    assert prover.told(asked) == identity_digest(URL, "ada")
    assert prover.assertions.recall(asked) == identity_digest(URL, "ada")
    assert prover.fetches == 1


def test_it_holds_from_its_start_to_just_before_its_end(prover):
    held = claim(nbf=int(NOW) + 60)
    token = held.assertion.token.reveal()
    assert prover.told(claim(token, now=NOW + 60 - LEEWAY)) == identity_digest(URL, "ada")
    for now in (NOW + 60 - LEEWAY - 0.1, NOW + 300, NOW + 9e9):
        found = prover.assertions.recall(claim(token, now=now))
        assert isinstance(found, Refused)
        assert found.reason is Reason.CREDENTIAL_EXPIRED
    assert prover.assertions.recall(claim(token, now=NOW + 299.9)) is not None


def test_what_was_proven_is_remembered_for_the_lease_alone(prover):
    asked = claim()
    prover.told(asked)
    prover.now += LEASE_SECONDS - 0.1
    assert prover.assertions.recall(asked) is not None
    prover.now += 0.1
    assert prover.assertions.recall(asked) is None


@pytest.mark.parametrize(
    "issuer",
    [
        Issuer(URL, f"{URL}/certs", "another", ("ES256",)),
        Issuer(URL, f"{URL}/other", "api", ("ES256",)),
        Issuer(f"{URL}2", f"{URL}/certs", "api", ("ES256",)),
        Issuer(URL, f"{URL}/certs", "api", ("ES256", "RS256")),
    ],
)
def test_what_was_proven_under_one_policy_is_not_remembered_under_another(prover, issuer):
    token = claim().assertion.token.reveal()
    assert prover.told(claim(token)) == identity_digest(URL, "ada")
    assert prover.assertions.recall(claim(token, issuer=issuer)) is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (claim(sign(CLAIMS, new_key("ES256", "one"), alg="ES256")), Reason.SECRET_WRONG),
        (claim(key_id="two"), Reason.SECRET_WRONG),
        (claim(aud="other"), Reason.SECRET_WRONG),
        (claim(iss="https://other.example"), Reason.SECRET_WRONG),
        (claim(exp=None), Reason.SECRET_WRONG),
        (claim(typ="ID"), Reason.SECRET_WRONG),
        (claim(sign(b"[]", KEY, alg="ES256")), Reason.CREDENTIAL_MALFORMED),
        (claim(sign(b'{"a":1,"a":2}', KEY, alg="ES256")), Reason.CREDENTIAL_MALFORMED),
    ],
)
def test_what_is_not_proven_is_refused_and_not_remembered(prover, asked, reason):
    found = prover.told(asked)
    assert isinstance(found, Refused)
    assert found.reason is reason
    assert prover.assertions.recall(asked) is None


def test_without_keys_it_is_an_outage_and_not_a_wrong_token(prover, caplog):
    prover.answer = None
    found = prover.told(claim())
    assert found == Refused(Reason.FAULT, f"the keys of {URL} can't be had")
    assert "nobody answers" in caplog.text
    prover.answer = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
    assert prover.told(claim()) == identity_digest(URL, "ada")


def test_the_same_statement_asked_for_at_once_is_checked_once_and_a_flood_is_bounded():
    gate = threading.Event()

    def slow(_address):
        assert gate.wait(30)
        return json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()

    assertions = Assertions(ticks=lambda: 1.0, entropy=lambda size: b"k" * size, fetch=slow)
    asked = claim()
    waiting = [assertions.submit(asked) for _ in range(10)]
    assert len(set(map(id, waiting))) == 1
    for number in range(MAX_WAITING - 1):
        assertions.submit(claim(f"a.b.{number}"))
    busy = assertions.submit(claim("a.b.too-many")).result(30)
    assert busy is not None
    assert busy.reason is Reason.FAULT
    gate.set()
    assert waiting[0].result(30) is None
    assertions.close()
    last = assertions.submit(claim("a.b.late")).result(30)
    assert last is not None


def test_closing_answers_whoever_still_waits():
    gate = threading.Event()

    def slow(_address):
        gate.wait(30)
        raise FetchError("too late")

    assertions = Assertions(ticks=lambda: 1.0, entropy=lambda size: b"k" * size, fetch=slow)
    waiting = assertions.submit(claim())
    assertions.close()
    gate.set()
    found = waiting.result(30)
    assert found is not None
    assert found.reason is Reason.FAULT
