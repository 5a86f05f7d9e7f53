"""ID tokens of external providers: judged once their signature was proven.

Rule of this file: everything that is expected is told, and what is missing is wrong. Source: OpenID
Connect Core §3.1.3.7, §3.1.3.8; RFC 9700 §2.1.2 (nonce), §4.4 (mix-up).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latchgate.core.assertion import LEEWAY, subject_fault
from latchgate.core.secret import Secret

LATE_SECONDS = 600.0  # after its issue: it is fetched as soon as it is made
_TYPES = frozenset({"id", "jwt"})
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512", "EdDSA": "sha512"}
_LATEST = 1e15  # beyond any date


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token must say: of whom, for whom, to which question, with which others.

    `since` is when its user must have signed in at the earliest (Unix seconds), if that is asked.
    """

    issuer: str
    client_id: str
    nonce: Secret
    algorithm: str
    code: Secret
    access_token: Secret | None
    since: float | None


def id_token_fault(claims: Mapping[str, Any], expected: Expected, now: float) -> str | None:
    """Say why proven claims don't sign anybody in; None when they do."""
    if claims.get("iss") != expected.issuer:
        return "its iss is another issuer"
    fault = _audience_fault(claims, expected.client_id)
    if fault is not None:
        return fault
    kind = claims.get("typ", "ID")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        return "its typ is none of an ID token"
    nonce = claims.get("nonce")
    if not _same(nonce, expected.nonce.reveal()):
        return "its nonce is not the one that was sent"
    return (
        _time_fault(claims, expected, now)
        or _hash_fault(claims, "at_hash", expected.access_token, expected.algorithm)
        or _hash_fault(claims, "c_hash", expected.code, expected.algorithm)
        or subject_fault(claims)
    )


def signed_in_at(claims: Mapping[str, Any]) -> float | None:
    """Return when somebody last proved there that it is they (Unix seconds); None if not told."""
    return _instant(claims.get("auth_time"))


def _audience_fault(claims: Mapping[str, Any], client_id: str) -> str | None:
    audience, party = claims.get("aud"), claims.get("azp")
    meant = audience if isinstance(audience, list) else [audience]
    if client_id not in meant:
        return "its aud is another client"
    if party is not None and party != client_id:
        return "its azp is another client"
    if len(meant) > 1 and party is None:
        return "its aud names several and it has no azp"
    return None


def _time_fault(claims: Mapping[str, Any], expected: Expected, now: float) -> str | None:
    ends, issued = _instant(claims.get("exp")), _instant(claims.get("iat"))
    if ends is None or issued is None:
        return "it has no exp or iat that is a number"
    if now >= ends:
        return "it has expired"
    if not now - LATE_SECONDS <= issued <= now + LEEWAY:
        return "its iat is not now"
    begins = _instant(claims.get("nbf", issued))
    if begins is None or begins > now + LEEWAY:
        return "it does not hold yet"
    if expected.since is not None:
        at = signed_in_at(claims)
        if at is None or not expected.since - LEEWAY <= at <= now + LEEWAY:
            return "its auth_time does not say that its user signed in anew"
    return None


def _hash_fault(
    claims: Mapping[str, Any], name: str, text: Secret | None, algorithm: str
) -> str | None:
    """Compare the left half of a hash (OpenID Connect Core §3.1.3.6), where there is one."""
    told = claims.get(name)
    if told is None:
        return None
    ending = algorithm if algorithm == "EdDSA" else algorithm[-3:]
    # Ed25519 hashes with SHA-512 (RFC 8032 §5.1).
    hashed = hashlib.new(_HASHES.get(ending, "sha512"), (text or Secret("")).reveal().encode())
    half = base64.urlsafe_b64encode(hashed.digest()[: hashed.digest_size // 2])
    if not _same(told, half.decode().rstrip("=")):
        return f"its {name} is of something else"
    return None


def _same(told: object, wanted: str) -> bool:
    """Compare what a token says with ASCII text, in the same time whatever it says."""
    return isinstance(told, str) and told.isascii() and hmac.compare_digest(told, wanted)


def _instant(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) < _LATEST else None
