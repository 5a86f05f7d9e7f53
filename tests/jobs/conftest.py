"""A database, and what jobs work with over it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import FILES, World, compiled

from latchgate.core.network import Networks, parse_address
from latchgate.core.redact import redactor
from latchgate.jobs.job import Work
from latchgate.keyring import master
from latchgate.store import schema
from latchgate.store.retention import Retention
from latchgate.store.usage import UsageReader

NOW = 1_900_000_000.0


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = NOW

    def __call__(self):
        return self.now


@dataclass
class Site:
    """A world, its clock, and the work of its jobs."""

    world: World
    clock: Clock
    work: Work
    names: dict[str, list[str]] = field(default_factory=dict)

    def told(self, *columns: sa.ColumnElement[Any]) -> list[Any]:
        """Return what was written down for others, in order."""
        table = schema.notification
        wanted = columns or (table.c.event,)
        rows = self.world.all(sa.select(*wanted).order_by(table.c.at, table.c.id))
        return [row[0] if len(wanted) == 1 else tuple(row) for row in rows]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def site(tmp_path, clock, place):
    """A database whose clock stands still, and jobs over it."""
    world = World(tmp_path, clock=clock, databases=place)
    master.create(tmp_path / "master.key", secrets.token_bytes)
    reader = UsageReader(world.usage_database)
    policy = compiled(FILES, 1)
    names: dict[str, list[str]] = {}
    work = Work(
        store=world.store,
        usage=reader,
        usage_database=world.usage_database,
        policy=lambda: policy,
        webhook_networks=Networks.of(["127.0.0.0/8"]),
        mail=None,
        resolve=lambda host, _port: [parse_address(one) for one in names[host]],
        retention=Retention(minutes=2, hours=35, days=400, sources=90),
        master_key=tmp_path / "master.key",
        redact=redactor(),
        clock=clock,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
    )
    yield Site(world, clock, work, names)
    reader.close()
    world.close()
