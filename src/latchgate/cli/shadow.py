"""`latchgate shadow`: how areas decide beside their old systems, and which can be cut over."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import rich_click as click

from latchgate.cli.output import Failed, json_option, print_fields, print_json, print_table

_COUNTED = ("requests", "same", "stricter", "looser", "principal", "unanswered")


@click.group()
def shadow() -> None:
    """Compare areas with the old systems that they replace."""


@shadow.command()
@click.option("--area", metavar="PATH", help="Only this area: its path, or its whole name.")
@click.option(
    "--days", type=click.IntRange(1, 30), default=7, show_default=True, help="How far back."
)
@json_option
def show(*, area: str | None, days: int, as_json: bool) -> None:
    """Say how often Latchgate and the old system differed, how, and the last requests of it.

    stricter: Latchgate refuses what the old system allows. looser: it allows what that refuses.
    principal: both allow, for somebody else. unanswered: the old system gave no answer.
    """
    from latchgate.cli.api import call

    query = {"days": str(days)} | ({"area": area} if area is not None else {})
    told = call("GET", f"/manage/v1/shadows?{urlencode(query)}", "areas")
    if as_json:
        print_json(told)
        return
    if area is not None and not told["areas"]:
        raise Failed(f"no area {area} has an old system, or had one in the last {days} days")
    if not told["areas"]:
        click.echo("No area has an old system.")
    for number, one in enumerate(told["areas"]):
        if number:
            click.echo()
        _print_area(one)


def _print_area(one: dict[str, Any]) -> None:
    fields = [("area", one["area"]), ("old system", one["shadow"] or "none any more")]
    fields += [(name, one[name]) for name in ("until", "since") if one[name] is not None]
    print_fields([*fields, *((name, one[name]) for name in _COUNTED)])
    if one["reasons"]:
        print_table(("outcome", "reason", "count"), one["reasons"])
    if one["last"]:
        columns = ("at", "outcome", "reason", "status", "method", "path", "decision")
        print_table(columns, one["last"])
    print_fields([("verdict", one["verdict"])])
