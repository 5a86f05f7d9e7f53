"""What a server says, made fit to be shown: no secret in it, no control character.

Rule of this file: a server may give back what was sent to it, spelled otherwise. So a secret is
looked for in the text and in what is left of it when it is decoded, and its base64 (Basic) by the
part that does not depend on what stands before it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from latchgate.client.secret import MASK, Secret

_ROUNDS = 3  # of decoding: whoever encodes oftener does not do it by accident
_LOOKED_AT = 16 * 1024  # characters
_MOST, _LONGEST = 50, 200  # facts, and characters of one
_CODED = 6  # characters that the most verbose spelling of one takes: \u0041
_TELLING = 4  # characters of base64 that are no coincidence
_RUN = re.compile("[A-Za-z0-9+/_-]+(?:=|%3D)*", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/bfnrt]))")
_NAMED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_STANDARD = str.maketrans("-_", "+/")


def shown(text: str, secrets: Iterable[Secret], *, longest: int) -> str:
    """Return a text on one line, without the secrets, and no longer than so many characters."""
    wanted = [_Wanted.of(one.reveal()) for one in secrets if one.reveal()]
    plain = _masked(text[:_LOOKED_AT], wanted)
    if len(text) > _LOOKED_AT and wanted:
        # What was cut off may be the end of a secret, whose beginning is then not known again.
        plain = plain[: -_CODED * max(one.length for one in wanted)]
    plain = " ".join("".join(map(_visible, plain)).split())
    return plain if len(plain) <= longest else f"{plain[:longest]}{MASK}"


def facts(told: Mapping[str, object], secrets: Iterable[Secret]) -> dict[str, str]:
    """Return what an object's members say, fit to be shown; those that hold others are left out."""
    kept = tuple(secrets)
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in islice(told.items(), _MOST)
        if isinstance(value, str | int | float) and value != ""
    }
    return {
        shown(name, kept, longest=_LONGEST): shown(text, kept, longest=_LONGEST)
        for name, text in texts.items()
    }


class _Wanted(NamedTuple):
    """What a secret is known by: its text in any case, and what every base64 of it holds."""

    length: int
    spelled: re.Pattern[str]
    cores: frozenset[str]

    @classmethod
    def of(cls, text: str) -> _Wanted:
        raw = text.encode("utf-8", "surrogatepass")
        # Headers are read as Latin-1. A server that lower-cases gives most of a secret away.
        either = {text, raw.decode("latin-1")}
        spelled = re.compile("|".join(map(re.escape, sorted(either))), re.IGNORECASE)
        cores = (_core(raw, lead) for lead in range(3))
        return cls(len(text), spelled, frozenset(one for one in cores if len(one) >= _TELLING))

    def without(self, text: str) -> str:
        """Return a text with the secret masked."""
        text = self.spelled.sub(MASK, text)
        return _RUN.sub(self._run, text) if self.cores else text

    def _run(self, match: re.Match[str]) -> str:
        run = match[0].translate(_STANDARD)
        return MASK if any(core in run for core in self.cores) else match[0]


def _masked(text: str, wanted: list[_Wanted]) -> str:
    # Loaded when it is needed: its table of names takes longer than all of this package.
    from html import unescape  # noqa: PLC0415

    text = _without(text, wanted)
    for unquoted in (unquote, unquote_plus):  # a plus may be one, or a space
        view = text
        for _ in range(_ROUNDS):
            before = view
            for decode in (unquoted, _unescaped, unescape):
                decoded: str = decode(view)
                view = _without(decoded, wanted)
                if view != decoded:
                    text = view
            if view == before:
                break
    return text


def _without(text: str, wanted: Iterable[_Wanted]) -> str:
    for one in wanted:
        text = one.without(text)
    return text


def _core(raw: bytes, lead: int) -> str:
    """Return the part of base64 that is the same whatever the bytes before and after are."""
    coded = base64.b64encode(bytes(lead) + raw).decode().rstrip("=")
    return coded[(lead * 8 + 5) // 6 : (lead + len(raw)) * 8 // 6]


def _unescaped(text: str) -> str:
    plain = _ESCAPE.sub(_character, text)
    # JSON escapes what lies beyond U+FFFF in two halves (RFC 8259 §7), which are joined here.
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _character(match: re.Match[str]) -> str:
    number = match[1] or match[2]
    return chr(int(number, 16)) if number else _NAMED.get(match[3], match[3])


def _visible(char: str) -> str:
    if char.isspace():
        return " "
    return char if char.isprintable() else char.encode("unicode_escape").decode()
