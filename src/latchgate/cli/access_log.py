"""`latchgate access-log`: each decision as it was written, and those that come."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import rich_click as click

from latchgate.cli.output import json_option, print_json, print_table

_PATH = "/manage/v1/access-log"
_COLUMNS = ("at", "outcome", "reason", "method", "path", "credential_id", "address")
_POLL_SECONDS = 1.0
# Workers write a little later than they decide: as far back is looked each time.
_OVERLAP_SECONDS = 5
_MOST = 10_000


@click.command()
@click.option("--credential", metavar="ID", help="Of this credential alone.")
@click.option("--tenant", "tenant_id", metavar="ID", help="Of this tenant; for the operator.")
@click.option("--refused", is_flag=True, help="Refusals alone.")
@click.option("--reason", metavar="REASON", help="With this reason alone.")
@click.option("--since", metavar="TIME", default="1h", show_default=True, help="How long, or from.")
@click.option("--until", metavar="TIME", help="For example 2026-12-01T00:00:00Z; not included.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True)
@click.option("--follow", is_flag=True, help="Show what comes, until interrupted; oldest first.")
@click.option(
    "--format",
    "written",
    type=click.Choice(["table", "jsonl", "json"]),
    default="table",
    show_default=True,
    help="How to write it: for people, or as JSON lines or JSON.",
)
@json_option
def access_log(
    *, refused: bool, follow: bool, written: str, as_json: bool, **asked: str | int | None
) -> None:
    """Show who was allowed and refused what, newest first.

    Nothing is written unless `[access_log]` in latchgate.toml names a directory.
    """
    written = "json" if as_json else written
    query = {name: str(value) for name, value in asked.items() if value is not None}
    if refused:
        query["outcome"] = "refused"
    if not follow:
        _print(query, written)
        return
    if written == "json" or "until" in query:
        raise click.UsageError("--follow goes on for good: no --until, and --format table or jsonl")
    with suppress(KeyboardInterrupt):
        _follow(query, written)


def _print(query: Mapping[str, str], written: str) -> None:
    from latchgate.cli.api import call

    told: dict[str, Any] = call("GET", _PATH, "rows", "reached", params=query)
    if written == "json":
        print_json(told)
    elif written == "jsonl":
        _lines(told["rows"])
    elif told["rows"]:
        print_table(_COLUMNS, [_filled(row) for row in told["rows"]])
    else:
        click.echo("Nothing was written.", err=True)
    if told["reached"] is not None:
        click.echo(f"There may be more: go on with --until {told['reached']}", err=True)


def _follow(query: Mapping[str, str], written: str) -> None:
    """Ask again and again, and print what was not there before."""
    from latchgate.cli.api import call

    shown: Counter[bytes] = Counter()
    asked = dict(query)
    while True:
        begun = time.monotonic()
        told: dict[str, Any] = call("GET", _PATH, "rows", "reached", params=asked)
        seen = Counter(map(_encoded, told["rows"]))
        left = seen - shown
        new: list[dict[str, Any]] = []
        for row in reversed(told["rows"]):
            if left[_encoded(row)] > 0:
                left[_encoded(row)] -= 1
                new.append(row)
        if written == "jsonl":
            _lines(new)
        else:
            for row in new:
                click.echo("  ".join(_cell(_filled(row)[column]) for column in _COLUMNS))
        sys.stdout.flush()
        if shown and told["reached"] is not None:
            click.echo("More came than can be shown; some lines were left out.", err=True)
        shown = seen
        time.sleep(_POLL_SECONDS)
        since = round(time.monotonic() - begun) + _OVERLAP_SECONDS
        asked = {**query, "since": f"{since}s", "limit": str(_MOST)}


def _encoded(row: Mapping[str, Any]) -> bytes:
    import msgspec

    return msgspec.json.encode(row)


def _lines(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        click.echo(_encoded(row).decode())


def _cell(value: object) -> str:
    from latchgate.cli.output import one_line

    return "-" if value is None else one_line(str(value))


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with every column; one that tells of missing lines says so as its reason."""
    if "dropped" in row:
        row = {"at": row["at"], "reason": f"{row['dropped']} lines are missing"}
    return {column: row.get(column) for column in _COLUMNS}
