"""Documents that tenants name: fetched from public addresses, and the operator's own, alone."""

from __future__ import annotations

import pytest
from tests.identity_provider import IdentityProvider

from latchgate.core.network import Networks, parse_address
from latchgate.signin import outgoing
from latchgate.signin.issuers import Issuers
from latchgate.signin.jwks import MAX_BYTES, FetchError
from latchgate.signin.outgoing import fetcher

pytestmark = pytest.mark.enable_socket
HERE = Networks.of(["127.0.0.1/32"])
NOWHERE = Networks.of([])


@pytest.fixture(scope="module")
def provider():
    made = IdentityProvider()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _as_it_was(provider):
    provider.answer = None
    provider.asked.clear()


def named(*addresses):
    return lambda _host, _port: [parse_address(one) for one in addresses]


def test_a_document_comes_from_the_address_that_was_judged(provider):
    url = f"http://ci.example:{provider.port}/keys"
    assert fetcher(HERE, named("127.0.0.1"))(url) == b'{"keys": []}'
    assert provider.asked == ["/keys"]


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["169.254.169.254"], ["::1"]]
)
def test_d6_56_a_name_with_any_address_within_is_not_asked(provider, addresses):
    url = f"https://ci.example:{provider.port}/keys"
    with pytest.raises(FetchError, match="not public"):
        fetcher(HERE, named(*addresses))(url)
    assert provider.asked == []


@pytest.mark.parametrize(
    "url", ["http://ci.example/", "https://127.0.0.1/", "file:///etc/passwd", "https://a:b@c/", "x"]
)
def test_what_is_no_public_address_over_https_is_not_asked(url):
    with pytest.raises(FetchError):
        fetcher(NOWHERE, named("127.0.0.1"))(url)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((302, {"Location": "/elsewhere"}, b""), "answered 302"),
        ((404, {}, b"secret of another"), "answered 404"),
        ((200, {"Content-Encoding": "gzip"}, b"x"), "compressed"),
        ((200, {}, b"x" * (MAX_BYTES + 1)), "longer than"),
    ],
)
def test_anything_but_a_plain_document_is_told_in_our_words(provider, answer, why):
    provider.answer = answer
    with pytest.raises(FetchError, match=why) as error:
        fetcher(HERE)(provider.jwks_uri)
    assert "secret of another" not in str(error.value)
    assert len(provider.asked) == 1


def test_nobody_listening_and_a_peer_that_never_ends_are_told(provider, monkeypatch):
    with pytest.raises(FetchError, match="no connection"):
        fetcher(HERE)("http://127.0.0.1:9/")
    monkeypatch.setattr(outgoing, "FETCH_SECONDS", 0.3)
    provider.answer = (200, {"Transfer-Encoding": "chunked"}, b"")  # and no end of it
    with pytest.raises(FetchError, match=r"longer than|broke"):
        fetcher(HERE)(provider.jwks_uri)


@pytest.fixture
def issuers():
    made = Issuers(allowed=HERE, ticks=lambda: 0.0)
    yield made
    made.close()


def document(**told):
    return (200, {}, str(told).replace("'", '"').encode())


def test_an_issuer_says_where_its_keys_are(provider, issuers):
    provider.answer = document(issuer=provider.issuer, jwks_uri=provider.jwks_uri)
    assert issuers.discover(provider.issuer) == provider.jwks_uri
    assert provider.asked == ["/realms/customers/.well-known/openid-configuration"]


def test_a_configuration_of_another_issuer_or_without_keys_is_not_taken(provider, issuers):
    keys = provider.jwks_uri
    for answer, why in (
        (document(issuer=provider.issuer + "/", jwks_uri=keys), "another issuer"),
        (document(jwks_uri=keys), "another issuer"),
        (document(issuer=provider.issuer), "there is none"),
        (document(issuer=provider.issuer, jwks_uri="https://10.0.0.1/k"), "no public address"),
        ((200, {}, b"[1]"), "another issuer"),
        ((200, {}, b"{"), "not JSON"),
    ):
        provider.answer = answer
        with pytest.raises(FetchError, match=why):
            issuers.discover(provider.issuer)
