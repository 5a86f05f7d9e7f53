"""Verbs for databases on this machine: migrate, signing-key."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from latchgate.cli.local import config_option, loaded
from latchgate.cli.output import Failed, json_option, print_fields, print_json, print_table


@click.command()
@config_option
@click.option("--no-backup", is_flag=True, help="Make no copy of the databases first.")
@click.option(
    "--force",
    is_flag=True,
    help="PostgreSQL: migrate though nodes are too old for it; they refuse all requests then.",
)
@json_option
def migrate(*, config_file: Path, no_backup: bool, force: bool, as_json: bool) -> None:
    """Bring the databases of an older version to this one; files are copied first.

    SQLite: stop the server and every program with a Verifier before. PostgreSQL: leave the nodes
    running, upgrade them one by one afterwards. A master key and a signing key are made where there
    are none. Nothing to do is fine too.
    """
    from latchgate.serve.upgrade import upgrade

    config = loaded(config_file)
    with told():
        done = upgrade(config, who=getpass.getuser(), backup=not no_backup, force=force)
    made = str(done.master_key) if done.master_key is not None else None
    if as_json:
        print_json(
            {
                "was": done.was,
                "now": done.now,
                "backups": [str(one) for one in done.backups],
                "signing_keys": list(done.signing_keys),
                "master_key": made,
            }
        )
        return
    if done.was == done.now and not done.backups and not done.signing_keys:
        click.echo(f"Nothing to do: the databases have schema {done.now}.")
        return
    print_fields(
        [
            ("was", f"schema {done.was}"),
            ("now", f"schema {done.now}"),
            ("backups", [str(one) for one in done.backups]),
            ("signing keys made", list(done.signing_keys)),
            ("master key made", made),
        ]
    )
    if made is not None:
        click.echo(f"Keep a copy of {made} elsewhere: without it nothing can be signed.")


@click.group("signing-key")
def signing_key() -> None:
    """List and replace the keys that Latchgate itself signs with."""


@signing_key.command("list")
@config_option
@json_option
def list_keys(*, config_file: Path, as_json: bool) -> None:
    """List signing keys with their public halves, retired ones too."""
    from latchgate.serve.upgrade import listed_signing_keys

    config = loaded(config_file)
    with told():
        keys = listed_signing_keys(config)
    if as_json:
        print_json({"keys": keys})
        return
    print_table(("id", "purpose", "public_key", "created_at", "retired_at"), keys)


@signing_key.command()
@config_option
@click.option(
    "--new-master",
    is_flag=True,
    help="The master key is lost: draw a new one too. Its file must be out of the way.",
)
@json_option
def replace(*, config_file: Path, new_master: bool, as_json: bool) -> None:
    """Retire the keys that sign now and make new ones, at once, with or without a server.

    What the old ones signed can still be checked. The journal says who did it.
    """
    from latchgate.serve.upgrade import replace_signing_keys

    config = loaded(config_file)
    with told():
        made = replace_signing_keys(config, who=getpass.getuser(), new_master=new_master)
    if as_json:
        print_json({"keys": [{"id": key.id, "purpose": str(key.purpose)} for key in made]})
        return
    print_fields([(str(key.purpose), key.id) for key in made])
    if new_master:
        click.echo(f"Keep a copy of {config.master_key} elsewhere: without it nothing is signed.")


@contextmanager
def told() -> Iterator[None]:
    """Word what can be wrong on this machine, and keep what is written to its owner."""
    from latchgate.keyring.errors import KeyringError
    from latchgate.serve.backup import BackupError
    from latchgate.serve.upgrade import UpgradeError
    from latchgate.store.errors import StoreError

    os.umask(0o077)
    try:
        yield
    except FileExistsError as error:
        raise Failed(f"{error.filename} already exists; move it away first. Nothing was changed")
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}")
    except (UpgradeError, BackupError, KeyringError, StoreError) as error:
        raise Failed(str(error))
