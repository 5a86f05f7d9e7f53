"""How many credentials of each kind there are, and in which state, for whoever watches.

Rule of this file: counting reads every credential, so that whoever asks often is told what was
counted last. It is counted again once a hundred times as long has passed as counting took: that is
a hundredth of a core at the most, whoever asks how often.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from latchgate.store import schema
from latchgate.store.journal import Store

SHARE = 100

Counts = Mapping[tuple[str, str], int]


class Census:
    """The number of credentials by kind and state, as one process counted it last.

    The states are `revoked`, `expired`, `disabled` and `active`: the first that applies. `clock`
    gives Unix seconds, `ticks` a clock that never jumps.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], float], ticks: Callable[[], float]
    ) -> None:
        self._store = store
        self._clock = clock
        self._ticks = ticks
        self._lock = threading.Lock()
        self._counts: Counts = {}
        self._due = -math.inf

    def counts(self) -> Counts:
        """Return the numbers; StoreError when they can't be read. One thread counts at a time."""
        with self._lock:
            begun = self._ticks()
            if begun >= self._due:
                self._counts = self._count()
                ended = self._ticks()
                self._due = ended + SHARE * (ended - begun)
            return self._counts

    def _count(self) -> Counts:
        table = schema.credential
        state = sa.case(
            (table.c.revoked_at.is_not(None), "revoked"),
            (table.c.expires_at <= self._clock(), "expired"),
            (table.c.disabled_at.is_not(None), "disabled"),
            else_="active",
        )
        counted = sa.select(table.c.kind, state, sa.func.count()).group_by(table.c.kind, state)
        with self._store.reading() as connection:
            return {(kind, told): number for kind, told, number in connection.execute(counted)}
