"""Sign-ins half done: what a browser is in the middle of, for ten minutes and one use.

Rule of this file: a ceremony is found by a secret that its browser alone holds, and by its sort, so
that no step is taken in another's place; whoever finishes it takes it away, so that of two who try
one succeeds. A browser has one of each sort: a new one takes the place of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.secret import BASE62, Secret, digest, draw
from latchgate.store import schema
from latchgate.store.journal import Store

# What a browser is known by before anybody is signed in with it.
COOKIE = "__Host-latchgate-browser"
SECONDS = 600.0
LENGTH, _ENTROPY = 32, 32  # of base62: 190 bits
_TABLE = schema.ceremony


class Sort(StrEnum):
    """What is under way."""

    SECOND = "second"  # the password was right, a second factor is waited for
    PASSKEY = "passkey"  # a challenge was given out to sign in with
    NEW_PASSKEY = "new-passkey"
    NEW_TOTP = "new-totp"
    PROVIDER = "provider"  # an external identity provider was asked


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What is under way, for whom (None before anybody was named), and what must be kept of it."""

    user_id: str | None
    data: Mapping[str, Any]
    expires_at: float


def browser(entropy: Callable[[int], bytes]) -> Secret:
    """Draw what a browser is known by."""
    return Secret(draw(entropy(_ENTROPY), BASE62, LENGTH))


def begin(
    store: Store,
    browser: Secret,
    sort: Sort,
    *,
    user_id: str | None,
    data: Mapping[str, Any],
    now: float,
) -> None:
    """Begin one in a browser; `data` is JSON and holds no secret in the clear."""
    name = _digest(browser, sort)
    row = {
        "digest": name,
        "sort": str(sort),
        "user_id": user_id,
        "data": msgspec.json.encode(data).decode(),
        "expires_at": now + SECONDS,
    }
    with store.writing() as connection:
        connection.execute(sa.delete(_TABLE).where(_TABLE.c.digest == name))
        connection.execute(sa.insert(_TABLE).values(**row))


def under_way(store: Store, browser: Secret, sort: Sort, *, now: float) -> Ceremony | None:
    """Return what a browser is in the middle of; None where that is nothing, or took too long."""
    wanted = sa.select(_TABLE).where(
        _TABLE.c.digest == _digest(browser, sort), _TABLE.c.expires_at > now
    )
    with store.reading() as connection:
        return _read(connection.execute(wanted).mappings().one_or_none())


def finish(store: Store, browser: Secret, sort: Sort, *, now: float) -> Ceremony | None:
    """Take it away and return it; None where there is none, or another call took it."""
    taken = sa.delete(_TABLE).where(_TABLE.c.digest == _digest(browser, sort)).returning(_TABLE)
    with store.writing() as connection:
        found = _read(connection.execute(taken).mappings().one_or_none())
    return found if found is not None and now < found.expires_at else None


def trim(store: Store, *, now: float) -> None:
    """Forget those that took too long."""
    late = _TABLE.c.expires_at <= now
    with store.reading() as connection:
        if connection.execute(sa.select(_TABLE.c.digest).where(late).limit(1)).first() is None:
            return  # a write of nothing would still wait for the disk
    with store.writing() as connection:
        connection.execute(sa.delete(_TABLE).where(late))


def _read(row: sa.RowMapping | None) -> Ceremony | None:
    if row is None:
        return None
    return Ceremony(row["user_id"], msgspec.json.decode(row["data"]), row["expires_at"])


def _digest(browser: Secret, sort: Sort) -> bytes:
    return digest(f"ceremony:{sort}", browser.reveal())
