"""Files that appear whole or not at all, and that only their owner may read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BESIDE = ("", "-wal", "-shm", "-journal")  # what SQLite keeps beside a database


@contextmanager
def private_folder(within: Path) -> Iterator[Path]:
    """Make a folder for its owner alone, and remove it at the end with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix=".latchgate-", dir=within))
    try:
        yield folder
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


def appear(written: Path, target: Path) -> None:
    """Give a finished file a second name; FileExistsError when something has that name."""
    os.link(written, target)
    _lasting(target.absolute().parent)


def placed(copy: Path, database: Path) -> None:
    """Give a finished database the name of one that is not there."""
    _lasting(copy)
    for beside in BESIDE[1:]:  # a log without its database would be read into the new one
        database.with_name(database.name + beside).unlink(missing_ok=True)
    copy.rename(database)
    _lasting(database.parent)


def _lasting(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
