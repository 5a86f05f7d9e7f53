"""The reviewed table: Reason × dialect → what the caller is told.

Read a row from left to right: the private reason, then the public answer in each dialect. Many
reasons share an answer on purpose: whoever does not hold the secret learns nothing about the
key. Sources: providers/wayscloud "Authentication Errors" for AUTH_FAILED and
INSUFFICIENT_PERMISSIONS; its documents are silent on the rest.
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
_W_DOWN = _p(503, "SERVICE_UNAVAILABLE", "Authentication service unavailable")

_P_FAILED = _p(401, "authentication_failed", "The credential is not valid.")
_P_DOWN = _p(503, "service_unavailable", "The request could not be decided. Try again shortly.")


def _w_invalid(text: str) -> Public:
    return _p(400, "INVALID_PARAMETER", text)


def _p_invalid(text: str) -> Public:
    return _p(400, "request_invalid", text)


# fmt: off
TABLE: Mapping[Reason, Mapping[str, Public]] = {
    Reason.PATH_AMBIGUOUS: {
        "wayscloud": _w_invalid("Request path is ambiguous"),
        "problem": _p_invalid("The request path can be read in more than one way.")},
    Reason.HOST_INVALID: {
        "wayscloud": _w_invalid("Host header is invalid"),
        "problem": _p_invalid("The Host header is not a host name.")},
    Reason.METHOD_INVALID: {
        "wayscloud": _w_invalid("Request method is invalid"),
        "problem": _p_invalid("The request method is not an HTTP method.")},
    Reason.CLIENT_ADDRESS_INVALID: {
        "wayscloud": _w_invalid("Client address is invalid"),
        "problem": _p_invalid("The client's address could not be read.")},
    Reason.REQUEST_INVALID: {
        "wayscloud": _w_invalid("Request is invalid"),
        "problem": _p_invalid("The request could not be read.")},

    Reason.NO_AREA: {
        "wayscloud": _p(404, "NOT_FOUND", "Endpoint not found"),
        "problem": _p(404, "not_found", "Nothing is served at this path.")},
    Reason.METHOD_NOT_ALLOWED: {
        "wayscloud": _p(405, "METHOD_NOT_ALLOWED", "Method not allowed"),
        "problem": _p(405, "method_not_allowed", "This path does not take this method.")},
    Reason.PREFLIGHT_MALFORMED: {
        "wayscloud": _w_invalid("Preflight request is malformed"),
        "problem": _p_invalid("A preflight needs Origin and Access-Control-Request-Method.")},

    Reason.CREDENTIAL_MISSING: {
        "wayscloud": _W_AUTH,
        "problem": _p(401, "authentication_required", "This path needs a credential.")},
    Reason.CREDENTIAL_MALFORMED: {"wayscloud": _W_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIAL_REPEATED: {"wayscloud": _W_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIALS_AMBIGUOUS: {"wayscloud": _W_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIAL_NOT_ACCEPTED: {"wayscloud": _W_AUTH, "problem": _P_FAILED},
    Reason.CREDENTIAL_UNKNOWN: {"wayscloud": _W_AUTH, "problem": _P_FAILED},
    Reason.SECRET_WRONG: {"wayscloud": _W_AUTH, "problem": _P_FAILED},

    Reason.CREDENTIAL_REVOKED: {
        "wayscloud": _W_AUTH,
        "problem": _p(401, "credential_revoked", "The credential was revoked.")},
    Reason.CREDENTIAL_EXPIRED: {
        "wayscloud": _W_AUTH,
        "problem": _p(401, "credential_expired", "The credential has expired.")},
    Reason.OWNER_MISSING: {"wayscloud": _W_AUTH, "problem": _P_FAILED},
    Reason.OWNER_DISABLED: {
        "wayscloud": _W_AUTH,
        "problem": _p(401, "owner_disabled", "The credential's owner is disabled.")},
    Reason.TENANT_SUSPENDED: {
        "wayscloud": _W_AUTH,
        "problem": _p(401, "tenant_suspended", "The credential's tenant is suspended.")},
    Reason.PROJECT_DISABLED: {
        "wayscloud": _W_AUTH,
        "problem": _p(401, "project_disabled", "The credential's project is disabled.")},
    Reason.PARENT_GONE: {
        "wayscloud": _W_AUTH,
        "problem": _p(401, "parent_gone", "The credential this one came from no longer stands.")},
    Reason.NETWORK_NOT_ALLOWED: {
        "wayscloud": _W_FORBIDDEN,
        "problem": _p(403, "network_not_allowed", "The credential may not be used from here.")},

    Reason.SERVICE_NOT_GRANTED: {
        "wayscloud": _W_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential is not for this service.")},
    Reason.SCOPE_NOT_GRANTED: {
        "wayscloud": _W_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential lacks the scope for this.")},
    Reason.OWNER_LACKS_SCOPE: {
        "wayscloud": _W_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential's owner may not do this.")},
    Reason.PARENT_LACKS_SCOPE: {
        "wayscloud": _W_FORBIDDEN,
        "problem": _p(403, "insufficient_scope", "The credential this one came from lacks it.")},

    Reason.GATEWAY_INCOMPLETE: {"wayscloud": _W_DOWN, "problem": _P_DOWN},
    Reason.GATEWAY_NOT_TRUSTED: {
        "wayscloud": _W_DOWN,
        "problem": _p(403, "gateway_not_trusted", "Only configured gateways may ask here.")},
    Reason.STORE_UNAVAILABLE: {"wayscloud": _W_DOWN, "problem": _P_DOWN},
    Reason.POLICY_MISSING: {"wayscloud": _W_DOWN, "problem": _P_DOWN},
    Reason.FAULT: {"wayscloud": _W_DOWN, "problem": _P_DOWN},
}
# fmt: on

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
