"""What an authorization server says of itself, and how far it is believed."""

from __future__ import annotations

import pytest
from tests.client.steps import answer, asked, taken

from latchgate.client import InsecureTransport, Unreachable, WrongHost
from latchgate.client.issuer import Endpoints, discover, endpoint

ISSUER = "https://login.example"
TOKEN = f"{ISSUER}/oauth/token"
METADATA = {"issuer": ISSUER, "token_endpoint": TOKEN}


@pytest.mark.parametrize(
    ("issuer", "place"),
    [
        (ISSUER, "/.well-known/oauth-authorization-server"),
        (f"{ISSUER}/", "/.well-known/oauth-authorization-server"),
        (f"{ISSUER}/realms/a", "/.well-known/oauth-authorization-server/realms/a"),
    ],
)
def test_an_issuer_says_where_its_endpoints_are(issuer, place):
    said = {
        "issuer": issuer,
        "token_endpoint": "https://tokens.example/t?x=1",
        "device_authorization_endpoint": f"{ISSUER}/device",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }
    steps, found = taken(discover(issuer), [answer(said)])
    assert asked(steps[0])[1] == ISSUER + place
    assert found == Endpoints(
        "https://tokens.example/t?x=1",
        device=f"{ISSUER}/device",
        methods=("client_secret_post",),
        issuer=issuer,
    )


def test_an_issuer_that_speaks_openid_connect_alone_is_asked_there():
    said = METADATA | {"issuer": f"{ISSUER}/realms/a"}
    steps, found = taken(discover(f"{ISSUER}/realms/a"), [answer({}, 404), answer(said)])
    assert asked(steps[1])[1] == f"{ISSUER}/realms/a/.well-known/openid-configuration"
    assert found == Endpoints(TOKEN, issuer=f"{ISSUER}/realms/a")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"issuer": f"{ISSUER}/"}, WrongHost),
        ({"issuer": "https://evil.example"}, WrongHost),
        ({"token_endpoint": "http://login.example/token"}, InsecureTransport),
        ({"device_authorization_endpoint": "http://login.example/"}, InsecureTransport),
        ({"token_endpoint": "http://127.0.0.1:1/token"}, WrongHost),
        ({"token_endpoint": "https://localhost/token"}, WrongHost),
        ({"token_endpoint": "/token"}, Unreachable),
        ({"token_endpoint": "https://a:b@login.example/token"}, Unreachable),
        ({"token_endpoint": "https://login.example:x/token"}, Unreachable),
        ({"token_endpoint": None}, Unreachable),
        ({"issuer": 5}, Unreachable),
        ({"userinfo_endpoint": 5}, Unreachable),
        ({"token_endpoint_auth_methods_supported": 5}, Unreachable),
        ({"token_endpoint_auth_methods_supported": [5]}, Unreachable),
        ({"scopes_supported": "abc"}, Unreachable),
        ({"issuer": "http://localhost"}, WrongHost),
    ],
)
def test_metadata_that_can_not_be_is_not_believed(changed, error):
    with pytest.raises(error):
        taken(discover(ISSUER), [answer(METADATA | changed)])


@pytest.mark.parametrize(
    "said",
    [answer({}, 404), answer({}, 500), answer({}, 302), answer(b"<html>"), answer([]), answer(5)],
)
def test_what_is_no_issuer_is_said_to_be_none(said):
    with pytest.raises(Unreachable, match=ISSUER):
        taken(discover(ISSUER), [said, said])


def test_an_issuer_on_this_machine_may_name_endpoints_on_it():
    here = "http://127.0.0.1:8421"
    said = {"issuer": here, "token_endpoint": f"{here}/oauth/token"}
    found = Endpoints(f"{here}/oauth/token", issuer=here)
    assert taken(discover(here), [answer(said)]).result == found
    assert taken(discover("http://localhost:8421"), [answer(said)]).result == found
    for other in ("http://localhost:8422", "http://localhost:8421/a", "https://localhost:8421"):
        with pytest.raises(WrongHost, match="says that it is"):
            taken(discover(other), [answer(said)])
    assert endpoint("http://127.0.0.1:1/t") == "http://127.0.0.1:1/t"
