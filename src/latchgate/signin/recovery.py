"""Recovery codes: for whoever lost what they sign in with besides the password.

Rule of this file: each works once. They are drawn, with as much chance in them as any secret that
the system makes, so a plain digest of one is enough.
"""

from __future__ import annotations

from collections.abc import Callable

from latchgate.core.secret import CROCKFORD_LOWER, Secret, digest, draw

COUNT = 10
_LENGTH, _ENTROPY = 26, 25  # 130 bits
_GROUP = 5
# What people take for another sign (Crockford's base 32).
_MISREAD = str.maketrans({"o": "0", "i": "1", "l": "1"})


def codes(entropy: Callable[[int], bytes]) -> list[Secret]:
    """Draw ten, in groups of five signs."""
    drawn = [draw(entropy(_ENTROPY), CROCKFORD_LOWER, _LENGTH) for _ in range(COUNT)]
    return [
        Secret("-".join(text[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP)))
        for text in drawn
    ]


def digest_of(typed: str) -> bytes | None:
    """Return the digest of a code as it was typed; None where it can be none."""
    text = "".join(typed.casefold().replace("-", " ").split()).translate(_MISREAD)
    if len(text) != _LENGTH or not set(text) <= set(CROCKFORD_LOWER):
        return None
    return digest("recovery-code", text)
