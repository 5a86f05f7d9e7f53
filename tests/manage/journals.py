"""A journal with a signing key, and what somebody with the file can do to it."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from tests.world import ACTOR

from latchgate.core.model import Noun
from latchgate.keyring import master
from latchgate.keyring.signing import Signer
from latchgate.manage import audit, signing_keys
from latchgate.manage.audit import Head
from latchgate.store.evidence import COLUMNS
from latchgate.store.journal import Change, Store, chain
from latchgate.store.migrate import migrate
from latchgate.store.sqlite import connect

OLD_COLUMNS = ("n", "at", "actor", "action", "noun", "record", "tenant_id", "detail")


@functools.cache
def _migrated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="latchgate-journal-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    migrate(folder / "latchgate.db", "main")
    return folder / "latchgate.db"


class Journal:
    """A database of its own with nothing in it but a journal and its signing key."""

    def __init__(self, folder: Path, *, fresh: bool = True) -> None:
        self.database = folder / "latchgate.db"
        self.master_file = folder / "master.key"
        self.master = master.create(self.master_file, secrets.token_bytes)
        if fresh:
            shutil.copy(_migrated(), self.database)
        self.store = Store(self.database, clock=time.time)
        self._closed = False
        signing_keys.ensure(self.store, ACTOR, self.master, entropy=secrets.token_bytes)

    @classmethod
    def of_0001(cls, folder: Path) -> Self:
        """A journal that began under the first migration, whose rows knew no origin."""
        database = folder / "latchgate.db"
        migrate(database, "main", revision="0001")
        write_old(database, [old_row(n) for n in range(1, 8)])
        migrate(database, "main")
        return cls(folder, fresh=False)

    @property
    def n(self) -> int:
        """The number of the last row, as the head row has it."""
        with closing(connect(self.database, durable=True)) as connection:
            n: int = connection.execute("SELECT n FROM journal_head").fetchone()[0]
        return n

    @contextmanager
    def change(self, record: str, **origin: str) -> Iterator[Change]:
        """Note one change; it commits after the caller's block."""
        with self.store.change(replace(ACTOR, **origin)) as change:
            change.note("test.change", Noun.USER, record, tenant_id=None, detail={"at": record})
            yield change

    def note(self, count: int) -> None:
        """Note some changes, each in its own transaction."""
        for at in range(count):
            with self.change(f"u-{at}"):
                pass

    def head(self) -> Head:
        """Sign where it stands."""
        return audit.head(self.store, self.master_file, now=time.time())

    def signed_by(self, signer: Signer) -> Head:
        """Sign where it stands with any key."""
        now = self.head()
        return audit.signed_head(
            signer, epoch=now.epoch, n=now.n, digest=bytes.fromhex(now.hash), now=time.time()
        )

    def replace_key(self) -> None:
        """Retire the signing key and make another."""
        signing_keys.replace(self.store, ACTOR, self.master, entropy=secrets.token_bytes)

    def export(self) -> bytes:
        """Return the whole export."""
        return b"".join(audit.exported(self.store, self.head()))

    def checkpoint(self) -> None:
        """Bring everything into the one file."""
        alter(self.database, "PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the store, once."""
        if not self._closed:
            self.store.close()
        self._closed = True


def alter(database: Path, statement: str, *values: object) -> None:
    """Run one statement on the file, as somebody who may write it."""
    with closing(connect(database, durable=True)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(statement, values)


def rows_of(database: Path) -> list[dict[str, Any]]:
    """Return every row of the journal."""
    with closing(connect(database, durable=True)) as connection:
        found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM journal ORDER BY n")  # noqa: S608
        return [dict(zip(COLUMNS, row, strict=True)) for row in found]


def rechain(database: Path) -> None:
    """Make the whole chain anew over what the rows say now, head row included."""
    before = bytes(32)
    rows = rows_of(database)
    for row in rows:
        digest = chain(before, row)
        alter(
            database,
            f"UPDATE journal SET previous = ?, hash = ? WHERE n = {row['n']}",  # noqa: S608
            before,
            digest,
        )
        before = digest
    alter(database, "UPDATE journal_head SET n = ?, hash = ?", rows[-1]["n"], before)


def old_row(n: int, **told: object) -> dict[str, object]:
    """Return a row as version 0.1 wrote it, without its hashes."""
    row: dict[str, object] = {"n": n, "at": 1_700_000_000.5 + n, "actor": "local:init"}
    row |= {"action": "tenant.create", "noun": "tenant", "record": f"t-ü{n}", "tenant_id": None}
    return row | {"detail": '{"name":"\\u2028 x"}'} | told


def write_old(database: Path, rows: list[dict[str, object]]) -> None:
    """Write rows with hashes as version 0.1 made them, worked out here and not by the program."""
    before = bytes(32)
    for row in rows:
        assert tuple(row) == OLD_COLUMNS
        text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(before + text.encode()).digest()
        marks = ", ".join("?" * (len(OLD_COLUMNS) + 2))
        alter(
            database,
            f"INSERT INTO journal ({', '.join(OLD_COLUMNS)}, previous, hash) VALUES ({marks})",  # noqa: S608
            *row.values(),
            before,
            digest,
        )
        before = digest
    alter(database, "UPDATE journal_head SET n = ?, hash = ?", len(rows), before)
