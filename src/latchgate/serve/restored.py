"""`latchgate restored`: PostgreSQL was put back to an earlier state, so a new epoch begins.

Rule of this file: nodes may be at work, and remember what the database does not know any more. In
the epoch that begins here nothing they remember, and nothing they acknowledged, counts.
"""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa

from latchgate.config import Config
from latchgate.core.location import Postgres
from latchgate.core.model import Noun
from latchgate.manage.chain import RESTORED
from latchgate.manage.replay import forget_passing
from latchgate.serve.backup import BackupError
from latchgate.store import found, schema
from latchgate.store.journal import Actor, Store


@dataclass(frozen=True, slots=True)
class Begun:
    """A new epoch, the one before, and the number of the row that it begins with."""

    before: str
    epoch: str
    n: int


def begin_anew(config: Config, *, who: str) -> Begun:
    """Begin a new epoch in a PostgreSQL database, with servers on it or without.

    Every verifier forgets what it remembers and registers anew; receipts wait for the longest trust
    there was (ARCHITECTURE §6 rule 15). Sessions and what waits for somebody to sign in end, as
    after every restore. BackupError for SQLite, StoreError when the database fails.
    """
    database = config.database
    if not isinstance(database, Postgres):
        msg = f"{database} is put back by latchgate restore, which begins a new epoch itself"
        raise BackupError(msg)
    found.check(database)
    epoch, head = str(uuid.uuid4()), schema.journal_head
    actor = Actor(name=f"local:{who}", tenant_id=None)
    with closing(Store(database, clock=time.time)) as store, store.change(actor) as change:
        before = change.execute(sa.select(head.c.n, head.c.hash, head.c.epoch)).one()
        detail = {
            "epoch": {"before": before.epoch, "after": epoch},
            "restored": {"n": before.n, "hash": bytes(before.hash).hex()},
        }
        n = change.note(RESTORED, Noun.DATABASE, epoch, tenant_id=None, detail=detail)
        change.execute(sa.update(head).values(epoch=epoch))
        change.execute(sa.update(schema.promise).values(settled=False))
        change.execute(sa.update(schema.verifier).values(state="leaving"))
        forget_passing(change)
    return Begun(before.epoch, epoch, n)
