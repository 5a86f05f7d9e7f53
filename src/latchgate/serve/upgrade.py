"""`latchgate migrate` and `latchgate signing-key`: what is done to a database between two servers.

Rule of this file: everything that could stop it is looked at before anything is changed, and the
backup is made and checked before the first migration runs.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from latchgate import providers
from latchgate.config import Config
from latchgate.core.location import Location
from latchgate.core.policy_file import with_built_in
from latchgate.core.timestamp import maybe_rfc3339, rfc3339
from latchgate.keyring import master
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import SealedKey, spell
from latchgate.manage import own_client, signing_keys
from latchgate.store import found, schema
from latchgate.store.bell import Bell
from latchgate.store.copies import copied
from latchgate.store.errors import OutcomeUnknownError, StoreError
from latchgate.store.journal import Actor, Store
from latchgate.store.migrate import migrate, oldest_program
from latchgate.store.schema_window import SCHEMA_HEAD

_STAMP = "%Y%m%dT%H%M%SZ"


class UpgradeError(Exception):
    """The database was not brought to this program's schema; the message says what is unchanged."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What `migrate` did: schema before and now, copies made, new signing keys and master key."""

    was: str
    now: str
    backups: tuple[Path, ...]
    signing_keys: tuple[str, ...]
    master_key: Path | None


def upgrade(config: Config, *, who: str, backup: bool, force: bool = False) -> Upgraded:
    """Bring both databases to this program's schema, and give them the keys it signs with.

    Files are copied first. PostgreSQL is migrated while servers use it, unless theirs are too old
    for what it becomes and `force` is not given. UpgradeError while something uses the database,
    KeyringError when the master key that is there can't be used, StoreError when a database fails,
    OSError when no copy can be written.
    """
    parts = parts_of(config)
    was = {database: schema_of(database) for database in parts}
    for database, number in was.items():
        if number > SCHEMA_HEAD:
            msg = f"{database} has schema {number}, this program {SCHEMA_HEAD}: the latchgate that"
            msg += " migrated it does what there is to do. Nothing was changed"
            raise UpgradeError(msg)
    behind = [database for database, number in was.items() if number < SCHEMA_HEAD]
    files = [database for database in behind if isinstance(database, Path)]
    if files and isinstance(config.database, Path):
        with closing(Bell.beside(config.database)) as bell:
            refuse_while_used(config.database, bell)
    held = master.load(config.master_key) if config.master_key.exists() else None
    stamp = time.strftime(_STAMP, time.gmtime())
    backups = _copies({one: was[one] for one in files}, stamp) if backup else []
    for database in behind:
        look = partial(_look_at_older, database, force=force)
        try:
            migrate(database, *parts[database], before=look)
        except sa.exc.SQLAlchemyError as error:
            msg = f"{database}: the migration failed and took back what it did: {error}"
            raise StoreError(msg) from error
    made, new = _keys(config, held, who)
    return Upgraded(
        was=was[config.database],
        now=SCHEMA_HEAD,
        backups=tuple(backups),
        signing_keys=tuple(key.id for key in made),
        master_key=config.master_key if new else None,
    )


def parts_of(config: Config) -> dict[Location, tuple[str, ...]]:
    """Return what each configured database holds: records and usage, which may share one."""
    if config.usage_database == config.database:
        return {config.database: ("main", "usage")}
    return {config.database: ("main",), config.usage_database: ("usage",)}


def schema_of(database: Location) -> str:
    """Return the number of a database's newest migration; UpgradeError for what has none.

    NotMigratedError when it is newer than this program can work with.
    """
    if isinstance(database, Path) and not database.exists():
        msg = f"{database} does not exist; latchgate init makes a new one"
        raise UpgradeError(msg)
    try:
        number = found.schema_at(database)
    except StoreError as error:
        if not isinstance(database, Path):
            raise
        msg = f"{database} is not a database of Latchgate's ({error}); nothing was changed"
        raise UpgradeError(msg) from error
    if number is None and not isinstance(database, Path):
        msg = f"{database} holds no Latchgate yet; latchgate init makes one there"
        raise UpgradeError(msg)
    if number is None or number > SCHEMA_HEAD:
        found.check(database)
    return str(number)


def _look_at_older(database: Location, connection: sa.Connection, *, force: bool) -> None:
    """Refuse a migration while programs follow a database that could not go on after it.

    `force` takes their trust instead: they find no row of theirs, and can't register anew.
    """
    if isinstance(database, Path) or not sa.inspect(connection).has_table(schema.verifier.name):
        return
    table, oldest = schema.verifier, oldest_program()
    if oldest <= connection.execute(sa.select(schema.schema_window.c.oldest)).scalar_one():
        return  # nobody who works with it now is shut out
    # Whoever would come or beat meanwhile waits, so that none is missed.
    connection.exec_driver_sql("LOCK TABLE verifier IN SHARE ROW EXCLUSIVE MODE")
    older = table.c.schema < oldest
    if force:
        connection.execute(sa.update(table).where(older).values(state="leaving"))
        return
    listed = "; ".join(
        f"{row.node} (process {row.process}, latchgate {row.program}, seen {rfc3339(row.seen_at)})"
        for row in connection.execute(sa.select(table).where(older).order_by(table.c.node))
    )
    if listed:
        msg = f"{database}: schema {SCHEMA_HEAD} is for programs that know {oldest} and later, and"
        msg += f" these that follow it do not: {listed}. Stop them first; or migrate with --force,"
        msg += " after which they refuse every request. Nothing was changed"
        raise UpgradeError(msg)


def refuse_while_used(database: Path, bell: Bell) -> None:
    """Raise UpgradeError when a server or a Verifier follows a database."""
    users = sorted({one.process_id for one in bell.listeners()})
    if users:
        listed = ", ".join(str(one) for one in users)
        msg = f"{database} is in use by process {listed} (a server, or a program with a Verifier);"
        msg += " stop it first. Nothing was changed"
        raise UpgradeError(msg)


def _copies(databases: Mapping[Path, str], stamp: str) -> list[Path]:
    """Copy every database, or none."""
    made: list[Path] = []
    try:
        for database, schema in databases.items():
            copy = database.with_name(f"{database.name}.{stamp}-schema-{schema}")
            made.append(copied(database, copy))
    except BaseException:
        for copy in made:
            copy.unlink(missing_ok=True)
        raise
    return made


def _keys(config: Config, held: MasterKey | None, who: str) -> tuple[list[SealedKey], bool]:
    """Make the first signing keys, under a new master key if there was none."""
    store = Store(config.database, clock=time.time)
    try:
        if held is None and signing_keys.any_known(store):
            return [], False  # the master key is lost: only `signing-key replace` draws another
        key = held or master.create(config.master_key, secrets.token_bytes)
        actor = Actor(name=f"local:{who}", tenant_id=None)
        own_client.ensure(
            store, actor, with_built_in({}, providers.text(providers.BUILT_IN), version=0)
        )
        return signing_keys.ensure(store, actor, key, entropy=secrets.token_bytes), held is None
    finally:
        store.close()


def replace_signing_keys(config: Config, *, who: str, new_master: bool) -> list[SealedKey]:
    """Retire the keys that sign now and make new ones, with a server running or not.

    `new_master` draws a master key too, for when the one before is lost: FileExistsError if its
    file is still there. KeyringError when the master key can't be used, StoreError when the
    database can't.
    """
    _check(config)
    store = Store(config.database, clock=time.time)
    actor = Actor(name=f"local:{who}", tenant_id=None)
    try:
        if not new_master:
            key = master.load(config.master_key)
            return signing_keys.replace(store, actor, key, entropy=secrets.token_bytes)
        key = master.create(config.master_key, secrets.token_bytes)
        try:
            return signing_keys.replace(store, actor, key, entropy=secrets.token_bytes)
        except OutcomeUnknownError:
            raise  # keys under it may be stored
        except BaseException:
            config.master_key.unlink(missing_ok=True)
            raise
    finally:
        store.close()


def listed_signing_keys(config: Config) -> list[dict[str, object]]:
    """Return every signing key's public half, oldest first; StoreError when that can't be read."""
    _check(config)
    store = Store(config.database, clock=time.time)
    try:
        return [
            {
                "id": row.id,
                "purpose": row.purpose,
                "public_key": spell(bytes(row.public)),
                "created_at": rfc3339(row.created_at),
                "begins_at": maybe_rfc3339(row.begins_at),
                "retired_at": maybe_rfc3339(row.retired_at),
            }
            for row in signing_keys.listed(store)
        ]
    finally:
        store.close()


def _check(config: Config) -> None:
    """Refuse a database that isn't there, or has a schema that this program can't work with."""
    schema_of(config.database)
    found.check(config.database)
