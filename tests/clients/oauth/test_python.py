"""Authlib and requests-oauthlib, as installed from PyPI, drive the provider.

Each is one scenario (tests/clients/programs/oauth_….py); each of its outcomes is a test by name.
requests-oauthlib reads no ID token and no `iss`, and asks without PKCE unless it is told to.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.clients.installed import PROGRAMS, client
from tests.clients.oauth.outcomes import came

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def refused(error: str) -> dict[str, Any]:
    return {"refused": error}


ENDED = {
    "code, again": refused("invalid_grant"),
    "code, altered state": refused("mismatching_state"),
    "refresh, again later": refused("invalid_grant"),
    "refresh, of the family": refused("invalid_grant"),
}
EXPECTED = {
    "oauth_authlib": ENDED
    | {
        "client credentials": came({"scope": "storage:read", "active": False}),
        "exchange": came("storage:read"),
        "code": came(
            {
                "wrong": None,
                "own": True,
                "another nonce": "invalid_claim",
                "for another client": "invalid_claim",
                "tampered": "bad_signature",
            }
        ),
        "code, says its issuer": came({"named": True}),
        "code, wrong verifier": refused("invalid_grant"),
        "refresh": came({"another": True, "active": False}),
        "device, pending": refused("authorization_pending"),
        "device": came("storage:read"),
    },
    "oauth_requests": ENDED
    | {
        "client credentials": came(["storage:read"]),
        "code": came({"scope": ["offline_access", "storage:read"], "another": True}),
        "code, without PKCE": refused("invalid_request"),
        "code, plain PKCE": refused("invalid_request"),
    },
}


@pytest.fixture(scope="module")
def told(stage, tmp_path_factory) -> dict[str, Any]:
    """What came of each scenario, step by step."""
    return {
        program: stage.run(
            client("python"), PROGRAMS / f"{program}.py", home=tmp_path_factory.mktemp(program)
        )
        for program in EXPECTED
    }


@pytest.mark.parametrize(
    ("program", "name"), [(program, name) for program in EXPECTED for name in EXPECTED[program]]
)
def test_each_step_ends_as_the_rfcs_have_it(told, program, name):
    assert told[program][name] == EXPECTED[program][name]


@pytest.mark.parametrize("program", EXPECTED)
def test_no_step_is_left_out(told, program):
    assert told[program].keys() == EXPECTED[program].keys()
