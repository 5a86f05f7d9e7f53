"""Take secrets out of text before anyone else sees it.

Rule of this file: the kinds say what their secrets look like; what any HTTP program might carry
is listed here. Group 1 of a pattern is the part that may stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

MASK = "***"

_GENERAL = (
    r"(?i:(\b(?:proxy-)?authorization['\"]?\s*[:=,]\s*[b'\"]*(?:bearer|basic)\s+))[^\s'\",;)]+",
    r"(?i:(\b(?:x-api-key|x-auth-token|x-subject-token|x-teracloud-api-key)['\"]?\s*[:=,]\s*[b'\"]*))[^\s'\",;)]+",
    r"(?i:((?:;|%3b)api_key=))[^;/?&\s'\"]+",
    r"(?i:(\b(?:bearer|basic)\s+))[A-Za-z0-9._~+/=-]{8,}",
    r"(?i:(\"?(?:password|secret|token)\"?\s*[:=]\s*\"?))[^\s\"',;}]+",
)


def redactor(patterns: Iterable[str] = ()) -> Callable[[str], str]:
    """Return a function that masks every secret which the patterns or common sense recognise."""
    compiled = [re.compile(pattern) for pattern in (*patterns, *_GENERAL)]

    def redact(text: str) -> str:
        for pattern in compiled:
            text = pattern.sub(lambda found: f"{found[1]}{MASK}", text)
        return text

    return redact
