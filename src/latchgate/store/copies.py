"""Copies of a database, made and put in place through SQLite while others read and write it.

Rule of this file: a copy is one file, without a log beside it that somebody could forget to keep,
and is looked at before it counts; what takes a database's place does so in one transaction.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from latchgate.store.errors import StoreError
from latchgate.store.sqlite import Connection, connect, faults


def copied(database: Path, copy: Path, *, whole: bool = False) -> Path:
    """Copy a database into a new file of mode 0600, and look at the copy.

    One snapshot, whoever writes meanwhile. `whole` compares every index and reference too.
    StoreError when either database fails or is damaged, OSError when the file can't be made; no
    file is left then.
    """
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            closing(connect(database, durable=True, read_only=True)) as source,
            closing(connect(copy, durable=True)) as target,
            faults(),
        ):
            source.backup(target)
            _look_at(target, database, whole=whole)
            target.execute("PRAGMA journal_mode=DELETE")
    except BaseException:
        for beside in ("", "-wal", "-shm", "-journal"):
            copy.with_name(copy.name + beside).unlink(missing_ok=True)
        raise
    return copy


def put_in_place(copy: Path, database: Path) -> None:
    """Replace what a database holds by what a copy holds: all of it, or on a fault nothing.

    Programs that have the database open see the new records with their next transaction. StoreError
    when it could not be done.
    """
    with (
        closing(connect(copy, durable=True, read_only=True)) as source,
        closing(connect(database, durable=True)) as target,
        faults(),
    ):
        source.backup(target)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def check(database: Path) -> None:
    """Look at every page, index and reference of a database; StoreError says what is damaged."""
    with closing(connect(database, durable=True, read_only=True)) as connection, faults():
        _look_at(connection, database, whole=True)


def _look_at(connection: Connection, told: Path, *, whole: bool) -> None:
    looked = "integrity_check" if whole else "quick_check"
    found = connection.execute(f"PRAGMA {looked}(1)").fetchone()
    if found != ("ok",):
        msg = f"{told} is damaged ({found[0]}); nothing was changed"
        raise StoreError(msg)
    if whole and (lost := connection.execute("PRAGMA foreign_key_check").fetchone()) is not None:
        msg = (
            f"{told} is damaged (a row of {lost[0]} names a record of {lost[2]} that is not there)"
        )
        raise StoreError(msg)
