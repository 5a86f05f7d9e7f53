"""`latchgate backup`: a running server's databases in one file, and that file looked at.

Rule of this file: the file appears under its name when all of it was written, read back and
checked, never before; what is read of one is checked against its manifest before anything opens it.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Annotated

import msgspec

from latchgate.config import Config
from latchgate.core.location import Postgres
from latchgate.core.timestamp import rfc3339
from latchgate.keyring import master
from latchgate.keyring.errors import KeyringError
from latchgate.keyring.signing import Purpose, unseal
from latchgate.manage import audit, signing_keys
from latchgate.manage.chain import Report, verify_database
from latchgate.serve.files import appear, private_folder
from latchgate.serve.upgrade import UpgradeError, schema_of
from latchgate.store.copies import check, copied
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import connect, faults

FORMAT = "latchgate-backup-1"
MAIN, USAGE, MASTER_KEY, MANIFEST = (
    "latchgate.db",
    "latchgate-usage.db",
    "master.key",
    "manifest.json",
)
_MAX_MANIFEST = 1_048_576
_CHUNK = 1_048_576
_HEAD = "SELECT n, hash, epoch FROM journal_head"

Size = Annotated[int, msgspec.Meta(ge=0)]


class BackupError(Exception):
    """A file is no sound backup, or none could be made; the message says what is wrong with it."""


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One file inside a backup: its size in bytes, its SHA-256 in hexadecimal."""

    name: str
    size: Size
    sha256: str


class Manifest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a backup holds, as its first file says: format, schema, where the journal stood, parts.

    `head` is the journal's end signed by this Latchgate's own key, null where that key could not be
    used; `unsigned` then says why. `at` is when the copy was made.
    """

    format: str
    program: str
    schema: str
    at: str
    epoch: str
    n: Size
    hash: str
    head: audit.Head | None
    unsigned: str | None
    parts: list[Part]

    def holds(self, name: str) -> bool:
        """Whether a file of that name is in it."""
        return any(part.name == name for part in self.parts)


@dataclass(frozen=True, slots=True)
class Looked:
    """A backup that was read: what it says of itself, and what its journal's check found."""

    manifest: Manifest
    report: Report
    folder: Path  # where its parts stand, for as long as the look takes


def files_of(config: Config) -> tuple[Path, Path | None]:
    """Return the files of records and of usage, None where that is in PostgreSQL.

    BackupError when the records are there: copies of them are PostgreSQL's own to make.
    """
    database, usage = config.database, config.usage_database
    if isinstance(database, Postgres):
        msg = (
            f"{database} is copied by PostgreSQL's own means, while servers go on:\n"
            f"  pg_dump --format=custom --file=latchgate.dump '{database}'\n"
            f"  pg_restore --clean --if-exists --dbname='{database}' latchgate.dump\n"
            "  latchgate restored\n"
            "or, to any moment, by base backups with archived WAL, and latchgate restored after."
            f" Keep apart from the copies: {config.file}, the policy files, {config.master_key}."
            " Nothing was changed"
        )
        raise BackupError(msg)
    return database, usage if isinstance(usage, Path) else None


def back_up(config: Config, target: Path, *, usage: bool, with_master_key: bool) -> Manifest:
    """Write a backup into a new file of mode 0600, with servers running or not.

    FileExistsError when the file is there, BackupError when what was written is not sound, or the
    records are in PostgreSQL, StoreError when a database fails, OSError when the file can't be
    written: none leaves a file.
    """
    if target.exists() or target.is_symlink():
        raise FileExistsError(17, "already exists", str(target))
    database, counts = files_of(config)
    if usage and counts is None:
        msg = f"usage is in {config.usage_database}, which pg_dump copies; leave --usage out"
        raise BackupError(msg)
    schema_of(database)
    with private_folder(target.absolute().parent) as folder:
        found = [copied(database, folder / MAIN, whole=True)]
        if usage and counts is not None:
            found.append(copied(counts, folder / USAGE))
        if with_master_key:
            master.load(config.master_key)
            found.append(_private(config.master_key, folder / MASTER_KEY))
        manifest = _manifest(config, found)
        written = folder / "written"
        _write(written, manifest, found)
        with look(written, within=folder):
            pass
        appear(written, target)
    return manifest


@contextmanager
def look(file: Path, *, within: Path) -> Iterator[Looked]:
    """Read a backup into a folder of its own in `within`, check all of it, and keep it meanwhile.

    The databases in that folder have this program's schema. BackupError says what is wrong.
    """
    with private_folder(within) as folder:
        try:
            manifest = _extract(file, folder)
        except (tarfile.TarError, EOFError, UnicodeError, msgspec.MsgspecError) as error:
            msg = f"{file} is no backup of Latchgate's, or a part of one: {error}"
            raise BackupError(msg) from error
        if manifest.schema > SCHEMA_HEAD:
            msg = f"{file} has schema {manifest.schema}, this program knows {SCHEMA_HEAD}: a newer"
            msg += " latchgate made it, and this one can't read it"
            raise BackupError(msg)
        for name, part in ((MAIN, "main"), (USAGE, "usage")):
            if manifest.holds(name):
                _checked(file, folder / name, part)
        report = verify_database(folder / MAIN, against=manifest.head)
        _agree(file, manifest, report)
        yield Looked(manifest, report, folder)


def _checked(file: Path, database: Path, part: str) -> None:
    check(database)
    try:
        if schema_of(database) != SCHEMA_HEAD:
            migrate(database, part)
    except UpgradeError as error:
        msg = f"{file}: {error}"
        raise BackupError(msg) from error


def _agree(file: Path, manifest: Manifest, report: Report) -> None:
    """Refuse a journal that does not hold, or is another than the manifest names."""
    if not report.sound:
        first = report.faults[0]
        where = f"at number {first.n}: " if first.n is not None else ""
        msg = f"{file}: the journal in it does not hold, {where}{first.problem}"
        raise BackupError(msg)
    told = (manifest.n, manifest.hash, manifest.epoch)
    if told != (report.n, report.hash, report.epoch):
        msg = f"{file}: its manifest names another journal than the one in it"
        raise BackupError(msg)


def _manifest(config: Config, found: list[Path]) -> Manifest:
    with closing(connect(found[0], durable=True, read_only=True)) as connection, faults():
        n, digest, epoch = connection.execute(_HEAD).fetchone()
    head, unsigned = None, None
    now = time.time()
    store = Store(config.database, clock=time.time)
    try:
        key = signing_keys.current(store, Purpose.AUDIT)
        signer = unseal(key, master.load(config.master_key))
        head = audit.signed_head(signer, epoch=epoch, n=n, digest=bytes(digest), now=now)
    except KeyringError as error:
        unsigned = str(error)
    finally:
        store.close()
    return Manifest(
        format=FORMAT,
        program=version("latchgate"),
        schema=schema_of(found[0]),
        at=rfc3339(now),
        epoch=epoch,
        n=n,
        hash=bytes(digest).hex(),
        head=head,
        unsigned=unsigned,
        parts=[Part(one.name, one.stat().st_size, _digest(one)) for one in found],
    )


def _write(written: Path, manifest: Manifest, found: list[Path]) -> None:
    """Write the archive: the manifest first, so that what follows can be checked as it is read."""
    told = found[0].with_name(MANIFEST)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    told.write_bytes(text)
    descriptor = os.open(written, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for one in (told, *found):
                entry = tarfile.TarInfo(one.name)
                entry.size, entry.mode = one.stat().st_size, 0o600
                entry.mtime = int(time.time())
                with one.open("rb") as content:
                    archive.addfile(entry, content)
        file.flush()
        os.fsync(descriptor)


def _extract(file: Path, folder: Path) -> Manifest:
    """Write the parts that the manifest names into a folder, and nothing else, each compared."""
    with tarfile.open(file, mode="r:") as archive:
        manifest = _read_manifest(archive)
        for part in manifest.parts:
            entry = archive.next()
            if (
                entry is None
                or not entry.isreg()
                or (entry.name, entry.size) != (part.name, part.size)
            ):
                msg = f"{part.name} is not there as its manifest says"
                raise tarfile.ReadError(msg)
            content = archive.extractfile(entry)
            if content is None or _copy(content, folder / part.name) != part.sha256:
                msg = f"{part.name} is not what was written: its SHA-256 is another"
                raise tarfile.ReadError(msg)
        if archive.next() is not None:
            msg = "it holds more than its manifest says"
            raise tarfile.ReadError(msg)
    return manifest


def _read_manifest(archive: tarfile.TarFile) -> Manifest:
    first = archive.next()
    content = archive.extractfile(first) if first is not None and first.isreg() else None
    if first is None or content is None or first.name != MANIFEST or first.size > _MAX_MANIFEST:
        msg = f"it does not begin with {MANIFEST}"
        raise tarfile.ReadError(msg)
    told = msgspec.json.decode(content.read())
    if isinstance(told, dict) and told.get("format") != FORMAT:
        msg = f"its format is {str(told.get('format'))[:40]!r}; this program knows {FORMAT}"
        raise tarfile.ReadError(msg)
    manifest = msgspec.convert(told, Manifest)
    names = [part.name for part in manifest.parts]
    if names[:1] != [MAIN] or len(set(names)) < len(names) or {*names} - {MAIN, USAGE, MASTER_KEY}:
        msg = f"its manifest names {', '.join(names)[:100]}, which are not the parts of a backup"
        raise tarfile.ReadError(msg)
    return manifest


def _copy(content: IO[bytes], target: Path) -> str:
    found = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(_CHUNK):
            found.update(chunk)
            file.write(chunk)
    return found.hexdigest()


def _private(source: Path, target: Path) -> Path:
    with source.open("rb") as content:
        _copy(content, target)
    return target


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
