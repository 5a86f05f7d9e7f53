"""What a server asks for in `WWW-Authenticate` (RFC 9110 §11.6.1).

Rule of this file: nothing raises. What can't be read ends the list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 §5.6.2
_PART = re.compile(
    rf"""[\s,]*(?:
        (?P<name>{_TOKEN})[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>{_TOKEN}))
        (?=[\s,]|$)
        |(?P<scheme>{_TOKEN})(?:[ ]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?(?=[\s,]|$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LONGEST = 4096  # characters of the header that are read


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: the scheme and the parameters' names in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def challenges(header: str) -> tuple[Challenge, ...]:
    """Return the challenges of a header, or of several joined by commas."""
    text, at = header[:_LONGEST], 0
    found: list[Challenge] = []
    while match := _PART.match(text, at):
        at = match.end()
        if match["scheme"] is not None:
            found.append(Challenge(match["scheme"].lower()))
        elif not found:
            break
        else:
            quoted = match["quoted"]
            value = match["bare"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            found[-1].parameters.setdefault(match["name"].lower(), value)
    return tuple(found)
