"""`latchgate key unused` and `latchgate key narrow`: least privilege, afterwards."""

from __future__ import annotations

from typing import Any

import rich_click as click

from latchgate.cli.listing import if_match, segment, version_option
from latchgate.cli.output import (
    json_option,
    no_wait_option,
    print_fields,
    print_json,
    print_receipt,
    print_table,
)

_DAY = 86_400


@click.command()
@click.argument("key_id", metavar="[ID]", required=False)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=90,
    show_default=True,
    help="What counts as unused: not in so many days.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="How many at most.")
@click.option("--after", metavar="NEXT", help="Go on after a page: the `next` it ended with.")
@json_option
def unused(*, key_id: str | None, days: int, limit: int, after: str | None, as_json: bool) -> None:
    """Show the scopes that a key holds and did not use; of every credential without an ID.

    API tokens and app passwords are shown too. What is not proven is younger than that, or was
    not counted for as long.
    """
    from latchgate.cli.api import call

    if key_id is not None:
        path = f"/manage/v1/keys/{segment(key_id)}/unused-scopes"
        told = call("GET", path, "id", "unused", params={"days": days})
        if as_json:
            print_json(told)
        else:
            print_fields(told.items())
        return
    query: dict[str, str | int] = {"days": days, "limit": limit}
    if after is not None:
        query["after"] = after
    page = call("GET", "/manage/v1/unused-rights", "credentials", "next", params=query)
    if as_json:
        print_json(page)
        return
    print_table(("id", "kind", "name", "unused", "proven"), page["credentials"])
    if page["next"] is not None:
        click.echo(f"There are more: latchgate key unused --after {page['next']}", err=True)


@click.command()
@click.argument("key_id", metavar="ID")
@click.option("--unused", "unused_for", metavar="DURATION", help="Unused for so long, as 90d.")
@click.option("--keep", multiple=True, metavar="SCOPE", help="A scope that stays. Repeatable.")
@click.option(
    "--allow-ip-range",
    "ranges",
    multiple=True,
    metavar="RANGE",
    help="Where it may still be used from, of where it may be now. Repeatable.",
)
@click.option("--force", is_flag=True, help="Though it, or the counts, are younger than that.")
@click.option("--to-nothing", is_flag=True, help="Though no scope at all is left.")
@click.option("--dry-run", is_flag=True, help="Show what would be left and change nothing.")
@version_option
@no_wait_option
@json_option
def narrow(
    *,
    key_id: str,
    unused_for: str | None,
    keep: tuple[str, ...],
    ranges: tuple[str, ...],
    if_version: int | None,
    as_json: bool,
    **flags: bool,
) -> None:
    """Take scopes from a key or an API token, at once: those unused, or all but those kept.

    Nothing is ever added. When this returns, no verifier goes by what it held before.
    """
    from latchgate.cli.api import call

    if unused_for is not None and keep:
        msg = "--unused and --keep contradict each other"
        raise click.UsageError(msg)
    if unused_for is None and not keep and not ranges and not flags["to_nothing"]:
        msg = "say what shall go: --unused 90d, or what shall stay: --keep SCOPE"
        raise click.UsageError(msg)
    spec: dict[str, Any] = dict(flags)
    if unused_for is not None:
        spec["unused_days"] = _days(unused_for)
    elif keep or flags["to_nothing"]:
        spec["scopes"] = list(keep)
    if ranges:
        spec["allowed_ip_ranges"] = list(ranges)
    path = f"/manage/v1/keys/{segment(key_id)}/narrowing"
    told = call("POST", path, "id", "scopes", "removed", json=spec, headers=if_match(if_version))
    if as_json:
        print_json(told)
        return
    shown = [(name, told[name]) for name in ("id", "scopes", "removed", "allowed_ip_ranges")]
    if told["receipt"] is None:
        print_fields(shown)
        click.echo("Nothing was changed.")
    else:
        print_receipt(told["receipt"], shown)


def _days(text: str) -> int:
    from latchgate.core.duration import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--unused") from error
    if seconds % _DAY:
        msg = "write whole days, for example 90d"
        raise click.BadParameter(msg, param_hint="--unused")
    return seconds // _DAY
