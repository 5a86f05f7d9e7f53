"""How the steps of a scenario may end, as tests/clients/node/dialogue.mjs tells it."""

from __future__ import annotations

from typing import Any

Outcome = dict[str, Any]


def came(value: object) -> Outcome:
    """It was granted: this came of it."""
    return {"came": value}


def refused(error: str, status: int = 400) -> Outcome:
    """The server answered with an error of RFC 6749 §5.2."""
    return {"refused": {"code": "OAUTH_RESPONSE_BODY_ERROR", "error": error, "status": status}}


def challenged(error: str | None = None) -> Outcome:
    """The server answered 401 with a challenge, and this error in it."""
    told = {} if error is None else {"error": error}
    return {"refused": {"code": "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "status": 401, **told}}


def returned_with(error: str) -> Outcome:
    """The person came back to the client with an error, from the issuer and with its state."""
    return {"refused": {"code": "OAUTH_AUTHORIZATION_RESPONSE_ERROR", "error": error}}


def found_wrong(code: str = "OAUTH_INVALID_RESPONSE") -> Outcome:
    """The client itself found what it was given to be forged."""
    return {"refused": {"code": code}}
