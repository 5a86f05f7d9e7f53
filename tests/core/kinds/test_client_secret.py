"""Secrets of clients: of unreserved characters, known by their checksum, never read from areas."""

from __future__ import annotations

import re

import pytest
from tests.core.worlds import entropy, request

from latchgate.core.kinds.client_secret import ClientSecret, made_by_system, secret_digest
from latchgate.core.kinds.spec import Spec
from latchgate.core.redact import redactor

KIND = ClientSecret.configured("latchgate.client_secret", {})
ISSUED = KIND.issue(Spec(service=""), entropy(1, KIND.entropy_bytes))
TEXT = ISSUED.secret.reveal()


def test_a_secret_is_the_same_however_a_client_encodes_it():
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", TEXT)  # RFC 3986, unreserved
    assert made_by_system(TEXT)
    assert ISSUED.digest == secret_digest(TEXT)
    other = KIND.issue(Spec(service=""), entropy(2, KIND.entropy_bytes))
    assert {ISSUED.id, TEXT, ISSUED.digest}.isdisjoint(
        {other.id, other.secret.reveal(), other.digest}
    )


@pytest.mark.parametrize("at", range(5, len(TEXT), 7))
def test_one_changed_anywhere_is_no_leak_and_has_another_digest(at):
    changed = TEXT[:at] + ("a" if TEXT[at] != "a" else "b") + TEXT[at + 1 :]
    assert KIND.recognise(TEXT) is not None
    assert KIND.recognise(changed) is None
    assert secret_digest(changed) != ISSUED.digest


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_it_opens_no_area(header):
    assert KIND.parse(request(headers={header: f"Bearer {TEXT}"})) is None


def test_logs_are_masked_and_entropy_is_taken_whole():
    masked = redactor([KIND.pattern])(f"client_secret={TEXT}")
    assert TEXT[5:] not in masked
    with pytest.raises(ValueError, match="entropy"):
        KIND.issue(Spec(service=""), b"x")
