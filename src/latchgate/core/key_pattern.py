"""Regular expressions of foreign keys: how random what they match is, and which are too slow.

Rule of this file: a pattern is tried on whatever strangers send and on every line of a log, so it
is read here by a grammar of its own, in which nothing means more than it says: characters, sets,
groups, choices and repetitions that end. All else is refused when it is read, not when it is slow.
"""

from __future__ import annotations

import math
import re
import string
from dataclasses import dataclass
from typing import NoReturn

MIN_BITS = 128
MAX_WAYS = 4_096  # to divide a text among the repetitions: what backtracking could try
MAX_PATTERN = 512
_MAX_REPEAT = 512
_MAX_DEPTH = 16
_LETTERS = frozenset(map(chr, range(0x20, 0x7F)))
_ESCAPABLE = frozenset(string.punctuation) | {" "}
_COUNTS = re.compile(r"\{([0-9]{0,9})(?:(,)([0-9]{0,9}))?\}")


class PatternError(ValueError):
    """A pattern that keys may not have."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """The bits of the shortest text of a part, and in how many ways a text may be matched."""

    bits: float
    ways: int


_PLAIN = _Measure(0.0, 1)


def key_bits(pattern: str) -> float:
    """Return how many random bits the shortest text of a pattern can hold.

    PatternError says what of it may not be written.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"is longer than {MAX_PATTERN} characters")
    found = _Reader(pattern).read()
    if found.ways > MAX_WAYS:
        raise PatternError(
            f"could be matched in {found.ways} ways, {MAX_WAYS} are taken; repeat by number: {{32}}"
        )
    return found.bits


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> _Measure:
        found = self._choice()
        if self._peek():
            self._wrong("a ) that closes nothing")
        return found

    def _wrong(self, what: str) -> NoReturn:
        raise PatternError(f"is no regular expression: {what} at character {self._at + 1}")

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._peek()
        self._at += 1
        return letter

    def _choice(self) -> _Measure:
        """Read what stands between `|`: the shortest counts, and any may match."""
        each = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            each.append(self._sequence())
        return _Measure(min(one.bits for one in each), sum(one.ways for one in each))

    def _sequence(self) -> _Measure:
        bits, ways = 0.0, 1
        while self._peek() not in {"", "|", ")"}:
            one = self._repeated(self._one())
            bits, ways = bits + one.bits, ways * one.ways
        return _Measure(bits, ways)

    def _one(self) -> _Measure:
        letter = self._take()
        if letter == "[":
            return _Measure(math.log2(len(self._set())), 1)
        if letter == "(":
            return self._group()
        if letter == "\\":
            self._escaped()
            return _PLAIN
        if letter in {"^", "$"}:
            raise PatternError("needs no ^, $ or \\b: a key matches it from end to end")
        if letter == ".":
            raise PatternError("may hold characters, sets, groups, | and repetitions alone, no .")
        if letter in {"*", "+", "?"}:
            self._wrong(f"a {letter} that repeats nothing")
        if letter in {"{", "}", "]"}:
            raise PatternError(f"may hold a {letter} of its own as \\{letter} alone")
        self._check(letter)
        return _PLAIN

    def _group(self) -> _Measure:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError(f"may hold groups in groups {_MAX_DEPTH} deep")
        if self._peek() == "?":
            if not self._pattern.startswith("?:", self._at):
                raise PatternError(
                    "may hold (…) and (?:…) as groups: nothing that looks around, or changes"
                    " what letters mean"
                )
            self._at += 2
        found = self._choice()
        if self._take() != ")":
            self._wrong("a ( that nothing closes")
        self._depth -= 1
        return found

    def _repeated(self, one: _Measure) -> _Measure:
        """Read the repetition that follows, if there is one: at most one, and with an end."""
        letter = self._peek()
        if letter in {"*", "+"}:
            self._endless()
        if letter == "?":
            self._at += 1
            least, most = 0, 1
        elif letter == "{":
            least, most = self._counts()
        else:
            return one
        if self._peek() == "?":  # as few as possible: the same texts
            self._at += 1
        if self._peek() in {"*", "+", "?", "{"}:
            self._wrong("a repetition of a repetition")
        if one.ways > 1 and most > 1:
            raise PatternError("may not repeat what holds a repetition or a choice itself")
        return _Measure(one.bits * least, (most - least) * one.ways + 1)

    def _counts(self) -> tuple[int, int]:
        found = _COUNTS.match(self._pattern, self._at)
        if found is None or not (found[1] or found[2]):
            raise PatternError("repeats by {32} or {20,64}; a { of its own is written \\{")
        self._at = found.end()
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3] or _MAX_REPEAT + 1)
        if most > _MAX_REPEAT:
            self._endless()
        if least > most:
            self._wrong("a repetition that ends before it begins")
        return least, most

    def _endless(self) -> NoReturn:
        raise PatternError(
            f"every repetition needs an end, such as {{20,64}}; at most {_MAX_REPEAT}"
        )

    def _escaped(self) -> str:
        letter = self._take()
        if letter in {"b", "B", "A", "Z"}:
            raise PatternError("needs no ^, $ or \\b: a key matches it from end to end")
        if letter in {"w", "W", "d", "D", "s", "S"}:
            raise PatternError(
                "may not use \\w, \\d or \\s: write the characters, such as [0-9a-f]"
            )
        if letter not in _ESCAPABLE:
            raise PatternError("may hold a \\ before a mark alone, such as \\.")
        return letter

    def _check(self, letter: str) -> None:
        if letter not in _LETTERS:
            raise PatternError("may hold visible ASCII characters alone")

    def _set(self) -> set[str]:
        """Return the characters of a set, whose [ has been read."""
        if self._peek() == "^":
            raise PatternError("may not use [^…]: write the characters that a key has")
        found: set[str] = set()
        while self._peek() != "]":
            first = last = self._of_set()
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                last = self._of_set(ends=True)
            if last < first:
                self._wrong(f"a range {first}-{last} that ends before it begins")
            found |= set(map(chr, range(ord(first), ord(last) + 1)))
        self._at += 1
        if not found:
            self._wrong("a set of nothing")
        return found

    def _of_set(self, *, ends: bool = False) -> str:
        letter = self._take()
        if not letter:
            self._wrong("a [ that nothing closes")
        if letter == "\\":
            return self._escaped()
        # What Python says may mean an operation on sets one day (Unicode TR 18).
        if letter == "[" or (letter in {"&", "~", "|"} and self._peek() == letter):
            raise PatternError(f"may hold a {letter} in a set as \\{letter} alone")
        if letter == "-" and (ends or self._peek() == "-"):
            raise PatternError("may hold a - in a set once, or as \\-")
        self._check(letter)
        return letter
