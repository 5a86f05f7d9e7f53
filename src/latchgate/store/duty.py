"""Who has a duty that one worker of all nodes has at a time: a row that its holder writes often.

Rule of this file: nobody's clock is in the database. Whoever wants the duty sees by a clock of
their own for how long its holder has written nothing (`beat` stands still).
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Store

JOBS = "jobs"  # the one duty so far
NOBODY = ""
_duty = schema.duty


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a duty, `NOBODY` when it was let go of, and how often that was written."""

    holder: str
    beat: int


def read_duty(store: Store, name: str) -> Held | None:
    """Return who holds a duty; None when nobody ever did. StoreError when it can't be read."""
    statement = sa.select(_duty.c.holder, _duty.c.beat).where(_duty.c.name == name)
    with store.reading() as connection:
        row = connection.execute(statement).one_or_none()
    return Held(row.holder, row.beat) if row is not None else None


def take_duty(store: Store, name: str, holder: str, before: Held | None) -> bool:
    """Take a duty that stands as it was seen; False when somebody else was faster."""
    try:
        with store.writing() as connection:
            if before is None:
                row = {"name": name, "holder": holder, "beat": 0}
                connection.execute(sa.insert(_duty), row)
                return True
            taken = connection.execute(
                sa.update(_duty)
                .where(
                    _duty.c.name == name,
                    _duty.c.holder == before.holder,
                    _duty.c.beat == before.beat,
                )
                .values(holder=holder, beat=before.beat + 1)
            )
            return taken.rowcount == 1
    except ConflictError:
        return False


def renew_duty(store: Store, name: str, holder: str) -> bool:
    """Write that a duty is still held; False when another holds it."""
    return _write(store, name, holder, then=holder)


def leave_duty(store: Store, name: str, holder: str) -> None:
    """Let go of a duty, if it is still held."""
    _write(store, name, holder, then=NOBODY)


def _write(store: Store, name: str, holder: str, *, then: str) -> bool:
    with store.writing() as connection:
        written = connection.execute(
            sa.update(_duty)
            .where(_duty.c.name == name, _duty.c.holder == holder)
            .values(holder=then, beat=_duty.c.beat + 1)
        )
        return written.rowcount == 1
