"""`latchgate audit`: what was changed, by whom; whether somebody changed that list."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import rich_click as click

from latchgate.cli.local import config_option, loaded
from latchgate.cli.output import Failed, json_option, print_fields, print_json, print_table

if TYPE_CHECKING:
    from latchgate.manage.audit import Head
    from latchgate.manage.chain import Report
    from latchgate.manage.segment_check import Checked

_MAX_HEAD = 65_536
_SHOWN = ("rows", "epoch", "n", "hash", "against")


@click.group()
def audit() -> None:
    """List, export and check what was changed."""


@audit.command("list")
@click.option("--actor", metavar="NAME", help="Who did it: the whole name or its first word.")
@click.option("--action", metavar="ACTION", help="What was done, for example key.create.")
@click.option("--noun", metavar="NOUN", help="What the record is of, for example credential.")
@click.option("--record", metavar="ID", help="The record that was changed.")
@click.option("--credential", metavar="ID", help="What the actor came with.")
@click.option("--tenant", metavar="ID", help="Whose record it is; others' for the operator only.")
@click.option("--since", metavar="TIME", help="For example 2026-12-01T00:00:00Z; included.")
@click.option("--until", metavar="TIME", help="Not included.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="How many at most.",
)
@click.option("--after", type=click.IntRange(0), metavar="N", help="Go on after this number.")
@json_option
def list_rows(*, as_json: bool, **asked: str | int | None) -> None:
    """List what was changed, oldest first.

    --json also has what each record was before and is after.
    """
    from latchgate.cli.api import call

    query = {name: value for name, value in asked.items() if value is not None}
    page = call("GET", "/manage/v1/audit", "rows", "next", params=query)
    if as_json:
        print_json(page)
        return
    print_table(("n", "at", "actor", "address", "action", "record"), page["rows"])
    if page["next"] is not None:
        click.echo(f"There are more: add --after {page['next']}", err=True)


@audit.command()
@json_option
def head(*, as_json: bool) -> None:
    """Print where the journal stands, signed: keep it where this machine can't write.

    Always JSON: `audit verify --against` takes it as it is.
    """
    from latchgate.cli.api import call

    del as_json  # it is what the file to keep is made of
    print_json(call("GET", "/manage/v1/audit/head", "n", "hash", "signature"))


@audit.command()
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file for it, of mode 0600; standard output unless told.",
)
@json_option
def export(*, target: Path | None, as_json: bool) -> None:
    """Export the whole journal as JSON lines, a signed head last.

    Always JSON. What ends without a head is not whole.
    """
    from latchgate.cli.api import stream

    del as_json  # it is JSON lines anyway
    chunks = stream("/manage/v1/audit/export")
    if target is None:
        _write(chunks, sys.stdout.buffer)
        return
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failed(f"{target}: {error.strerror}")
    whole = False
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write(chunks, file)
            file.flush()
            os.fsync(descriptor)
        whole = True
    except OSError as error:
        raise Failed(f"{target}: {error.strerror}")
    finally:
        if not whole:
            target.unlink(missing_ok=True)


def _write(chunks: Iterable[bytes], file: BinaryIO) -> None:
    """Pass bytes on; a journal without its head at the end is no success."""
    tail = b""
    for chunk in chunks:
        file.write(chunk)
        tail = (tail + chunk)[-_MAX_HEAD:]
    if not tail.endswith(b"}\n") or not tail[:-1].rpartition(b"\n")[2].startswith(b'{"head":'):
        raise Failed("the export ended before its head; it is not whole")


@audit.command()
@config_option
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A head that was kept: finds a cut end, an old copy and a chain made anew, too.",
)
@click.option(
    "--export",
    "exported",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check this exported file, without any database.",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Check the segments of this folder, as the scheduled export wrote them.",
)
@click.option(
    "--public-key",
    "public_keys",
    metavar="KEY",
    multiple=True,
    help="The public key that must have signed; several for a --directory of several keys.",
)
@click.option("--remote", is_flag=True, help="Ask the server to check, instead of this machine.")
@json_option
def verify(
    *,
    config_file: Path,
    against: Path | None,
    exported: Path | None,
    directory: Path | None,
    public_keys: tuple[str, ...],
    remote: bool,
    as_json: bool,
) -> None:
    """Look for altered, removed, inserted and reordered rows; exit status 1 when there are any.

    Reads the database file on this machine, with or without a server on it.
    """
    if remote + (exported is not None) + (directory is not None) > 1:
        msg = "--remote, --export and --directory contradict each other"
        raise click.UsageError(msg)
    if public_keys and exported is None and directory is None and against is None:
        msg = "--public-key is the key of a head; give --against or --export or --directory"
        raise click.UsageError(msg)
    if len(public_keys) > 1 and directory is None:
        msg = "one head is signed by one key; give --public-key once"
        raise click.UsageError(msg)
    kept = _read_head(against) if against is not None else None
    if directory is not None:
        _print_segments(_of_directory(directory, kept, public_keys), as_json=as_json)
        return
    public_key = public_keys[0] if public_keys else None
    if remote:
        report = _asked(kept, public_key)
    elif exported is not None:
        report = _of_export(exported, kept, public_key)
    else:
        report = _of_database(config_file, kept, public_key)
    _print_report(report, as_json=as_json)


def _read_head(file: Path) -> Head:
    from latchgate.manage.chain import HeadError, parse_head

    try:
        with file.open("rb") as opened:
            return parse_head(opened.read(_MAX_HEAD))
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}", code=2)
    except HeadError as error:
        raise Failed(f"{file} {error}", code=2)


def _asked(kept: Head | None, public_key: str | None) -> Report:
    import msgspec

    from latchgate.cli.api import call
    from latchgate.manage.chain import Report

    body: dict[str, Any] = {"against": msgspec.to_builtins(kept), "public_key": public_key}
    try:
        return msgspec.convert(call("POST", "/manage/v1/audit/verify", json=body), Report)
    except msgspec.ValidationError as error:
        raise Failed(f"the server answered something unknown: {error}")


def _of_export(file: Path, kept: Head | None, public_key: str | None) -> Report:
    from latchgate.manage.chain import verify_export

    try:
        return verify_export(file, against=kept, public_key=public_key)
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}", code=2)


def _of_directory(directory: Path, kept: Head | None, public_keys: tuple[str, ...]) -> Checked:
    from latchgate.manage.segment_check import verify_directory

    try:
        return verify_directory(directory, against=kept, public_keys=public_keys)
    except OSError as error:
        raise Failed(f"{error.filename or directory}: {error.strerror}", code=2)


def _of_database(config_file: Path, kept: Head | None, public_key: str | None) -> Report:
    from latchgate.manage.chain import verify_database
    from latchgate.store.errors import StoreError

    config = loaded(config_file)
    if isinstance(config.database, Path) and not config.database.exists():
        raise Failed(f"{config.database} does not exist; run latchgate init")
    try:
        return verify_database(config.database, against=kept, public_key=public_key)
    except StoreError as error:
        place = str(config.database)
        raise Failed(str(error) if place in str(error) else f"{place}: {error}")


def _print_segments(found: Checked, *, as_json: bool) -> None:
    import msgspec

    report = found.report
    if as_json:
        print_json(found)
    elif report.sound:
        told = msgspec.to_builtins(found)
        fields = [(name, told[name]) for name in ("segments", "begins")]
        print_fields([*fields, *((name, told["report"][name]) for name in _SHOWN)])
        click.echo(f"The segments hold, signed by {', '.join(found.key_ids)}.")
    if not report.sound:
        raise _unsound(report)


def _print_report(report: Report, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        print_json(report)
    elif report.sound:
        told = msgspec.to_builtins(report)
        print_fields([(name, told[name]) for name in _SHOWN])
        click.echo(
            "The chain holds, and leads to the signed head."
            if report.against is not None
            else "The chain holds. Only --against a kept head shows a cut end or a new chain."
        )
    if not report.sound:
        raise _unsound(report)


def _unsound(report: Report) -> Failed:
    lines = [
        f"  {'number ' + str(one.n) if one.n is not None else 'journal'}: {one.problem}"
        for one in report.faults
    ]
    if report.unlisted:
        lines.append(f"  and {report.unlisted} more")
    return Failed("\n".join(["the journal is not what was written:", *lines]))
