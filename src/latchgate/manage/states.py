"""In which state a credential is: what lists are filtered by, and what they show."""

from __future__ import annotations

from typing import Literal, Protocol

import sqlalchemy as sa

from latchgate.store import schema

State = Literal["active", "superseded", "disabled", "expired", "revoked"]
STATES: tuple[State, ...] = ("active", "superseded", "disabled", "expired", "revoked")

# What lists of those offer that are listed no more once they are revoked.
LISTED: tuple[State, ...] = ("active", "superseded", "disabled", "expired")


class Stateful(Protocol):
    """A credential as some noun stores it; times are Unix seconds."""

    @property
    def revoked_at(self) -> float | None:
        """When it was ended for good."""
        ...

    @property
    def expires_at(self) -> float | None:
        """When it ends by itself."""
        ...

    @property
    def disabled_at(self) -> float | None:
        """Since when it is switched off."""
        ...

    @property
    def superseded_by(self) -> str | None:
        """What took its place."""
        ...


def state_of(credential: Stateful, now: float) -> State:
    """Return the state that a credential is in; superseded means in the grace of its rotation."""
    if credential.revoked_at is not None:
        return "revoked"
    if credential.expires_at is not None and now >= credential.expires_at:
        return "expired"
    if credential.disabled_at is not None:
        return "disabled"
    return "superseded" if credential.superseded_by is not None else "active"


def states(now: float) -> dict[State, sa.ColumnElement[bool]]:
    """Return the clause that the rows in each state meet, in the order of `STATES`."""
    table = schema.credential
    revoked = table.c.revoked_at.is_not(None)
    ended = sa.func.coalesce(table.c.expires_at <= now, sa.false())
    disabled, superseded = table.c.disabled_at.is_not(None), table.c.superseded_by.is_not(None)
    stands = sa.and_(sa.not_(revoked), sa.not_(ended))
    return {
        "active": sa.and_(stands, sa.not_(disabled), sa.not_(superseded)),
        "superseded": sa.and_(stands, sa.not_(disabled), superseded),
        "disabled": sa.and_(stands, disabled),
        "expired": sa.and_(sa.not_(revoked), ended),
        "revoked": revoked,
    }


def in_state(text: str, now: float, *offered: State) -> sa.ColumnElement[bool]:
    """Return the clause of a state that a list offers; ValueError names those."""
    for state, clause in states(now).items():
        if state == text and state in offered:
            return clause
    msg = f"must be {' or '.join(offered)}"
    raise ValueError(msg)
