"""A database whose alerts are evaluated at a time that is set, over what was really decided."""

from __future__ import annotations

import json
import secrets
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from tests.world import FILES, World, asking, compiled

from latchgate.core.redact import redactor
from latchgate.jobs import alerts as by_count
from latchgate.jobs import source_alerts as by_source
from latchgate.manage import alerts
from latchgate.manage.alerts import AlertSpec, StoredAlert
from latchgate.store import schema
from latchgate.store.recorder import Usage
from latchgate.store.usage import UsageReader

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


class Alerting:
    """A world, a recorder, and the jobs over them."""

    def __init__(self, folder, files=FILES):
        self.now = NOW
        self.world = World(folder, clock=lambda: self.now)
        self.world.publish(files)
        self.reader = UsageReader(self.world.usage_database)
        self.recorder = Usage(
            self.world.usage_database,
            redact=redactor(),
            ticks=lambda: 0.0,
            clock=lambda: self.now,
        )
        self.engine = self.world.engine(clock=lambda: self.now, on_decision=self.recorder.note)
        policy = compiled(files, 2)
        self.work: Any = SimpleNamespace(
            store=self.world.store,
            usage=self.reader,
            policy=lambda: policy,
            clock=lambda: self.now,
            entropy=secrets.token_bytes,
        )

    def make(self, kind, by=None, **spec) -> StoredAlert:
        """Make an alert, for the operator's tenant unless told."""
        who = self.world.acting(by or self.world.admin)
        whole = AlertSpec(name=f"of {kind}", kind=kind, **spec)
        made, _ = alerts.create(
            self.world.store, who, whole, now=self.now, entropy=secrets.token_bytes
        )
        return made

    def use(self, key, times=1, **how):
        """Ask so often, now."""
        for _ in range(times):
            self.engine.decide(asking(key, **how))
        self.recorder.flush()

    def run(self):
        """Run the jobs; returns what was told since the last run, as (subject, value) pairs."""
        before = {row["id"] for row in self.told()}
        by_count.run(self.work)
        by_count.bill(self.work)
        by_source.run(self.work)
        new = [row["data"] for row in self.told() if row["id"] not in before]
        return [(one["subject"], one["value"]) for one in new]

    def told(self):
        """Return every notification, in order."""
        table = schema.notification
        rows = self.world.all(sa.select(table).order_by(table.c.at, table.c.id))
        return [dict(row._mapping) | {"data": json.loads(row.data)} for row in rows]

    def close(self):
        """Close what was opened."""
        self.recorder.close()
        self.reader.close()
        self.world.close()
