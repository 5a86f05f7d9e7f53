"""`latchgate lifetime`: how long keys may live, when their owners are warned, who is overdue."""

from __future__ import annotations

from typing import Any

import rich_click as click

from latchgate.cli.listing import if_match, listing_options, segment, show_list, version_option
from latchgate.cli.output import json_option, print_fields, print_json, print_table

_PATH = "/manage/v1/lifetimes"
_COLUMNS = ("kind", "maximum_life", "rotation_age", "warning_days", "unused_after")
_kind = click.argument("kind", metavar="KIND")


@click.group()
def lifetime() -> None:
    """Say how long keys may live, and list those that are overdue."""


@lifetime.command("list")
@json_option
def list_lifetimes(*, as_json: bool) -> None:
    """List what is set for the tenant, by kind."""
    from latchgate.cli.api import call

    told = call("GET", _PATH, "lifetimes")
    if as_json:
        print_json(told)
    else:
        print_table(_COLUMNS, told["lifetimes"])


@lifetime.command("set")
@_kind
@click.option("--maximum-life", metavar="DURATION", help="The longest that a new one may live.")
@click.option("--rotation-age", metavar="DURATION", help="How old one is rotated.")
@click.option(
    "--warn", "warning_days", type=int, multiple=True, metavar="DAYS",
    help="Warn its owner so many days before its end; 30, 7 and 1 unless told. Repeatable.",
)  # fmt: skip
@click.option("--no-warnings", is_flag=True, help="Warn nobody of an end.")
@click.option("--unused-after", metavar="DURATION", help="Disable what was not used for so long.")
@version_option
@json_option
def set_lifetime(
    *,
    kind: str,
    maximum_life: str | None,
    rotation_age: str | None,
    warning_days: tuple[int, ...],
    no_warnings: bool,
    unused_after: str | None,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Say what holds for KIND from now on; `*` for every kind without its own.

    What is not told has no bound: the whole of it takes the place of what was set before.
    """
    if no_warnings and warning_days:
        msg = "--no-warnings and --warn contradict each other"
        raise click.UsageError(msg)
    spec: dict[str, Any] = {
        "maximum_life": maximum_life,
        "rotation_age": rotation_age,
        "unused_after": unused_after,
    }
    spec |= {"warning_days": list(warning_days)} if warning_days or no_warnings else {}
    _show("PUT", kind, as_json=as_json, json=spec, headers=if_match(if_version))


@lifetime.command()
@_kind
@version_option
@json_option
def remove(*, kind: str, if_version: int | None, as_json: bool) -> None:
    """Take away what is set for KIND, and show what it was."""
    _show("DELETE", kind, as_json=as_json, headers=if_match(if_version))


@lifetime.command()
@listing_options
@json_option
def overdue(*, as_json: bool, **asked: Any) -> None:
    """List keys that live longer, are older or unused longer than they may."""
    columns = ("id", "kind", "name", "created_at", "last_used_at", "faults")
    path, again = f"{_PATH}/overdue", "latchgate lifetime overdue"
    show_list(path, "overdue", columns, again=again, as_json=as_json, **asked)


def _show(method: str, kind: str, *, as_json: bool, **sent: Any) -> None:
    from latchgate.cli.api import call

    told = call(method, f"{_PATH}/{segment(kind)}", "kind", **sent)
    if as_json:
        print_json(told)
    else:
        print_fields((name, told[name]) for name in (*_COLUMNS, "version"))
