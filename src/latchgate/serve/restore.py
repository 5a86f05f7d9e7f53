"""`latchgate restore`: a backup takes the place of the database, under a new epoch of the journal.

Rule of this file: everything is read and checked, and the new database is whole in a file of its
own, before the one transaction in which it takes the old one's place; what was there is kept.
"""

from __future__ import annotations

import os
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import sqlalchemy as sa

from latchgate.config import Config
from latchgate.core.model import Noun
from latchgate.manage.chain import RESTORED, verify_database
from latchgate.manage.replay import Narrowed, forget_passing, narrow
from latchgate.serve import backup
from latchgate.serve.backup import BackupError, Looked, Manifest, files_of, look
from latchgate.serve.files import BESIDE, placed
from latchgate.serve.load import unsigned
from latchgate.serve.upgrade import UpgradeError, refuse_while_used, schema_of
from latchgate.store import schema
from latchgate.store.bell import Bell
from latchgate.store.copies import copied, put_in_place
from latchgate.store.errors import StoreError
from latchgate.store.journal import Actor, Change, Store
from latchgate.store.migrate import migrate
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import connect, faults

_STAMP = "%Y%m%dT%H%M%SZ"
_HEAD = "SELECT n, hash, epoch FROM journal_head"
_AT = "SELECT hash FROM journal WHERE n = ?"
_BEYOND = "SELECT n, at, actor, action, record FROM journal WHERE n > ? ORDER BY n"


class Lost(msgspec.Struct, frozen=True):
    """One journal row of the replaced database that the backup does not know; `at` in seconds."""

    n: int
    at: float
    actor: str
    action: str
    record: str


class Replaced(msgspec.Struct, frozen=True):
    """The database that was there: where its journal stood, and what it had beyond the backup.

    `unreadable` says why nothing is known of it, where it could not be read. `related` is whether
    its journal goes on where the backup ends.
    """

    n: int | None
    hash: str | None
    epoch: str | None
    related: bool
    lost: list[Lost]
    unreadable: str | None


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, or would do: `kept` is where the replaced files are now."""

    manifest: Manifest
    replaced: Replaced | None
    narrowed: list[Narrowed]
    kept: Path | None
    epoch: str | None
    n: int | None
    usage: bool
    master_key: Path | None
    unsigned: str | None


def restore(
    config: Config, file: Path, *, who: str, usage: bool, narrowing: bool, dry_run: bool
) -> Restored:
    """Put a backup in the place of the configured database; `dry_run` changes nothing.

    `narrowing` takes away again what the replaced database had taken away since the backup.
    `usage` replaces the database of usage too; one that is not there is made in any case.
    BackupError when the file is no sound backup, UpgradeError while something uses the database,
    StoreError when a database fails, OSError when a file can't be written: nothing was replaced.
    """
    database, _ = files_of(config)
    folder = database.parent
    with closing(Bell.beside(database)) as bell, look(file, within=folder) as looked:
        refuse_while_used(database, bell)
        found = _examined(database, looked)
        if narrowing and (found is None or not found.related):
            why = found.unreadable if found is not None else f"there is no {database}"
            msg = "nothing to replay: the replaced database's journal does not go on where the"
            msg += f" backup ends{f' ({why})' if why else ''}. Nothing was changed"
            raise BackupError(msg)
        if dry_run:
            return Restored(looked.manifest, found, [], None, None, None, usage, None, None)
        with bell.held():
            refuse_while_used(database, bell)
            done = _replace(config, looked, found, who=who, usage=usage, narrowing=narrowing)
    # The bell is let go of before: who signs opens the database with a bell of their own.
    return replace(done, unsigned=unsigned(config))


def _examined(database: Path, looked: Looked) -> Replaced | None:
    """Look at the database that is there; None when there is none."""
    if not database.exists():
        return None
    n = looked.manifest.n
    try:
        if schema_of(database) != SCHEMA_HEAD:
            return _unknown("it has another schema than this program")
        with closing(connect(database, durable=True, read_only=True)) as connection, faults():
            connection.execute("BEGIN")
            head = connection.execute(_HEAD).fetchone()
            same = connection.execute(_AT, (n,)).fetchone()
            lost = [Lost(*row) for row in connection.execute(_BEYOND, (n,))]
    except (StoreError, UpgradeError, TypeError) as error:
        return _unknown(str(error))
    if head is None:
        return _unknown("its journal has no head")
    related = bytes(same[0]).hex() == looked.manifest.hash if same is not None else not n
    return Replaced(head[0], bytes(head[1]).hex(), head[2], related, lost if related else [], None)


def _unknown(why: str) -> Replaced:
    return Replaced(None, None, None, related=False, lost=[], unreadable=why)


def _replace(
    config: Config,
    looked: Looked,
    found: Replaced | None,
    *,
    who: str,
    usage: bool,
    narrowing: bool,
) -> Restored:
    stamp = time.strftime(_STAMP, time.gmtime()) + f"-{secrets.token_hex(2)}"
    database, counts = files_of(config)
    readable = found is not None and found.unreadable is None
    kept = None
    if readable:
        kept = copied(database, _named(database, stamp))
    stage = looked.folder / backup.MAIN
    try:
        epoch, n, narrowed = _staged(stage, looked, found, who, kept if narrowing else None)
        if readable:
            put_in_place(stage, database)
    except BaseException:
        if kept is not None:
            kept.unlink(missing_ok=True)
        raise
    if not readable:
        if found is not None:
            kept = _moved(database, stamp)
        placed(stage, database)
    told = counts is not None and _usage(counts, looked, stamp, replace=usage)
    key = _master_key(config, looked)
    return Restored(looked.manifest, found, narrowed, kept, epoch, n, told, key, None)


def _staged(
    stage: Path, looked: Looked, found: Replaced | None, who: str, narrower: Path | None
) -> tuple[str, int, list[Narrowed]]:
    """Begin the new epoch in the copy that is to take the place, and check it once more."""
    epoch = str(uuid.uuid4())
    manifest, narrowed = looked.manifest, []
    actor = Actor(name=f"local:{who}", tenant_id=None)
    with _store(stage) as store, store.change(actor) as change:
        _begin(change, epoch, manifest, found)
        forget_passing(change)
        if narrower is not None:
            narrowed = narrow(change, narrower)
        n = change.n
    with closing(connect(stage, durable=True)) as connection, faults():
        connection.execute("PRAGMA journal_mode=DELETE")
    report = verify_database(stage)
    if not report.sound:
        msg = (
            f"the restored journal does not hold: {report.faults[0].problem}; nothing was replaced"
        )
        raise BackupError(msg)
    return epoch, n, narrowed


def _begin(change: Change, epoch: str, manifest: Manifest, found: Replaced | None) -> None:
    """Write the row that the new epoch begins with: what it goes on from, and what it replaced."""
    before = None
    if found is not None and found.unreadable is None:
        before = {"epoch": found.epoch, "n": found.n, "hash": found.hash}
    detail = {
        "epoch": {"before": manifest.epoch, "after": epoch},
        "backup": {"at": manifest.at, "n": manifest.n, "hash": manifest.hash},
        "replaced": before,
    }
    change.note(RESTORED, Noun.DATABASE, epoch, tenant_id=None, detail=detail)
    change.execute(sa.update(schema.journal_head).values(epoch=epoch))


@contextmanager
def _store(database: Path) -> Iterator[Store]:
    store = Store(database, clock=time.time)
    try:
        yield store
    finally:
        store.close()


def _usage(target: Path, looked: Looked, stamp: str, *, replace: bool) -> bool:
    """Put the backup's usage in place where that is wanted or there is none; whether it was."""
    there = target.exists()
    if not looked.manifest.holds(backup.USAGE):
        if not there:
            migrate(target, "usage")
        return False
    if there and not replace:
        return False
    if there:
        try:
            copied(target, _named(target, stamp))
            put_in_place(looked.folder / backup.USAGE, target)
        except StoreError:
            _moved(target, stamp)
        else:
            return True
    placed(looked.folder / backup.USAGE, target)
    return True


def _master_key(config: Config, looked: Looked) -> Path | None:
    """Write the backup's master key where there is none; one that is there is never replaced."""
    if not looked.manifest.holds(backup.MASTER_KEY) or config.master_key.exists():
        return None
    os.link(looked.folder / backup.MASTER_KEY, config.master_key)
    return config.master_key


def _named(database: Path, stamp: str) -> Path:
    return database.with_name(f"{database.name}.{stamp}-replaced")


def _moved(database: Path, stamp: str) -> Path:
    """Move a database that can't be read aside, with its log: it may be repaired later."""
    target = _named(database, stamp)
    for beside in BESIDE:
        part = database.with_name(database.name + beside)
        if part.exists():
            part.rename(target.with_name(target.name + beside))
    return target
