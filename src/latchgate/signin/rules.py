"""What a new password must be: the rules of NIST SP 800-63B-4, §3.1.1.2.

Rule of this file: length and a blocklist, nothing else. No characters are demanded, nothing is cut
off, no password ends by age; each refusal says which rule and what would be right. Pure, but slow
(up to 0.3 s): not for an event loop.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from latchgate.core.basic import MAX_PASSWORD, is_system_made

MIN_LENGTH = 15  # characters: it is the only factor
_MIN_OWN = 8  # what must be left once the words that everybody guesses first are gone
_WINDOW = 72  # more than that the estimate does not read at once
# Below this many guesses it is a common one, a repetition or a sequence, whatever its length.
_MIN_GUESSES = 10**8
_SHORTEST_WORD = 3
_PRODUCT = ("latchgate", "password", "passwort", "admin", "administrator")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BETWEEN = re.compile(r"[\s._@-]")
_ADVICE = "Several unrelated words make a good one."


def normalized(password: str) -> str:
    """Return a password in the form that is hashed and compared: NFC, and nothing cut off."""
    return unicodedata.normalize("NFC", password)


def password_faults(password: str, *, known: Iterable[str]) -> list[str]:
    """Say which rules a new password (NFC) breaks, and what would be right; none when it may be.

    `known` are words that belong to this account: login name, e-mail, the provider's names.
    """
    length = len(password)
    if length < MIN_LENGTH:
        return [f"has {length} characters; at least {MIN_LENGTH} are needed. {_ADVICE}"]
    if length > MAX_PASSWORD:
        return [f"has {length} characters; at most {MAX_PASSWORD} are taken, none is cut off"]
    if _CONTROL.search(password):
        return ["holds a control character, which no client can send; leave it out"]
    if is_system_made(password):
        return ["is spelled like a password that Latchgate issues; choose one of your own"]
    words = sorted(_words(known), key=len, reverse=True)
    if _left(password, words) < _MIN_OWN:
        told = "is little more than the login name or the names of the provider and the product"
        return [f"{told}, which are guessed first. {_ADVICE}"]
    weakness = _weakness(password, words)
    if weakness is not None:
        return [f"is easily guessed: {weakness} {_ADVICE}"]
    return []


def _words(known: Iterable[str]) -> set[str]:
    found = set(_PRODUCT)
    for text in known:
        parts = re.split(r"[^\w]+|_", text.casefold())
        found |= {part for part in (text.casefold(), *parts) if len(part) >= _SHORTEST_WORD}
    return found


def _left(password: str, words: Iterable[str]) -> int:
    """Count the characters that are neither of the words nor stand between them."""
    whole = left = password.casefold()
    for word in words:
        left = left.replace(word, "")
    return len(_BETWEEN.sub("", left)) if left != whole else len(whole)


def _weakness(password: str, words: list[str]) -> str | None:
    """Say why a password is among those that are tried first; None when it is not.

    A long one is as strong as its stronger end: more characters never make it easier.
    """
    # Imported here: its lists are for whoever changes a password, not for every start.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    told = ""
    for window in dict.fromkeys((password[:_WINDOW], password[-_WINDOW:])):
        found = zxcvbn(window, user_inputs=list(words))
        if found["guesses"] >= _MIN_GUESSES:
            return None
        told = str(found["feedback"]["warning"] or "It is a commonly used password.")
    return told
