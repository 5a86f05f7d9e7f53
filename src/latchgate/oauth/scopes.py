"""Scopes as OAuth2 sends them: one text of names, some of them OpenID Connect's own.

Rule of this file: the names of OpenID Connect open nothing here, they say what a client is told;
all others are `service:action`, and `*` is the name of none (RFC 6749 §3.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from latchgate.core.scope import EVERY, Scopes
from latchgate.oauth.errors import Code, OAuthError

OPENID = "openid"
OFFLINE = "offline_access"
OPENID_SCOPES = frozenset({OPENID, "profile", "email", OFFLINE})
MAX_SCOPES = 256
_NAME = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,97}")


def read_scopes(text: str) -> tuple[str, ...]:
    """Read the parameter `scope`: names with one space between, each once, in their order.

    OAuthError invalid_scope for another spelling, or for `*`.
    """
    names = tuple(dict.fromkeys(text.split(" "))) if text else ()
    if len(names) > MAX_SCOPES or not all(_NAME.fullmatch(one) for one in names):
        msg = f"scope holds at most {MAX_SCOPES} names with one space between"
        raise OAuthError(Code.INVALID_SCOPE, msg)
    if EVERY in names:
        raise OAuthError(Code.INVALID_SCOPE, "each scope is named: no name stands for all of them")
    return names


def of_services(names: Iterable[str]) -> Scopes:
    """Return those that open something, which is what a grant holds."""
    return Scopes.of(name for name in names if name not in OPENID_SCOPES and name != EVERY)


def within(names: tuple[str, ...], allowed: Iterable[str], whose: str) -> tuple[str, ...]:
    """Return names if all of them are allowed; OAuthError invalid_scope says `whose` they aren't.

    Which of them is not allowed is not said: it was sent by whoever asks.
    """
    if not set(names) <= set(allowed):
        raise OAuthError(Code.INVALID_SCOPE, f"a scope was asked for that {whose} does not have")
    return names
