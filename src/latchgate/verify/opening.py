"""Which engine a database takes: beside a SQLite file, or under a lease over PostgreSQL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import Unpack

from latchgate.core.location import Location, Postgres
from latchgate.store.errors import StoreError
from latchgate.verify.bell_engine import BellEngine
from latchgate.verify.engine import Engine, EngineParts
from latchgate.verify.lease_engine import Lease, LeaseEngine


@dataclass(frozen=True, slots=True)
class Trust:
    """What this machine is called, and for how long it believes what it remembers (seconds)."""

    node: str
    lease: float
    stale: float | None


def engine_over(database: Location, trust: Trust, **parts: Unpack[EngineParts]) -> Engine:
    """Return a new engine over a database; StoreError, PolicyError when it can't start."""
    if isinstance(database, Postgres):
        return LeaseEngine(_lease(database, trust), **parts)
    return BellEngine(database, **parts)


def _lease(database: Postgres, trust: Trust) -> Lease:
    try:
        # Only here: the base install has no driver for it.
        from latchgate.store.postgres_feed import PostgresFeed, Standing  # noqa: PLC0415
    except ImportError as error:
        msg = "PostgreSQL takes its driver: pip install 'latchgate[postgres]'"
        raise StoreError(msg) from error
    standing = Standing(
        node=trust.node,
        process=os.getpid(),
        program=version("latchgate"),
        trust=trust.stale or trust.lease,
        stale=trust.stale is not None,
    )
    feed = PostgresFeed(database, standing, limit=trust.lease)
    return Lease(feed, trust.lease, trust.stale)
