"""What is done on the machine itself, without the API: init, recover, policy check."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from latchgate import providers
from latchgate.config import Config, load
from latchgate.core.location import Postgres
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.secret import Secret
from latchgate.keyring import master
from latchgate.manage import own_client, setup, signing_keys
from latchgate.manage.setup import FirstRecords
from latchgate.serve.upgrade import parts_of
from latchgate.signin.password import hash_password
from latchgate.store import found
from latchgate.store.errors import StoreError
from latchgate.store.found import is_used
from latchgate.store.journal import Actor, Store
from latchgate.store.migrate import migrate

CONFIG_TEXT = """\
# Latchgate's configuration; every key is explained in docs/reference/configuration.md.
# Paths start at this file's folder.

{database}

# Opens the private signing keys in the database. Keep a copy elsewhere, apart from backups of it.
master_key = "master.key"

# Policy files: checked by `latchgate policy check`, published by `latchgate policy apply`.
policy = [{policy}]

[listen]
api = "{api}"
console = "{console}"
verify = "{verify}"

[gateways]
# Whose word is believed: only these may ask on the verify address.
trusted = ["127.0.0.1", "::1"]
"""


_FILES = 'database = "latchgate.db"\nusage_database = "latchgate-usage.db"'


class InUseError(Exception):
    """The database that `init` is to make is one of another Latchgate."""


@dataclass(frozen=True, slots=True)
class Initialized:
    """A new Latchgate: its configuration and its first records."""

    config: Config
    first: FirstRecords | None  # None where no database was made


def initialize(
    file: Path,
    *,
    chosen: Iterable[str],
    api: str,
    console: str,
    verify: str,
    at: Postgres | None = None,
    database: bool = True,
) -> Initialized:
    """Write configuration, policy files, databases and profile; nothing of it may exist yet.

    `at` is a PostgreSQL database for records and usage, instead of files beside the configuration.
    Without `database` only the configuration and the policy files: for one that is restored.

    FileExistsError names what is in the way, InUseError a database that is, StoreError says that
    PostgreSQL failed; whatever fails half-way is taken back.
    """
    names = [f"{provider}.toml" for provider in chosen]
    folder = file.absolute().parent
    text = CONFIG_TEXT.format(
        database=f"database = {_quoted(at.uri.reveal())}" if at is not None else _FILES,
        policy=", ".join(f'"providers/{name}"' for name in names),
        api=api,
        console=console,
        verify=verify,
    )
    made: list[Path] = []
    missing = [
        path for path in (folder / "providers", folder, *folder.parents) if not path.exists()
    ]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "providers").mkdir(exist_ok=True)
    try:
        _create(file, text, made)
        config = load(file)
        parts = parts_of(config)
        files = [one for one in parts if isinstance(one, Path)]
        _refuse_existing(*files, config.master_key, config.profile)
        for name in names:
            _create(folder / "providers" / name, providers.text(name), made)
        if not database:
            return Initialized(config=config, first=None)
        if at is not None:
            _refuse_used(at)
        made += files
        for location, held in parts.items():
            migrate(location, *held)
        made.append(config.master_key)
        first = _first_records(config)
        _create(config.profile, _profile(config, first.token), made)
    except BaseException:
        _take_back(made, missing)
        raise
    return Initialized(config=config, first=first)


def _take_back(made: Iterable[Path], folders: Iterable[Path]) -> None:
    """Remove what was made, and folders that were not there and are empty again."""
    for path in made:
        for beside in ("", "-wal", "-shm", "-bell"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
    for path in folders:
        with suppress(OSError):
            path.rmdir()


def _first_records(config: Config) -> FirstRecords:
    files = policy_files(config)
    key = master.create(config.master_key, secrets.token_bytes)
    store = Store(config.database, clock=time.time)
    try:
        policy = with_built_in(files, providers.text(providers.BUILT_IN), version=1)
        first = setup.initialize(
            store,
            policy,
            files,
            entropy=secrets.token_bytes,
            hash_password=lambda text: hash_password(text, secrets.token_bytes(16)),
        )
        actor = Actor(name="local:init", tenant_id=None)
        try:
            signing_keys.ensure(store, actor, key, entropy=secrets.token_bytes)
            own_client.ensure(store, actor, policy)
        except StoreError as error:
            if isinstance(config.database, Path):
                raise  # the file is removed
            msg = f"{error}. {config.database} holds first records that nobody has a token for:"
            msg += " empty it before init runs again"
            raise StoreError(msg) from error
        return first
    finally:
        store.close()


def recover(config: Config, *, who: str) -> tuple[Secret, OSError | None]:
    """Issue a new administrator's token on this machine, and write it into the profile.

    Returns the token, and why the profile could not be written if it could not. What is published
    is not looked at: an unusable policy must not lock the operator out too.
    """
    found.check(config.database)
    store = Store(config.database, clock=time.time)
    try:
        policy = with_built_in({}, providers.text(providers.BUILT_IN), version=0)
        token = setup.recover(store, policy, who=who, entropy=secrets.token_bytes).secret
    finally:
        store.close()
    try:
        config.profile.unlink(missing_ok=True)
        _create(config.profile, _profile(config, token), [])
    except OSError as error:
        return token, error
    return token, None


def policy_files(config: Config) -> dict[str, str]:
    """Read the policy files that the configuration names; OSError when one can't be read."""
    files: dict[str, str] = {}
    for path in config.policy:
        try:
            files[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise OSError(0, "is not UTF-8 text", str(path)) from error
    return files


def check_policy(files: dict[str, str]) -> Policy:
    """Compile policy files with Latchgate's own; PolicyError says all that is wrong."""
    return with_built_in(files, providers.text(providers.BUILT_IN), version=0)


def _profile(config: Config, token: Secret) -> str:
    return f'url = "{config.api.url}"\ntoken = "{token.reveal()}"\n'


def _refuse_used(database: Postgres) -> None:
    if is_used(database):
        msg = f"{database} holds a Latchgate already. For one more node of it copy the"
        msg += " configuration, policy files and master key of the first, and run latchgate serve"
        raise InUseError(msg)


def _quoted(text: str) -> str:
    """Write a TOML string, which JSON's are (TOML 1.0, "String")."""
    return json.dumps(text)


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            msg = f"{path} already exists"
            raise FileExistsError(msg)


def _create(path: Path, text: str, made: list[Path]) -> None:
    """Write a new file that only its owner may read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        msg = f"{path} already exists"
        raise FileExistsError(msg) from error
    made.append(path)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
