"""`latchgate usage`: how often what was used, and what it costs."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlencode

import rich_click as click

from latchgate.cli.output import json_option, print_json, print_table

_format = click.option(
    "--format",
    "written",
    type=click.Choice(["table", "json", "csv", "jsonl"]),
    default="table",
    show_default=True,
    help="How to write it: for people, or as JSON, CSV or JSON lines.",
)


@click.group()
def usage() -> None:
    """Count requests, and sum what they cost."""


@usage.command()
@click.option("--credential", metavar="ID", help="Of this credential alone.")
@click.option("--project", metavar="ID", help="Of this project alone.")
@click.option("--tenant", "tenant_id", metavar="ID", help="Of this tenant; for the operator.")
@click.option("--application", metavar="ID", help="With this application alone.")
@click.option("--area", metavar="PATH", help="In the area of this path alone.")
@click.option("--scope", metavar="SCOPE", help="With this scope alone.")
@click.option("--reason", metavar="REASON", help="With this reason alone.")
@click.option(
    "--by",
    metavar="WORDS",
    default="reason",
    show_default=True,
    help="What to tell apart, commas between: credential, scope, area, outcome, reason,"
    " application, project, tenant, minute, hour, day.",
)
@click.option("--period", type=click.Choice(["minute", "hour", "day"]), help="How finely to look.")
@click.option("--since", metavar="TIME", default="7d", show_default=True, help="How long, or from.")
@click.option("--until", metavar="TIME", help="For example 2026-12-01T00:00:00Z; not included.")
@_format
@json_option
def show(*, written: str, as_json: bool, **asked: str | None) -> None:
    """Count decisions, allowed and refused.

    Minutes are kept for 2 days, hours for 35, days for 400, unless configured otherwise.
    """
    _print("/manage/v1/usage", asked, "json" if as_json else written)


@usage.command()
@click.option("--month", metavar="MONTH", help="For example 2026-11, in UTC; this one unless told.")
@click.option(
    "--by",
    type=click.Choice(["credential", "project", "tenant"]),
    default="credential",
    show_default=True,
    help="Whom to tell apart.",
)
@click.option("--credential", metavar="ID", help="Of this credential alone.")
@click.option("--project", metavar="ID", help="Of this project alone.")
@click.option("--tenant", "tenant_id", metavar="ID", help="Of this tenant; for the operator.")
@_format
@json_option
def bill(*, written: str, as_json: bool, **asked: str | None) -> None:
    """Sum what a month's allowed requests cost, at the prices of their time."""
    _print("/manage/v1/billing", asked, "json" if as_json else written)


def _print(path: str, asked: dict[str, str | None], written: str) -> None:
    from latchgate.cli.api import call, stream

    query = {name: value for name, value in asked.items() if value is not None}
    if written in {"csv", "jsonl"}:
        for chunk in stream(f"{path}?{urlencode({**query, 'format': written})}"):
            sys.stdout.buffer.write(chunk)
        return
    told: dict[str, Any] = call("GET", path, "rows", params=query)
    if written == "json":
        print_json(told)
    elif told["rows"]:
        print_table(list(told["rows"][0]), told["rows"])
    else:
        click.echo("Nothing was counted.", err=True)
