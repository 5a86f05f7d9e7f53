"""The reviewed table: Reason × dialect → what the caller is told.

Read a row from left to right: the private reason, then the public answer in each dialect. Many
reasons share an answer on purpose: whoever does not hold the secret learns nothing about the
key. Sources: providers/wayscloud "Authentication Errors" for AUTH_FAILED and
INSUFFICIENT_PERMISSIONS; providers/upcloud "Error response" for AUTHENTICATION_FAILED, its list of
error codes for the rest; providers/teracloud tells no bodies, its clients read 401 as a wrong
user or password and 403 as a wrong API key; Keystone's own messages for "keystone". Where
they are silent, the nearest of their words stands.
"""

from __future__ import annotations

from collections.abc import Mapping

from latchgate.core.dialects.reply import Public
from latchgate.core.reason import Reason


def _p(status: int, code: str, text: str) -> Public:
    return Public(status=status, code=code, text=text)


_W_AUTH = _p(401, "AUTH_FAILED", "Invalid or expired API key")
_W_FORBIDDEN = _p(
    403, "INSUFFICIENT_PERMISSIONS", "API key does not have permission for this service"
)
_W_TLS = _p(403, "TLS_REQUIRED", "Use HTTPS")
_W_DOWN = _p(503, "SERVICE_UNAVAILABLE", "Authentication service unavailable")

_P_FAILED = _p(401, "authentication_failed", "The credential is not valid.")
_P_DOWN = _p(503, "service_unavailable", "The request could not be decided. Try again shortly.")

_U_AUTH = _p(
    401,
    "AUTHENTICATION_FAILED",
    "Authentication failed using the given username and password.",
)
_U_FORBIDDEN = _p(403, "ACTION_FORBIDDEN", "The action is not allowed with this credential.")
_U_TLS = _p(403, "ACTION_FORBIDDEN", "The API is served over HTTPS only.")
_U_DOWN = _p(503, "SERVICE_UNAVAILABLE", "The service is temporarily unavailable.")

_T_AUTH = _p(401, "authentication_failed", "The user ID or the password is not correct.")
_T_FORBIDDEN = _p(403, "forbidden", "This is not allowed.")
_T_TLS = _p(403, "tls_required", "Use HTTPS (TLS 1.2 or later).")
_T_KEY = _p(403, "api_key_invalid", "The API key is missing or not valid.")
_T_DOWN = _p(503, "service_unavailable", "The service is temporarily unavailable.")

_K_AUTH = _p(401, "Unauthorized", "The request you have made requires authentication.")
_K_FORBIDDEN = _p(403, "Forbidden", "You are not authorized to perform the requested action.")
_K_TLS = _p(403, "Forbidden", "Use HTTPS to make this request.")
_K_DOWN = _p(503, "Service Unavailable", "The service is currently unavailable.")

_AUTH = {"wayscloud": _W_AUTH, "upcloud": _U_AUTH, "teracloud": _T_AUTH, "keystone": _K_AUTH}
_FORBIDDEN = {
    "wayscloud": _W_FORBIDDEN,
    "upcloud": _U_FORBIDDEN,
    "teracloud": _T_FORBIDDEN,
    "keystone": _K_FORBIDDEN,
}
_KEY = {**_FORBIDDEN, "teracloud": _T_KEY}
_DOWN = {
    "wayscloud": _W_DOWN,
    "problem": _P_DOWN,
    "upcloud": _U_DOWN,
    "teracloud": _T_DOWN,
    "keystone": _K_DOWN,
}


def _invalid(short: str, sentence: str) -> Mapping[str, Public]:
    return {
        "wayscloud": _p(400, "INVALID_PARAMETER", short),
        "problem": _p(400, "request_invalid", sentence),
        "upcloud": _p(400, "INVALID_REQUEST", sentence),
        "teracloud": _p(400, "request_invalid", sentence),
        "keystone": _p(400, "Bad Request", sentence),
    }


# fmt: off
_TABLE: Mapping[Reason, Mapping[str, Public]] = {
    Reason.PATH_AMBIGUOUS: _invalid(
        "Request path is ambiguous",
        "The request path can be read in more than one way."),
    Reason.HOST_INVALID: _invalid(
        "Host header is invalid",
        "The Host header is not a host name."),
    Reason.METHOD_INVALID: _invalid(
        "Request method is invalid",
        "The request method is not an HTTP method."),
    Reason.CLIENT_ADDRESS_INVALID: _invalid(
        "Client address is invalid",
        "The client's address could not be read."),
    Reason.REQUEST_INVALID: _invalid(
        "Request is invalid",
        "The request could not be read."),

    Reason.NO_AREA: {
        "wayscloud": _p(404, "NOT_FOUND", "Endpoint not found"),
        "problem": _p(404, "not_found", "Nothing is served at this path."),
        "upcloud": _p(404, "NOT_FOUND", "The requested resource was not found."),
        "teracloud": _p(404, "not_found", "Nothing is served at this path."),
        "keystone": _p(404, "Not Found", "The resource could not be found.")},
    Reason.AREA_CLOSED: {
        **_FORBIDDEN,
        "problem": _p(403, "area_closed", "Nobody is let in at this path yet.")},
    Reason.METHOD_NOT_ALLOWED: {
        "wayscloud": _p(405, "METHOD_NOT_ALLOWED", "Method not allowed"),
        "problem": _p(405, "method_not_allowed", "This path does not take this method."),
        "upcloud": _p(405, "METHOD_NOT_ALLOWED", "The method is not allowed for this resource."),
        "teracloud": _p(405, "method_not_allowed", "This path does not take this method."),
        "keystone": _p(
            405, "Method Not Allowed", "The method is not allowed for the requested URL.")},
    Reason.TLS_REQUIRED: {
        "wayscloud": _W_TLS,
        "problem": _p(403, "tls_required", "This path is served over HTTPS only."),
        "upcloud": _U_TLS, "teracloud": _T_TLS, "keystone": _K_TLS},
    Reason.DESTINATION_OUTSIDE: {
        **_FORBIDDEN,
        "problem": _p(403, "destination_outside", "COPY and MOVE stay in their area.")},
    Reason.PREFLIGHT_MALFORMED: _invalid(
        "Preflight request is malformed",
        "A preflight needs Origin and Access-Control-Request-Method."),

    Reason.CREDENTIAL_MISSING: {
        **_AUTH,
        "problem": _p(401, "authentication_required", "This path needs a credential.")},
    Reason.CREDENTIAL_MALFORMED: {**_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIAL_REPEATED: {**_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIALS_AMBIGUOUS: {**_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIAL_NOT_ACCEPTED: {**_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIAL_UNKNOWN: {**_AUTH, "problem": _P_FAILED},
    Reason.SECRET_WRONG: {**_AUTH, "problem": _P_FAILED},
    Reason.PASSWORD_THROTTLED: {**_AUTH, "problem": _P_FAILED},

    Reason.CREDENTIAL_REVOKED: {
        **_AUTH,
        "problem": _p(401, "credential_revoked", "The credential was revoked.")},
    Reason.CREDENTIAL_EXPIRED: {
        **_AUTH,
        "problem": _p(401, "credential_expired", "The credential has expired.")},
    Reason.CREDENTIAL_SUPERSEDED: {
        **_AUTH,
        "problem": _p(
            401, "credential_superseded", "The credential was rotated, and its grace has ended.")},
    Reason.CREDENTIAL_DISABLED: {
        **_AUTH,
        "problem": _p(401, "credential_disabled", "The credential is disabled.")},
    Reason.OWNER_MISSING: {**_AUTH, "problem": _P_FAILED},
    Reason.OWNER_DISABLED: {
        **_AUTH,
        "problem": _p(401, "owner_disabled", "The credential's owner is disabled.")},
    Reason.OWNER_WITHOUT_API: {
        **_AUTH,
        "problem": _p(401, "owner_without_api", "The credential's owner may not use the API.")},
    Reason.TENANT_SUSPENDED: {
        **_AUTH,
        "problem": _p(401, "tenant_suspended", "The credential's tenant is suspended.")},
    Reason.PROJECT_DISABLED: {
        **_AUTH,
        "problem": _p(401, "project_disabled", "The credential's project is disabled.")},
    Reason.PARENT_GONE: {
        **_AUTH,
        "problem": _p(401, "parent_gone", "The credential this one came from no longer stands.")},
    Reason.ROLES_WITHDRAWN: {
        **_AUTH,
        "problem": _p(401, "roles_withdrawn", "None of the credential's roles is held any more.")},
    Reason.BASIC_NOT_ENABLED: {
        **_AUTH,
        "problem": _p(401, "basic_not_enabled", "Basic is not enabled with this password.")},
    Reason.NETWORK_NOT_ALLOWED: {
        **_FORBIDDEN,
        "problem": _p(403, "network_not_allowed", "The credential may not be used from here.")},

    Reason.SERVICE_NOT_GRANTED: {
        **_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential is not for this service.")},
    Reason.SCOPE_NOT_GRANTED: {
        **_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential lacks the scope for this.")},
    Reason.OWNER_LACKS_SCOPE: {
        **_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential's owner may not do this.")},
    Reason.PARENT_LACKS_SCOPE: {
        **_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential this one came from lacks it.")},

    Reason.ACCESS_RULE_MISSING: {
        **_FORBIDDEN,
        # Keystone's own answer to a request that no access rule names.
        "keystone": _K_AUTH,
        "problem": _p(403, "access_rule_missing", "No access rule names this request.")},

    Reason.APPLICATION_MISSING: {
        **_KEY,
        "problem": _p(403, "application_key_required", "This path needs an API key as well.")},
    Reason.APPLICATION_MALFORMED: {
        **_KEY,
        "problem": _p(403, "application_key_invalid", "The application's key is not valid.")},
    Reason.APPLICATION_UNKNOWN: {
        **_KEY,
        "problem": _p(403, "application_key_invalid", "The application's key is not valid.")},
    Reason.APPLICATION_KEY_REVOKED: {
        **_KEY,
        "problem": _p(403, "application_key_revoked", "The application's key was revoked.")},
    Reason.APPLICATION_KEY_OF_ANOTHER: {
        **_KEY,
        "problem": _p(403, "application_blocked", "The application's key is another user's.")},
    Reason.APPLICATION_NOT_APPROVED: {
        **_KEY,
        "problem": _p(403, "application_not_approved", "The application is not approved.")},
    Reason.APPLICATION_BLOCKED: {
        **_KEY,
        "problem": _p(403, "application_blocked", "The application may not act for this user.")},

    Reason.PASSWORDS_BUSY: _DOWN,
    Reason.GATEWAY_INCOMPLETE: _DOWN,
    Reason.GATEWAY_NOT_TRUSTED: {
        **_DOWN,
        "problem": _p(403, "gateway_not_trusted", "Only configured gateways may ask here.")},
    Reason.STORE_UNAVAILABLE: _DOWN,
    Reason.POLICY_MISSING: _DOWN,
    Reason.SHADOW_UNANSWERED: _DOWN,
    Reason.FAULT: _DOWN,
}
# fmt: on
# UpCloud's newer endpoints say the same in another shape.
TABLE: Mapping[Reason, Mapping[str, Public]] = {
    reason: {**row, "upcloud_problem": row["upcloud"]} for reason, row in _TABLE.items()
}

# RFC 6750 §3.1: the error of a challenge, by status; none when no credential was sent.
_CHALLENGED = {401: "invalid_token", 403: "insufficient_scope"}
_SILENT = frozenset({Reason.CREDENTIAL_MISSING})
_SCOPED = frozenset(
    {
        Reason.SERVICE_NOT_GRANTED,
        Reason.SCOPE_NOT_GRANTED,
        Reason.OWNER_LACKS_SCOPE,
        Reason.PARENT_LACKS_SCOPE,
    }
)


def challenge_error(reason: Reason, status: int) -> str | None:
    """Return the `error` of the challenge that goes with a refusal, if one does."""
    return None if reason in _SILENT else _CHALLENGED.get(status)


def challenged(reason: Reason, status: int) -> bool:
    """Whether a challenge goes with it: every 401, and a 403 that a wider scope would open."""
    return status == 401 or reason in _SCOPED  # noqa: PLR2004 - RFC 9110 §15.5.2
