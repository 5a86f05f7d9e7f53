"""For how long gateways may go on by what they remember: who says so, and what receipts wait for.

Rule of this file: what is declared and what the promise says of it change in one transaction, and
changes go one at a time. A declaration is a row of `duty`, one for each tail, that every process
that lets gateways remember writes again and again; nobody's clock is in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from latchgate.store import schema
from latchgate.store.journal import Store

_PREFIX = "gateways "
_duty, _promise = schema.duty, schema.promise


@dataclass(frozen=True, slots=True)
class Tail:
    """A tail that is declared (seconds), and how often that was written."""

    seconds: float
    beat: int


class GatewayTails:
    """The tails of one store; StoreError from any method when the database fails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def declare(self, seconds: float) -> bool:
        """Say that gateways may go on for so long, from before the answer that lets one remember.

        True where receipts did not wait for as long before.
        """
        name = f"{_PREFIX}{seconds!r}"
        with self._store.writing() as connection:
            written = connection.execute(
                sa.update(_duty).where(_duty.c.name == name).values(beat=_duty.c.beat + 1)
            )
            if not written.rowcount:
                connection.execute(sa.insert(_duty).values(name=name, holder="", beat=0))
            raised = connection.execute(
                sa.update(_promise)
                .where(_promise.c.gateway_tail < seconds)
                .values(gateway_tail=seconds)
            )
            return bool(raised.rowcount)

    def declared(self) -> list[Tail]:
        """Return every tail that is declared."""
        with self._store.reading() as connection:
            return _declared(connection)

    def withdraw(self, seen: Tail) -> None:
        """Have receipts wait for the others alone, unless it was declared again since it was seen.

        The caller knows that nobody has let a gateway remember by it for that tail.
        """
        name = f"{_PREFIX}{seen.seconds!r}"
        with self._store.writing() as connection:
            gone = connection.execute(
                sa.delete(_duty).where(_duty.c.name == name, _duty.c.beat == seen.beat)
            )
            if gone.rowcount:
                longest = max((one.seconds for one in _declared(connection)), default=0.0)
                connection.execute(sa.update(_promise).values(gateway_tail=longest))


def _declared(connection: sa.Connection) -> list[Tail]:
    rows = connection.execute(
        sa.select(_duty.c.name, _duty.c.beat).where(_duty.c.name.startswith(_PREFIX))
    )
    return [Tail(float(row.name.removeprefix(_PREFIX)), row.beat) for row in rows]
