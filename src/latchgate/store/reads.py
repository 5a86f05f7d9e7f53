"""The statements of the verify path, written once and run on the driver itself.

A point read takes 4–7 µs on the driver and 16 through SQLAlchemy (ARCHITECTURE §8), and the
base install, which verifies in process, has no SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from latchgate.core.model import Key, Login, Noun, Record, User
from latchgate.store import rows
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.rows import Snapshot
from latchgate.store.schema_window import NOT_YET, judge_schema
from latchgate.store.sqlite import Connection, faults

_Reader = Callable[[Connection, str], Record | None]

_USER_BLOCKS = "SELECT application_id FROM application_block WHERE user_id = ?"
_LOGIN = "SELECT user_id FROM login WHERE id = ?"
_LOGIN_CREDENTIALS = "SELECT kind, credential_id FROM login_credential WHERE login_id = ?"
_USER_ROLES = "SELECT project_id, role_id FROM role_assignment WHERE user_id = ?"
_USER = f"SELECT {rows.USER} FROM account WHERE id = ?"  # noqa: S608 - columns of our own
_HEAD = "SELECT n, epoch FROM journal_head"
# One statement, so that epoch and rows are of one snapshot; one row of nulls where none is new.
_SINCE = (
    "SELECT epoch, journal.n, noun, record FROM journal_head"
    " LEFT JOIN journal ON journal.n > ? ORDER BY journal.n LIMIT ?"
)
_POLICY = "SELECT version, files FROM policy_version ORDER BY version DESC LIMIT 1"
_SCHEMA = "SELECT version_num FROM alembic_version"
_OLDEST = "SELECT oldest FROM schema_window"
PAGE = 1_000
_IDS = "SELECT id FROM credential WHERE id > ? ORDER BY id LIMIT ?"
_COUNTED = f"SELECT count(*), max(id) FROM ({_IDS})"  # noqa: S608 - a statement of our own


def read_records(connection: Connection, keys: Iterable[Key]) -> Snapshot:
    """Read records and the journal number of the same snapshot; StoreError when it fails."""
    with faults():
        connection.execute("BEGIN")
        try:
            (number, _), *_rest = connection.execute(_HEAD).fetchall()
            records = {key: _READERS[key[0]](connection, key[1]) for key in keys}
        finally:
            connection.execute("COMMIT")
    return Snapshot(number=number, records=records)


def read_within(connection: Connection, keys: Iterable[Key]) -> dict[Key, Record | None]:
    """Read records inside a transaction under way; StoreError when it fails."""
    with faults():
        return {key: _READERS[key[0]](connection, key[1]) for key in keys}


def read_head(connection: Connection) -> tuple[int, str]:
    """Return the journal's head number and its epoch."""
    with faults():
        row = connection.execute(_HEAD).fetchone()
    if row is None:
        msg = "the database holds no journal; run latchgate init"
        raise StoreError(msg)
    return row[0], row[1]


def read_changes(connection: Connection, after: int, *, epoch: str) -> list[tuple[int, Key]] | None:
    """Return up to `PAGE` changes after a number, oldest first, as (number, record changed).

    None when the journal is of another epoch: its numbers say nothing about those known so far.
    """
    with faults():
        found = connection.execute(_SINCE, (after, PAGE)).fetchall()
    if not found or found[0][0] != epoch:
        return None
    return [(n, (Noun(noun), record)) for _, n, noun, record in found if n is not None]


def read_policy_files(connection: Connection) -> tuple[int, dict[str, str]]:
    """Return the newest policy version and its files; version 0 when none was published."""
    with faults():
        row = connection.execute(_POLICY).fetchone()
    return (row[0], rows.files_of(row[1])) if row is not None else (0, {})


def read_ids(connection: Connection, after: str) -> list[str]:
    """Return up to `PAGE` credentials' ids after one, in order."""
    with faults():
        return [one for (one,) in connection.execute(_IDS, (after, PAGE)).fetchall()]


def count_ids(connection: Connection, after: str) -> tuple[int, str | None]:
    """Count up to `PAGE` credentials' ids after one, and return the last of them."""
    with faults():
        count, last = connection.execute(_COUNTED, (after, PAGE)).fetchone()
    return count, last


def check_schema(connection: Connection, expected: str) -> None:
    """Raise NotMigratedError unless this program may work with the schema of the database.

    It has the one that the program was written for, or one that was added to it since.
    """
    try:
        with faults():
            row = connection.execute(_SCHEMA).fetchone()
    except StoreError as error:
        raise NotMigratedError(NOT_YET) from error
    judge_schema(row, lambda: _oldest(connection), expected)


def _oldest(connection: Connection) -> str | None:
    with faults():
        row = connection.execute(_OLDEST).fetchone()
    return row[0] if row is not None else None


def _one(table: str, columns: str, made: Callable[[rows.Row], Record]) -> _Reader:
    """Return what reads one record of a table by its id."""
    statement = f"SELECT {columns} FROM {table} WHERE id = ?"  # noqa: S608 - names of our own

    def read(connection: Connection, record_id: str) -> Record | None:
        row = connection.execute(statement, (record_id,)).fetchone()
        return made(row) if row is not None else None

    return read


def _user(connection: Connection, record_id: str) -> User | None:
    row = connection.execute(_USER, (record_id,)).fetchone()
    if row is None:
        return None
    roles = connection.execute(_USER_ROLES, (record_id,)).fetchall()
    blocks = connection.execute(_USER_BLOCKS, (record_id,)).fetchall()
    return rows.user(row, roles, (application_id for (application_id,) in blocks))


def _login(connection: Connection, record_id: str) -> Login | None:
    row = connection.execute(_LOGIN, (record_id,)).fetchone()
    if row is None:
        return None
    credentials = dict(connection.execute(_LOGIN_CREDENTIALS, (record_id,)).fetchall())
    return Login(id=record_id, user_id=row[0], credentials=credentials)


_READERS: dict[Noun, _Reader] = {
    Noun.CREDENTIAL: _one("credential", rows.CREDENTIAL, rows.credential),
    Noun.USER: _user,
    Noun.TENANT: _one("tenant", rows.TENANT, rows.tenant),
    Noun.PROJECT: _one("project", rows.PROJECT, rows.project),
    Noun.ROLE: _one("role", rows.ROLE, rows.role),
    Noun.LOGIN: _login,
    Noun.APPLICATION: _one("application", rows.APPLICATION, rows.application),
    Noun.APPLICATION_KEY: _one("application_key", rows.APPLICATION_KEY, rows.application_key),
    Noun.SIGNING_KEY: _one("signing_key", rows.SIGNING_KEY, rows.signing_key),
}
