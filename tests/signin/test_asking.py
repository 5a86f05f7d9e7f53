"""Where requests to identity providers may lead, and what is taken of their answers."""

from __future__ import annotations

import json

import pytest
from tests.identity_provider import IdentityProvider

from latchgate.core.network import parse_address
from latchgate.signin.asking import ask, fetched, may_lead
from latchgate.signin.jwks import FetchError

HOME = "https://id.example/realms/r"


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("https://id.example/token", True),
        ("https://id.example:443/token", True),
        ("https://other.example/token", True),
        ("https://id.example:8443/token", True),
        ("http://id.example/token", False),
        ("http://other.example/token", False),
        ("https://127.0.0.1/token", False),
        ("https://10.1.2.3/token", False),
        ("https://[fd00::1]/token", False),
        ("https://169.254.169.254/", False),
        ("https://0x7f000001/", False),
        ("https://user@id.example/token", False),
        ("https://id.example/token#x", False),
        ("ftp://id.example/token", False),
    ],
)
def test_d6_56_a_document_leads_to_its_issuer_or_to_the_internet_over_https(address, may):
    assert (may_lead(address, HOME) is None) is may


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"])
def test_d6_56_a_name_is_asked_at_public_addresses_alone(inside):
    addresses = [parse_address("9.9.9.9"), parse_address(inside)]
    for listed in (addresses, addresses[::-1], []):
        with pytest.raises(FetchError, match=r"not public|no address"):
            ask("GET", "https://other.example/", home=HOME, look_up=lambda *_, it=listed: it)


@pytest.fixture
def provider():
    made = IdentityProvider()
    yield made
    made.close()


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_an_issuer_on_this_machine_is_asked_and_leads_nowhere_else_there(provider):
    other = IdentityProvider()
    try:
        body = fetched(provider.jwks_uri, home=provider.issuer)
        assert json.loads(body) == {"keys": []}
        with pytest.raises(FetchError):
            fetched(other.jwks_uri, home=provider.issuer)
        assert other.asked == []
    finally:
        other.close()


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((302, {"Location": "https://evil.example/"}, b""), "it answered 302"),
        ((200, {"Content-Encoding": "gzip"}, b"x"), "compressed"),
        ((200, {}, b"x" * 300_000), "longer than"),
        ((500, {}, b"secret"), "it answered 500"),
    ],
)
def test_anything_but_a_plain_short_answer_is_none(provider, answer, why):
    provider.answer = answer
    with pytest.raises(FetchError, match=why) as caught:
        fetched(provider.jwks_uri, home=provider.issuer)
    assert "secret" not in str(caught.value)


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_an_issuer_that_is_not_there_is_told_by_what_failed_alone(provider):
    provider.close()
    with pytest.raises(FetchError, match=r"\A\w+Error\Z"):
        fetched(f"{provider.jwks_uri}?token=secret", home=provider.issuer)
