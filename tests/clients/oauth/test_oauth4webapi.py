"""npm's oauth4webapi drives every grant, and checks access tokens offline as an API would.

It is one scenario (tests/clients/node/oauth4webapi.mjs); each of its outcomes is a test by name.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.clients.installed import NODE_PROGRAMS
from tests.clients.oauth.outcomes import came, found_wrong, refused

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SCOPES = "email offline_access openid storage:read"
ANOTHER = found_wrong("OAUTH_JWT_CLAIM_COMPARISON_FAILED")
EXPECTED = {
    "discovery": came({"same": True, "iss": "ISSUER"}),
    "discovery, of another issuer": found_wrong("OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED"),
    "client credentials": came(
        {"token_type": "bearer", "expires_in": 600, "scope": "storage:read"}
    ),
    "client credentials, more than was granted": refused("invalid_scope"),
    "client credentials, wrong secret": refused("invalid_client", 401),
    "introspection": came({"active": True, "scope": "storage:read"}),
    "exchange": came("storage:read"),
    "revocation": came({"active": False}),
    "code": came(SCOPES),
    "userinfo": came({"own": True}),
    "code, again": refused("invalid_grant"),
    "code, wrong verifier": refused("invalid_grant"),
    "code, another port": refused("invalid_grant"),
    "code, another nonce": ANOTHER,
    "refresh": came({"another": True, "scope": SCOPES}),
    "refresh, again later": refused("invalid_grant"),
    "refresh, of the family": refused("invalid_grant"),
    "introspection, of the family": came({"active": False}),
    "device, pending": refused("authorization_pending"),
    "device, allowed": came("storage:read"),
    "device, again": refused("invalid_grant"),
    "device, too late": refused("expired_token"),
    "offline": came("storage:read"),
    "offline, ended": found_wrong("OAUTH_JWT_TIMESTAMP_CHECK_FAILED"),
    "offline, for another audience": ANOTHER,
    "offline, of another issuer": ANOTHER,
    "offline, altered claims": found_wrong(),
    "offline, altered signature": found_wrong(),
    "offline, unsigned": found_wrong(),
    "offline, an ID token": found_wrong(),
}


@pytest.fixture(scope="module")
def told(stage, tmp_path_factory) -> dict[str, Any]:
    """What came of the scenario, step by step."""
    program = NODE_PROGRAMS / "oauth4webapi.mjs"
    found: dict[str, Any] = stage.run("node", program, home=tmp_path_factory.mktemp("home"))
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_each_step_ends_as_the_rfcs_have_it(told, name):
    assert told[name] == EXPECTED[name]


def test_no_step_is_left_out(told):
    assert told.keys() == EXPECTED.keys()
