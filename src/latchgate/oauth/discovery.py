"""Where everything is, and what this server does: the documents that clients configure by.

Rule of this file: every address begins with the issuer, as configured; nothing is taken from a
request (ATTACKS D1). Source: RFC 8414; OpenID Connect Discovery §3; RFC 9207 §3; RFC 8628 §4.
"""

from __future__ import annotations

from typing import Any

from latchgate.core.policy import Policy
from latchgate.keyring.jwt import ALGORITHM, public_jwk
from latchgate.keyring.signing import Purpose
from latchgate.manage import signing_keys
from latchgate.oauth import userinfo
from latchgate.oauth.clients import GrantType
from latchgate.oauth.scopes import OPENID_SCOPES
from latchgate.oauth.server import AuthorizationServer

OPENID_CONFIGURATION = "/.well-known/openid-configuration"
METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/oauth/jwks"
AUTHORIZE = "/oauth/authorize"
TOKEN = "/oauth/token"  # noqa: S105 - a path
DEVICE = "/oauth/device_authorization"
REVOKE = "/oauth/revoke"
INTROSPECT = "/oauth/introspect"
USERINFO = "/oauth/userinfo"
LOGOUT = "/oauth/logout"
VERIFICATION = "/device"
# What was signed just before a key was replaced is checked for as long as it lasts, and a while.
_LATE_SECONDS = 3_600.0
_SECRETS = ["client_secret_basic", "client_secret_post"]


def metadata(server: AuthorizationServer) -> dict[str, Any]:
    """Return the document of both well-known addresses."""
    issuer = server.issuer
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "token_endpoint": issuer + TOKEN,
        "device_authorization_endpoint": issuer + DEVICE,
        "revocation_endpoint": issuer + REVOKE,
        "introspection_endpoint": issuer + INTROSPECT,
        "userinfo_endpoint": issuer + USERINFO,
        "end_session_endpoint": issuer + LOGOUT,
        "jwks_uri": issuer + JWKS,
        "scopes_supported": scopes(server.engine.policy),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "grant_types_supported": [str(one) for one in GrantType if one.value.find("introsp") < 0],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*_SECRETS, "none"],
        "revocation_endpoint_auth_methods_supported": [*_SECRETS, "none"],
        "introspection_endpoint_auth_methods_supported": _SECRETS,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            *("iss", "aud", "azp", "exp", "iat", "nonce", "auth_time", "amr", "at_hash"),
            *userinfo.CLAIMS,
        ],
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def scopes(policy: Policy) -> list[str]:
    """Return every scope that a client can be registered for, OpenID Connect's own first."""
    return [
        *sorted(OPENID_SCOPES),
        *sorted(scope for service in policy.services.values() for scope in service.scopes),
    ]


def key_set(server: AuthorizationServer) -> dict[str, Any]:
    """Return the keys that tokens are checked with: of now, of next, and of just before."""
    since = server.clock() - server.kind.lifetime - _LATE_SECONDS
    keys = signing_keys.published(server.store, Purpose.OAUTH, since=since)
    return {"keys": [public_jwk(public, key_id) for key_id, public in keys]}
