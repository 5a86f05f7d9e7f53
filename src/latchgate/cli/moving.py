"""`latchgate backup`, `restore`, `export`, `load`: this machine's databases to files and back."""

from __future__ import annotations

import getpass
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from latchgate.cli.local import config_option, loaded
from latchgate.cli.output import json_option, print_fields, print_json, print_table
from latchgate.cli.upkeep import told

if TYPE_CHECKING:
    from latchgate.serve.backup import Manifest
    from latchgate.serve.restore import Replaced, Restored

_LISTED = 50
_file = click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))


class _CreateByDefault(click.RichGroup):
    """Reads `backup FILE` as `backup create FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_CreateByDefault)
def backup() -> None:
    """Back up a running server's database into one file, and check such files.

    `backup FILE` is short for `backup create FILE`.
    """


@backup.command()
@config_option
@_file
@click.option("--usage", is_flag=True, help="Usage and refusals too, which are kept apart.")
@click.option(
    "--with-master-key",
    is_flag=True,
    help="The master key too: who has the file can then sign as this Latchgate.",
)
@json_option
def create(
    *, config_file: Path, file: Path, usage: bool, with_master_key: bool, as_json: bool
) -> None:
    """Copy the database into a new file of mode 0600, while servers go on.

    The file is read back and checked before it appears under its name. Without
    --with-master-key keep a copy of the master key elsewhere.
    """
    from latchgate.serve.backup import back_up

    config = loaded(config_file)
    with told():
        made = back_up(config, file, usage=usage, with_master_key=with_master_key)
    if as_json:
        print_json({"file": str(file), "manifest": made})
        return
    _print_manifest(file, made)
    if not with_master_key:
        click.echo(f"The master key is not in it: keep a copy of {config.master_key} elsewhere.")


@backup.command()
@_file
@json_option
def verify(*, file: Path, as_json: bool) -> None:
    """Check a backup: every byte, the database, the journal's chain, its signed head.

    Reads only, and needs neither configuration nor master key. Exits with 1 when the file is
    not sound.
    """
    from latchgate.serve.backup import look

    with told(), look(file, within=Path(tempfile.gettempdir())) as looked:
        manifest, report = looked.manifest, looked.report
    if as_json:
        print_json({"file": str(file), "manifest": manifest, "journal": report})
        return
    _print_manifest(file, manifest)
    click.echo("The backup is sound.")


@click.command()
@config_option
@_file
@click.option("--usage", is_flag=True, help="Replace usage and refusals too, if the file has them.")
@click.option(
    "--replay-narrowing",
    is_flag=True,
    help="Take away again what was revoked, disabled or narrowed since the backup.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check the file, say what would be lost, change nothing."
)
@json_option
def restore(
    *,
    config_file: Path,
    file: Path,
    usage: bool,
    replay_narrowing: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a backup in the place of the configured database.

    Stop the server and every program with a Verifier before. The backup is checked first; what
    was there is kept beside it. What was revoked since the backup is valid again unless
    --replay-narrowing takes it away.
    """
    from latchgate.serve.restore import restore as put_back

    config = loaded(config_file)
    with told():
        done = put_back(
            config,
            file,
            who=getpass.getuser(),
            usage=usage,
            narrowing=replay_narrowing,
            dry_run=dry_run,
        )
    if as_json:
        print_json(_as_json(done))
        return
    _print_manifest(file, done.manifest)
    _print_replaced(done.replaced, narrowed=replay_narrowing)
    if dry_run:
        click.echo("The backup is sound. Nothing was changed.")
        return
    _print_done(done)


@click.command()
@config_option
@json_option
def restored(*, config_file: Path, as_json: bool) -> None:
    """Say that PostgreSQL was put back to an earlier state, by its own tools.

    Every node forgets what it remembers, and the journal begins a new epoch; people sign in again.
    What was revoked since that state is valid again: look at it before the nodes answer.
    """
    from latchgate.serve.restored import begin_anew

    config = loaded(config_file)
    with told():
        done = begin_anew(config, who=getpass.getuser())
    if as_json:
        print_json({"before": done.before, "epoch": done.epoch, "n": done.n})
        return
    print_fields(
        [
            ("journal", f"number {done.n}"),
            ("epoch before", done.before),
            ("epoch", done.epoch),
        ]
    )


@click.command()
@config_option
@_file
@click.option("--journal", is_flag=True, help="The journal too: every change there ever was.")
@json_option
def export(*, config_file: Path, file: Path, journal: bool, as_json: bool) -> None:
    """Write every record into a new file of JSON lines, while servers go on.

    Digests of keys and passwords are in it, and the signing keys, sealed under the master key:
    what loads it opens the same doors. Keep it as safe as the database.
    """
    from latchgate.serve.export import export as write

    config = loaded(config_file)
    with told():
        done = write(config, file, journal=journal)
    if as_json:
        print_json({"file": str(file), "header": done.header, "rows": done.rows})
        return
    print_fields(
        [
            ("file", file),
            ("schema", done.header.schema),
            ("journal", f"number {done.header.n}, epoch {done.header.epoch}"),
            *done.rows.items(),
        ]
    )


@click.command()
@config_option
@_file
@json_option
def load(*, config_file: Path, file: Path, as_json: bool) -> None:
    """Make the configured database from an export; it must not be there yet.

    `init --no-database` makes the configuration for it. Put the old master key where the
    configuration names it, or make new signing keys afterwards.
    """
    from latchgate.serve.load import load_export

    config = loaded(config_file)
    with told():
        done = load_export(config, file, who=getpass.getuser())
    if as_json:
        print_json(
            {
                "file": str(file),
                "rows": done.rows,
                "epoch": done.epoch,
                "n": done.n,
                "unsigned": done.unsigned,
            }
        )
        return
    print_fields(
        [("database", config.database), ("journal", f"number {done.n}, epoch {done.epoch}")]
    )
    print_fields(list(done.rows.items()))
    if done.unsigned is not None:
        click.echo(f"latchgate: nothing can be signed yet: {done.unsigned}", err=True)


def _print_manifest(file: Path, manifest: Manifest) -> None:
    print_fields(
        [
            ("file", file),
            ("made at", manifest.at),
            ("schema", manifest.schema),
            ("journal", f"number {manifest.n}, epoch {manifest.epoch}"),
            ("hash", manifest.hash),
            ("signed by", manifest.head.key_id if manifest.head is not None else None),
            ("holds", [f"{part.name} ({part.size} bytes)" for part in manifest.parts]),
        ]
    )
    if manifest.unsigned is not None:
        click.echo(f"latchgate: the backup is not signed: {manifest.unsigned}", err=True)


def _print_replaced(replaced: Replaced | None, *, narrowed: bool) -> None:
    if replaced is None:
        return
    if replaced.unreadable is not None:
        click.echo(
            f"What the old database had beyond is not known: {replaced.unreadable}", err=True
        )
        return
    if not replaced.related:
        click.echo("The old database's journal does not go on where the backup ends.", err=True)
        return
    rows: list[dict[str, Any]] = [
        {"n": one.n, "actor": one.actor, "action": one.action, "record": one.record}
        for one in replaced.lost[:_LISTED]
    ]
    click.echo(f"The old database has {len(replaced.lost)} changes that the backup does not have.")
    if rows:
        print_table(("n", "actor", "action", "record"), rows)
    if len(replaced.lost) > _LISTED:
        click.echo(f"These are the first {_LISTED}; --json lists all.", err=True)
    if rows and not narrowed:
        click.echo(
            "What they revoked or narrowed is valid again without --replay-narrowing.", err=True
        )


def _print_done(done: Restored) -> None:
    for one in done.narrowed:
        click.echo(f"narrowed again: {one.noun} {one.record}: {', '.join(one.what)}")
    print_fields(
        [
            ("restored", f"the journal stands at {done.n}"),
            ("epoch", done.epoch),
            ("kept", done.kept),
            ("usage", "restored" if done.usage else "left as it is"),
            ("master key", done.master_key),
        ]
    )
    if done.unsigned is not None:
        click.echo(f"latchgate: nothing can be signed yet: {done.unsigned}", err=True)


def _as_json(done: Restored) -> dict[str, object]:
    return {
        "manifest": done.manifest,
        "replaced": done.replaced,
        "narrowed": done.narrowed,
        "kept": str(done.kept) if done.kept is not None else None,
        "epoch": done.epoch,
        "n": done.n,
        "usage": done.usage,
        "master_key": str(done.master_key) if done.master_key is not None else None,
        "unsigned": done.unsigned,
    }
