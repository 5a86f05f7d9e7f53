"""npm's openid-client drives every grant, and is refused every forged and replayed one.

It is one scenario (tests/clients/node/openid_client.mjs); each of its outcomes is a test by name.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.clients.installed import NODE_PROGRAMS
from tests.clients.oauth.outcomes import came, challenged, found_wrong, refused, returned_with

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

GRANTED = {"token_type": "bearer", "expires_in": 600}
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
SCOPES = "offline_access openid profile storage:read"
PAGE = came({"page": 400})  # told to the person, and sent to nobody

ITSELF = {
    "client credentials": came({**GRANTED, "scope": "storage:read storage:write"}),
    "client credentials, secret in the body": came("storage:read storage:write"),
    "client credentials, one scope": came("storage:read"),
    "client credentials, more than was granted": refused("invalid_scope"),
    "client credentials, wrong secret": challenged(),
    "client credentials, by a client without the grant": refused("unauthorized_client"),
    "introspection, by an API": came(
        {
            "active": True,
            "scope": "storage:read storage:write",
            "own": True,
            "token_type": "Bearer",
            "iss": "ISSUER",
        }
    ),
    "introspection, by a stranger": came({"active": False}),
    "introspection, by a public client": refused("invalid_client", 401),
    "introspection, altered": came({"active": False}),
    "revocation, by a stranger": refused("invalid_grant"),
    "revocation, of nothing": came(None),
    "revocation": came({"active": False}),
    "password grant": refused("unsupported_grant_type"),
    "exchange": came({**GRANTED, "scope": "storage:read", "issued_token_type": ACCESS_TOKEN}),
    "exchange, introspected": came({"active": True, "scope": "storage:read"}),
    "exchange, wider": refused("invalid_scope"),
    "exchange, of a forged key": refused("invalid_grant"),
    "exchange, of an altered token": refused("invalid_grant"),
    "exchange, for a stranger": refused("invalid_target"),
}
SIGNED_IN = {
    "code": came(
        {
            "pressed": ["Allow"],
            "scope": SCOPES,
            "iss": "ISSUER",
            "own": True,
            "amr": ["pwd"],
            "refreshed": "string",
        }
    ),
    "code, when it was consented to before": came({"pressed": []}),
    "code, of a native app on a port of its own": came("bearer"),
    "code, posted": came("bearer"),
    "code, silently": came("bearer"),
    "code, silently with another scope": returned_with("consent_required"),
    "code, denied": returned_with("access_denied"),
    "userinfo": came({"own": True, "names": ["name", "preferred_username", "sub"]}),
    "userinfo, altered token": challenged("invalid_token"),
    "introspection, of a person": came({"active": True}),
    "device": came(
        {"verification_uri": "ISSUER/device", "expires_in": 600, "interval": 5, "typed": 9}
    ),
    "device, pending": refused("authorization_pending"),
    "device, too soon": came("slow_down"),
    "device, another client": refused("invalid_grant"),
    "device, altered": refused("invalid_grant"),
    "device, allowed": came({"scope": "openid storage:read", "active": True}),
    "device, again": refused("invalid_grant"),
    "device, denied": refused("access_denied"),
    "device, too late": refused("expired_token"),
    "device, by a client without the grant": refused("unauthorized_client"),
    "sign-out, to an address of its own": PAGE,
    "sign-out, tampered ID token": PAGE,
    "sign-out, not yet": came("bearer"),
    "sign-out": came({"url": "https://app.example/bye?state=so+long"}),
    "sign-out, done": returned_with("login_required"),
}
DEAD = {"again": "invalid_grant", "stands": False}
REPLAYED = {
    "code, again at once": came({"again": "invalid_grant", "stands": True}),
    "code, again later": came({**DEAD, "refreshed": "invalid_grant"}),
    "code, too late": refused("invalid_grant"),
    "refresh": came({"another": True, "scope": SCOPES}),
    "refresh, again at once": came({"another": True}),
    "refresh, of fewer scopes": came("storage:read"),
    "refresh, of more scopes": refused("invalid_scope"),
    "refresh, by another client": refused("invalid_grant"),
    "refresh, altered": refused("invalid_grant"),
    "refresh, again later": came({**DEAD, "newest": "invalid_grant"}),
    "revocation, of a refresh token": came({"stands": False, "refreshed": "invalid_grant"}),
}
FORGED = {
    "wrong verifier": refused("invalid_grant"),
    "stripped verifier": refused("invalid_request"),
    "wrong client": refused("invalid_grant"),
    "wrong redirect": refused("invalid_grant"),
    "altered code": refused("invalid_grant"),
    "altered state": found_wrong(),
    "missing state": found_wrong(),
    "altered iss": found_wrong(),
    "missing iss": found_wrong(),
    "another nonce": found_wrong("OAUTH_JWT_CLAIM_COMPARISON_FAILED"),
    "tampered ID token, nothing": came("bearer"),
    "tampered ID token, payload": found_wrong(),
    "tampered ID token, signature": found_wrong(),
    "request, without PKCE": returned_with("invalid_request"),
    "request, PKCE without a method": returned_with("invalid_request"),
    "request, plain PKCE": returned_with("invalid_request"),
    "request, implicit": returned_with("unsupported_response_type"),
    "request, more scopes": returned_with("invalid_scope"),
    "request, a request object": returned_with("request_not_supported"),
    "request, no such prompt": returned_with("invalid_request"),
    "request, forged redirect": PAGE,
    "request, redirect below": PAGE,
    "request, redirect with a query": PAGE,
    "request, no such client": PAGE,
}
EXPECTED = ITSELF | SIGNED_IN | REPLAYED | FORGED


@pytest.fixture(scope="module")
def told(stage, tmp_path_factory) -> dict[str, Any]:
    """What came of the scenario, step by step."""
    program = NODE_PROGRAMS / "openid_client.mjs"
    found: dict[str, Any] = stage.run("node", program, home=tmp_path_factory.mktemp("home"))
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_each_step_ends_as_the_rfcs_have_it(told, name):
    assert told[name] == EXPECTED[name]


def test_no_step_is_left_out(told):
    assert told.keys() == EXPECTED.keys()
