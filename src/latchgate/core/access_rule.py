"""Access rules: which requests a credential may make at all, whatever its roles allow.

Source: Keystone v3, "Application credentials", access rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from latchgate.core.model import AccessRule

MAX_PATH = 2_048  # characters; what is longer is named only by a rule that is that very path
_WILD = re.compile(r"(?:\*\*)+|\*|\{[^/{}]*\}")


def permits(rules: Iterable[AccessRule], service: str | None, method: str, path: str) -> bool:
    """Whether one of the rules names this very request; HEAD is not GET."""
    return any(
        rule.service == service
        and rule.method == method
        and (rule.path == path or _pattern(rule.path).fits(path))
        for rule in rules
    )


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A rule's path, followed through a request's path in one go: work is as long as the path.

    Whoever makes a key writes its rules, and a regular expression of many wildcards takes as long
    as its writer likes. Bits are places in the rule, of which several may be reached at once.
    """

    start: str  # what stands before the first wildcard
    letters: Mapping[str, int]  # the places from which a character leads on
    steps: int  # the places from which any character but a slash leads on
    loops: int  # the places where any character but a slash stays
    floats: int  # the places where any character stays, and which lead on without one
    end: int

    def fits(self, path: str) -> bool:
        if len(path) > MAX_PATH or not path.startswith(self.start):
            return False
        at = 1 | (1 & self.floats) << 1
        for letter in path[len(self.start) :]:
            on = (at & self.letters.get(letter, 0)) << 1 | at & self.floats
            if letter != "/":
                on |= (at & self.steps) << 1 | at & self.loops
            at = on | (on & self.floats) << 1
            if not at:
                return False
        return bool(at & self.end)


@lru_cache(maxsize=1_024)
def _pattern(path: str) -> _Pattern:
    """Read a rule's path: `*` and `{name}` are one segment or a part of it, `**` any number."""
    letters: dict[str, int] = {}
    steps = loops = floats = 0
    place, last, start = 1, 0, None
    for wild in _WILD.finditer(path):
        if start is None:
            start = path[: wild.start()]
        else:
            for letter in path[last : wild.start()]:
                letters[letter] = letters.get(letter, 0) | place
                place <<= 1
        if wild[0].startswith("**"):
            floats |= place
        else:
            steps, loops = steps | place, loops | place << 1
        place <<= 1
        last = wild.end()
    if start is None:
        return _Pattern(path, {}, 0, 0, 0, 1)
    for letter in path[last:]:
        letters[letter] = letters.get(letter, 0) | place
        place <<= 1
    return _Pattern(start, letters, steps, loops, floats, place)
