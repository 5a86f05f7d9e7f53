"""Take secrets out of text before anyone else sees it.

Rule of this file: the kinds say what their secrets look like; what any HTTP program might carry
is listed here. Group 1 of a pattern is the part that may stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"

_QUOTE = r"\\*[\"']"  # as often escaped as the text was put into JSON
_VALUE = r"""(?:\\*"(?:[^"\\]|\\.)*|\\*'(?:[^'\\]|\\.)*|[^\s"',;}]+)"""
_SCHEME = "(?:bearer|basic)"
_HEADERS = "(?:x-api-key|x-auth-token|x-subject-token|x-teracloud-api-key)"
_GENERAL = (
    # What is known by its spelling goes first: what follows may end within it, at a slash.
    r"(\beyJ)[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?",  # a JSON Web Token
    # A webhook's secret, which is of no kind either; in a URL its base64 is escaped.
    r"(whsec_)(?:[A-Za-z0-9+/_-]|%2[BbFf]){16,}(?:=|%3[Dd]){0,2}",
    r"(lgdev_)[0-9A-Za-z]{8,}",  # an application's developer, who is of no kind
    rf"(?i:(\b(?:proxy-)?authorization(?:{_QUOTE})?\s*[:=,]\s*b?(?:{_QUOTE})?{_SCHEME}\s+))[^\s'\",;)]+",
    rf"(?i:(\b{_HEADERS}(?:{_QUOTE})?\s*[:=,]\s*b?)){_VALUE}",
    r"(?i:((?:[;?&]|%3b|%3f|%26)api_key=))[^;/?&\s'\"]+",
    rf"(?i:(\b{_SCHEME}\s+))[A-Za-z0-9._~+/=-]{{8,}}",
    rf"(?i:((?:password|secret|token)(?:{_QUOTE})?\s*[:=]\s*)){_VALUE}",
)


class Redactor:
    """Masks every secret which the kinds' patterns or common sense recognise."""

    def __init__(self) -> None:
        self._patterns = tuple(re.compile(pattern) for pattern in _GENERAL)
        self._known: frozenset[str] = frozenset()

    def learn(self, patterns: Iterable[str]) -> None:
        """Mask these too from now on; nothing is ever forgotten, for old keys are keys still."""
        new = tuple(dict.fromkeys(pattern for pattern in patterns if pattern not in self._known))
        self._patterns = (*(re.compile(pattern) for pattern in new), *self._patterns)
        self._known |= frozenset(new)  # last: whoever sees that more is learnt has it masked

    @property
    def learnt(self) -> int:
        """How many patterns were learnt: the same number, the same masking."""
        return len(self._known)

    def __call__(self, text: str) -> str:
        """Return the text with every secret masked."""
        for pattern in self._patterns:
            text = pattern.sub(_masked, text)
        return text


def _masked(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}"


def redactor(patterns: Iterable[str] = ()) -> Redactor:
    """Return a Redactor that has learnt `patterns`."""
    made = Redactor()
    made.learn(patterns)
    return made
