"""Redirect URIs: what may be registered, and that nothing but itself then counts as registered."""

import pytest

from latchgate.core.redirect_uri import fault, matches

WEB = (
    "https://photos.example.com/callback",
    "https://photos.example.com",
    "https://photos.example.com:8443/a/b?tenant=7",
    "https://photos.example.com/a%20b",
    "http://127.0.0.1/callback",
    "http://127.0.0.1:5000/",
    "http://[::1]:5000/callback",
    "http://localhost:3000/cb",
)
NATIVE = ("com.example.photos:/callback", "org.example.app-1:/a/b?x=1")


@pytest.mark.parametrize("uri", WEB)
def test_an_address_of_the_web_may_be_registered_by_any_client(uri):
    assert fault(uri, public=False) is None
    assert fault(uri, public=True) is None
    assert matches(uri, uri)


@pytest.mark.parametrize("uri", NATIVE)
def test_a_scheme_of_its_own_is_for_what_runs_on_somebodys_device(uri):
    assert fault(uri, public=True) is None
    assert "use https" in (fault(uri, public=False) or "")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://photos.example.com/cb", "in the clear"),
        ("http://127.0.0.1.example.com/cb", "in the clear"),
        ("http://localhost.example.com/cb", "in the clear"),
        ("https://photos.example.com/cb#here", "fragment"),
        ("https://photos.example.com/cb#", "fragment"),
        ("https://*.example.com/cb", "wildcard"),
        ("https://photos.example.com/*", "wildcard"),
        ("https://evil@photos.example.com/cb", "user name"),
        ("https://photos.example.com:evil@x.example/cb", "user name"),
        ("https://Photos.example.com/cb", "lower case"),
        ("HTTPS://photos.example.com/cb", "lower case"),
        ("https://photos.example.com\\@x.example/cb", "no URI"),
        ("https://photos.example.com/a b", "no URI"),
        ("https://photos.example.com/a\n", "no URI"),
        ("https://photos.example.com/%zz", "no URI"),
        ("https://ph\u00f6tos.example/cb", "no URI"),
        ("https://photos.example.com/a/../b", "dot segment"),
        ("https://photos.example.com/cb?code=1", "answers have"),
        ("https://photos.example.com/cb?a=1&state=2", "answers have"),
        ("https://photos.example.com:0/cb", "port"),
        ("https://photos.example.com:65536/cb", "port"),
        ("https:///cb", "https://HOST"),
        ("//photos.example.com/cb", "https://HOST"),
        ("/cb", "https://HOST"),
        ("javascript:alert(1)", "https://HOST"),
        ("data:text/html,hello", "https://HOST"),
        ("myapp://callback", "https://HOST"),
        ("com.example.photos://callback", "https://HOST"),
        ("urn:ietf:wg:oauth:2.0:oob", "https://HOST"),
        ("", "no URI"),
        ("https://photos.example.com/" + "a" * 500, "longer"),
    ],
)
def test_what_could_lead_elsewhere_is_not_registered(uri, why):
    assert why in (fault(uri, public=True) or "")


@pytest.mark.parametrize(
    ("registered", "sent"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:49152/callback"),
        ("http://127.0.0.1:5000/callback", "http://127.0.0.1/callback"),
        ("http://[::1]:1/callback?a=1", "http://[::1]:2/callback?a=1"),
    ],
)
def test_the_port_on_the_loopback_interface_is_free(registered, sent):
    assert matches(registered, sent)


@pytest.mark.parametrize(
    ("registered", "sent"),
    [
        ("https://photos.example/cb", "https://photos.example/cb/"),
        ("https://photos.example/cb", "https://photos.example/cb?x=1"),
        ("https://photos.example/cb", "https://photos.example:443/cb"),
        ("https://photos.example/cb", "https://photos.example/CB"),
        ("https://photos.example/cb", "https://photos.example.evil/cb"),
        ("https://photos.example", "https://photos.example/"),
        ("https://127.0.0.1:1/cb", "https://127.0.0.1:2/cb"),
        ("http://localhost:1/cb", "http://localhost:2/cb"),
        ("http://127.0.0.1/cb", "http://[::1]/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:80/cb/../other"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:80/cb#x"),
        ("com.example.app:/cb", "com.example.app:/cb2"),
    ],
)
def test_nothing_else_counts_as_registered(registered, sent):
    assert not matches(registered, sent)
