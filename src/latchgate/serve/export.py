"""`latchgate export` and `load`: every record as JSON lines, and a database made from them.

Rule of this file: which tables there are is asked of the schema, so that a new one is exported by
being there.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from latchgate.config import Config
from latchgate.manage.export_form import Header, write_export
from latchgate.serve.files import appear, private_folder
from latchgate.serve.upgrade import UpgradeError, schema_of
from latchgate.store import found, schema
from latchgate.store.schema_window import SCHEMA_HEAD

# Told by the header, or only when they are asked for.
APART = frozenset({"journal_head", "journal", "schema_window"})
# What means nothing elsewhere, and why.
LEFT_OUT = {
    "duty": "who runs the jobs of the old installation",
    "ceremony": "sign-ins half done, for ten minutes, in browsers at the old address",
    "idempotency": "answers to repeated requests, for a day, of clients of the old address",
    "oauth_code": "lasts a minute, and is for the old address",
    "oauth_device": "lasts minutes, and is for the old address",
    "promise": "made by the old installation",
    "receipt": "of verifiers at the old address",
    "session": "people sign in anew at the new address: their cookies are of the old one",
    "verifier": "of the old installation",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the header, and how many rows of which table."""

    header: Header
    rows: dict[str, int]


def tables(*, journal: bool) -> list[sa.Table]:
    """Return the tables to export, what others refer to first."""
    left = {*LEFT_OUT, *APART} - ({"journal"} if journal else set())
    return [table for table in schema.main.sorted_tables if table.name not in left]


def export(config: Config, target: Path, *, journal: bool) -> Exported:
    """Write every record into a new file of mode 0600, in one snapshot, with servers or without.

    FileExistsError when the file is there, UpgradeError for a database of another schema,
    StoreError when it fails, OSError when the file can't be written: none leaves a file.
    """
    if target.exists() or target.is_symlink():
        raise FileExistsError(17, "already exists", str(target))
    number = schema_of(config.database)
    if number < SCHEMA_HEAD:
        msg = f"{config.database} has schema {number}; run latchgate migrate first"
        raise UpgradeError(msg)
    if number > SCHEMA_HEAD:
        msg = f"{config.database} has schema {number}; export it with the latchgate that it is of"
        raise UpgradeError(msg)
    chosen = tables(journal=journal)
    with (
        private_folder(target.absolute().parent) as folder,
        found.snapshot(config.database) as ask,
    ):
        written = folder / "written"
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            header, counts = write_export(file, ask, chosen, now=time.time())
            file.flush()
            os.fsync(descriptor)
        appear(written, target)
    return Exported(header, counts)
