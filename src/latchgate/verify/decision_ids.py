"""Ids of refusals: 80 random bits each, drawn for many refusals at once.

Rule of this file: no two processes give out the same. What was drawn before a fork is the
parent's; the child draws its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable

BYTES = 10
_BLOCK = 64  # asking the system for as many bytes takes little longer than asking it for ten
_DIGITS = 2 * BYTES


class _Forks:
    """How many forks lie between the first process and this one."""

    count = 0

    @classmethod
    def one_more(cls) -> None:
        cls.count += 1


os.register_at_fork(after_in_child=_Forks.one_more)


class DecisionIds:
    """What draws ids, for any thread; `entropy` gives n random bytes."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._left: list[str] = []
        self._forks = _Forks.count

    def draw(self) -> str:
        """Return an id that no other refusal has: 20 hexadecimal digits."""
        if self._forks == _Forks.count:
            try:
                return self._left.pop()
            except IndexError:
                pass
        digits = self._entropy(BYTES * _BLOCK).hex()
        drawn = [digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)]
        last = drawn.pop()
        self._left, self._forks = drawn, _Forks.count
        return last
