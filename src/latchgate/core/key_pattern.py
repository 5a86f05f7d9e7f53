"""Regular expressions of foreign keys: how random what they match is, and which are too slow.

Rule of this file: a pattern is tried on whatever strangers send and on every line of a log, so one
that could be matched in very many ways is refused when it is read, not when it is slow.
"""

from __future__ import annotations

import math
import re
import re._constants as op  # type: ignore[import-not-found]  # typeshed leaves it out
import re._parser as parser  # type: ignore[import-not-found]  # typeshed leaves it out
import warnings
from typing import Any, TypeAlias

MIN_BITS = 128
MAX_WAYS = 4_096  # to divide a text among the repetitions: what backtracking could try
_MAX_REPEAT = 512
_Node: TypeAlias = Any  # what the standard library's parser makes has no types
_ASCII = range(0x20, 0x7F)


class PatternError(ValueError):
    """A pattern that keys may not have."""


def key_bits(pattern: str) -> float:
    """Return how many random bits the shortest text of a pattern can hold.

    PatternError says what of it may not be written.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a set that may mean something else one day
            tree = parser.parse(pattern)
            re.compile(f"()(?:{pattern})")  # as it is searched for in logs: no flag for all of it
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise PatternError(f"is no regular expression: {error}") from None
    bits, ways = _measured(list(tree))
    if ways > MAX_WAYS:
        raise PatternError(
            f"could be matched in {ways} ways, {MAX_WAYS} are taken; repeat by number: {{32}}"
        )
    return bits


def _measured(items: list[_Node]) -> tuple[float, int]:
    """Return the bits of the shortest text, and in how many ways a text may be matched."""
    bits, ways = 0.0, 1
    for what, told in items:
        more, times = _one(what, told)
        bits, ways = bits + more, ways * times
    return bits, ways


def _one(what: _Node, told: _Node) -> tuple[float, int]:
    if what is op.LITERAL:
        return 0.0, 1
    if what is op.IN:
        return math.log2(max(len(_letters(told)), 1)), 1
    if what is op.SUBPATTERN:
        _, added, removed, inner = told
        if added & re.IGNORECASE or removed:
            raise PatternError("may not change what letters mean, as (?i:…) does")
        return _measured(list(inner))
    if what is op.BRANCH:
        each = [_measured(list(branch)) for branch in told[1]]
        return min(bits for bits, _ in each), sum(ways for _, ways in each)
    if what in {op.MAX_REPEAT, op.MIN_REPEAT}:
        return _repeated(*told)
    if what is op.AT:
        raise PatternError("needs no ^, $ or \\b: a key matches it from end to end")
    raise PatternError("may hold characters, sets, groups, | and repetitions alone")


def _repeated(least: int, most: _Node, inner: _Node) -> tuple[float, int]:
    if most is op.MAXREPEAT or most > _MAX_REPEAT:
        raise PatternError(
            f"every repetition needs an end, such as {{20,64}}; at most {_MAX_REPEAT}"
        )
    bits, ways = _measured(list(inner))
    if ways > 1 and most > 1:
        raise PatternError("may not repeat what holds a repetition or a choice itself")
    return bits * least, (most - least) * ways + 1


def _letters(told: list[_Node]) -> set[int]:
    """Return the visible ASCII characters of a set."""
    found: set[int] = set()
    negated = False
    for what, item in told:
        if what is op.NEGATE:
            negated = True
        elif what is op.LITERAL:
            found.add(item)
        elif what is op.RANGE:
            found |= {item[1], *range(item[0], min(item[1], 0x7F) + 1)}
        else:
            raise PatternError(
                "may not use \\w, \\d or \\s: write the characters, such as [0-9a-f]"
            )
    if negated:
        raise PatternError("may not use [^…]: write the characters that a key has")
    if not found <= set(_ASCII):
        raise PatternError("may hold visible ASCII characters alone")
    return found
