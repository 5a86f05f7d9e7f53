"""Statements that an identity provider signed: JSON Web Tokens, read, and judged once proven.

Rule of this file: of what a statement says nothing is believed but where to look; whom it names is
worked out (`identity_digest`) by whoever has checked its signature. Only the compact form of RFC
7515 is read, and strictly: no member twice, no padding, nothing that must be understood and isn't.
Source: RFC 7519; RFC 8725, the current best practice; RFC 9068 for access tokens.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from latchgate.core.secret import Secret, digest

NAMESPACE = "@oidc"  # of links; no policy file can name a namespace so
MAX_LENGTH = 8_192
# RSASSA-PKCS1-v1_5, RSASSA-PSS, ECDSA and EdDSA (RFC 7518 §3.1, RFC 8037, RFC 9864): only public
# keys, so that no key which everybody may read can sign.
ALGORITHMS = frozenset(
    {
        *("RS256", "RS384", "RS512"),
        *("PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512"),
        *("EdDSA", "Ed25519"),
    }
)
LEEWAY = 30.0  # seconds that the provider's clock may be ahead of ours
MAX_AGE = 86_400.0  # seconds after its issue, however late it says that it expires
_PART = re.compile(r"[A-Za-z0-9_-]+")
_SUBJECT = re.compile(r"[!-~][ -~]{0,253}[!-~]|[!-~]")  # at most 255 of ASCII (OpenID Connect §2)
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
_MEANT = frozenset({"bearer", "jwt", "at+jwt"})
_UNREAD = ("crit", "b64", "zip", "enc")


class Issuer(msgspec.Struct, frozen=True):
    """Whose statements are believed: by which keys, meant for whom, signed how."""

    url: str
    jwks_uri: str
    audience: str
    algorithms: tuple[str, ...]


class Assertion(msgspec.Struct, frozen=True):
    """A statement as presented; `key_id` is what it says that it was signed with."""

    token: Secret
    issuer: Issuer
    algorithm: str
    key_id: str | None

    def __repr__(self) -> str:
        return f"Assertion({self.issuer.url}, {self.algorithm})"


class Statement(msgspec.Struct, frozen=True):
    """The two JSON objects of a statement; neither is to be believed yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def read_statement(text: str) -> Statement | str | None:
    """Read a compact JWS; None when the text is none at all, else what is wrong with it."""
    parts = text.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):  # noqa: PLR2004 - RFC 7515 §7.1
        return None
    if len(text) > MAX_LENGTH:
        return f"the token is longer than {MAX_LENGTH}"
    header, claims = (_read_object(part) for part in parts[:2])
    if header is None or claims is None:
        return "the token does not hold two JSON objects with each member once"
    return Statement(header, claims)


def header_fault(header: Mapping[str, Any]) -> str | None:
    """Say what of a header can't be taken; where it says that keys are is never looked at."""
    for name in _UNREAD:
        if name in header:
            return f"the token's header has {name}, which is not taken"
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        return "the token's typ is none of a bearer token"
    if not isinstance(header.get("alg"), str):
        return "the token says no algorithm"
    key_id = header.get("kid")
    if key_id is not None and (not isinstance(key_id, str) or not 0 < len(key_id) <= 255):  # noqa: PLR2004 - generous
        return "the token's kid is not a text of 1 to 255 characters"
    return None


def subject_fault(claims: Mapping[str, Any]) -> str | None:
    """Say why a statement names nobody."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        return "the token's sub is not 1 to 255 ASCII characters"
    return None


def claims_fault(claims: Mapping[str, Any], issuer: Issuer) -> str | None:
    """Say why proven claims are not meant for us, whatever the time."""
    if claims.get("iss") != issuer.url:
        return f"the token's iss is not {issuer.url}"
    audience = claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if issuer.audience not in meant:
        return f"the token's aud does not hold {issuer.audience}"
    kind = claims.get("typ", "Bearer")
    if not isinstance(kind, str) or kind.lower() not in _MEANT:
        # What Keycloak writes into ID, refresh and logout tokens.
        return "the token is of a type that is not for calling APIs"
    if "cnf" in claims:
        return "the token is bound to a key, which a bearer does not prove (RFC 9449 §7.2)"
    if _instant(claims.get("exp")) is None:
        return "the token has no exp that is a number"
    for name in ("nbf", "iat"):
        if name in claims and _instant(claims[name]) is None:
            return f"the token's {name} is not a number"
    return subject_fault(claims)


def lifetime(claims: Mapping[str, Any]) -> tuple[float, float]:
    """Return from when until when proven claims hold, in Unix seconds: while `from <= now < until`.

    ValueError when they were never judged by `claims_fault`.
    """
    until = _instant(claims.get("exp"))
    issued, begins = _instant(claims.get("iat")), _instant(claims.get("nbf"))
    if until is None:
        raise ValueError("the claims have no exp")
    if issued is not None:
        until = min(until, issued + MAX_AGE)
    start = max(issued or 0.0, begins or 0.0)
    return start - LEEWAY, until


def identity(issuer: str, subject: str) -> str:
    """Return what names somebody at an identity provider; an issuer's URL holds no `#`."""
    return f"{issuer}#{subject}"


def identity_digest(issuer: str, subject: str) -> bytes:
    """Return what a link keeps of whom it is for, and what a proven statement is compared with."""
    return digest("oidc identity", identity(issuer, subject))


def valid_subject(text: str) -> bool:
    """Whether a text can be the subject of an identity provider."""
    return _SUBJECT.fullmatch(text) is not None


def _instant(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e15 < value < 1e15 and math.isfinite(value) else None  # noqa: PLR2004 - beyond any date


def _read_object(part: str) -> Mapping[str, Any] | None:
    try:
        held = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        if base64.urlsafe_b64encode(held).decode().rstrip("=") != part:
            return None  # bits left over: two texts for the same bytes
        told = json.loads(held.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (binascii.Error, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        raise ValueError("a member twice")
    return told


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
