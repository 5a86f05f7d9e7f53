"""A hash that another system made is replaced by argon2id at the first use of its password.

Rule of this file: nobody waits for it. What is lost when a process ends is done at the next use.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.signin.pool import Renewal
from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.journal import Actor, Store

ACTOR = Actor(name="latchgate", tenant_id=None)
MAX_WAITING = 64
_log = logging.getLogger(__name__)


def rehash(store: Store, renewal: Renewal) -> bool:
    """Store the new hash, if the one that was checked is still there; whether it was.

    Several processes may have checked it at once: one of them changes it.
    """
    table = schema.credential
    mine = sa.select(table.c.digest, table.c.tenant_id).where(table.c.id == renewal.credential_id)
    with store.change(ACTOR) as change:
        row = change.execute(mine).one_or_none()
        if row is None or bytes(row.digest) != renewal.before:
            return False
        change.alter(
            "credential.rehash",
            Noun.CREDENTIAL,
            table,
            {"id": renewal.credential_id, "digest": renewal.before},
            {"digest": renewal.after},
            tenant_id=row.tenant_id,
        )
    return True


class Rehash:
    """Writes new hashes in a thread of its own, so that no password waits for the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer = ThreadPoolExecutor(1, "rehash")
        self._waiting = 0

    def __call__(self, renewal: Renewal) -> None:
        """Have a new hash written; left for the next use when too many wait."""
        if self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        self._writer.submit(self._write, renewal)

    def _write(self, renewal: Renewal) -> None:
        try:
            rehash(self._store, renewal)
        except StoreError:
            _log.exception("the hash of %s could not be replaced", renewal.credential_id)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what waits."""
        self._writer.shutdown()
