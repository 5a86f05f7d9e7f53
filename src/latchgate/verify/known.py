"""Which ids exist, told in three bytes each: an id that is not in it does not exist.

Rule of this file: never wrong in that direction. One id in 600 that does not exist is taken for one
that may, and costs the read that all of them would cost without it. Ids are only ever added. Python
hashes text under a key of its own for each process, so that nobody can choose ids which collide.
"""

from __future__ import annotations

from collections.abc import Iterable

_BITS = 24  # an id, of those it is made for
_LEAST = 4_096
_SPARE = 1.5  # times as many as it is made for: by then one absent id in 200 costs a read
_LOW = (1 << 32) - 1


class Known:
    """A Bloom filter of three bits an id, made for so many `ids`."""

    def __init__(self, ids: int) -> None:
        made_for = max(ids, _LEAST)
        self._size = (made_for * _BITS) | 1
        self._bits = bytearray(self._size // 8 + 1)
        self._room = int(made_for * _SPARE)
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether it holds so many that it tells too little."""
        return self._count > self._room

    def __contains__(self, one: str) -> bool:
        bits, size, hashed = self._bits, self._size, hash(one)
        at, step = (hashed & _LOW) % size, (hashed >> 32) | 1
        if not bits[at >> 3] >> (at & 7) & 1:
            return False
        at = (at + step) % size
        if not bits[at >> 3] >> (at & 7) & 1:
            return False
        at = (at + step) % size
        return bool(bits[at >> 3] >> (at & 7) & 1)

    def add(self, one: str) -> None:
        """Add an id; one that is there already changes nothing."""
        if one in self:
            return
        self._count += 1
        bits, size, hashed = self._bits, self._size, hash(one)
        at, step = (hashed & _LOW) % size, (hashed >> 32) | 1
        for _ in range(3):
            bits[at >> 3] |= 1 << (at & 7)
            at = (at + step) % size

    def add_all(self, ids: Iterable[str]) -> None:
        """Add ids."""
        for one in ids:
            self.add(one)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + len(self._bits)
