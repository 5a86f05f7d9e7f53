"""`latchgate alert`: make, list, show, update and delete alerts, and see when they were raised."""

from __future__ import annotations

from typing import Any

import rich_click as click

from latchgate.cli.listing import (
    if_match,
    listing_options,
    once,
    once_option,
    segment,
    show_list,
    version_option,
)
from latchgate.cli.noun import show_record
from latchgate.cli.output import json_option, print_json

_PATH = "/manage/v1/alerts"
_KINDS = (
    "requests_per_day",
    "refusals_per_minute",
    "new_network",
    "environments",
    "applications",
    "billing",
)


@click.group()
def alert() -> None:
    """Make, list, show, update and delete alerts."""


@alert.command()
@click.option("--name", required=True, help="What it will be known by.")
@click.option("--kind", required=True, type=click.Choice(_KINDS), help="What it watches.")
@click.option("--threshold", type=click.IntRange(1), help="The count at which it is raised.")
@click.option("--amount", metavar="DECIMAL", help="The monthly amount at which it is raised.")
@click.option("--currency", metavar="CODE", help="Of that amount, for example EUR.")
@click.option(
    "--per",
    type=click.Choice(["credential", "project", "tenant", "everybody"]),
    help="Whose requests are added up; each credential's unless told.",
)
@click.option("--project", "project_id", metavar="ID", help="Watch this project alone.")
@click.option("--credential", "credential_id", metavar="ID", help="Watch this credential alone.")
@once_option
@json_option
def create(*, idempotency_key: str | None, as_json: bool, **asked: Any) -> None:
    """Make an alert."""
    spec = {name: value for name, value in asked.items() if value is not None}
    show_record("POST", _PATH, as_json=as_json, json=spec, headers=once(idempotency_key))


@alert.command("list")
@listing_options
@json_option
def list_alerts(*, as_json: bool, **asked: Any) -> None:
    """List alerts, oldest first unless told."""
    columns = ("id", "name", "kind", "per", "threshold", "amount", "active", "last_raised_at")
    show_list(_PATH, "alerts", columns, again="latchgate alert list", as_json=as_json, **asked)


@alert.command()
@click.argument("alert_id", metavar="ID")
@json_option
def show(*, alert_id: str, as_json: bool) -> None:
    """Show an alert."""
    show_record("GET", f"{_PATH}/{segment(alert_id)}", as_json=as_json)


@alert.command()
@click.argument("alert_id", metavar="ID")
@click.option("--name", help="What it will be known by.")
@click.option("--threshold", type=click.IntRange(1), help="The count at which it is raised.")
@click.option("--amount", metavar="DECIMAL", help="The monthly amount at which it is raised.")
@click.option("--active/--inactive", default=None, help="Whether it is raised at all.")
@version_option
@json_option
def update(*, alert_id: str, if_version: int | None, as_json: bool, **asked: Any) -> None:
    """Change an alert, or switch it off or on."""
    patch = {name: value for name, value in asked.items() if value is not None}
    path, headers = f"{_PATH}/{segment(alert_id)}", if_match(if_version)
    show_record("PATCH", path, as_json=as_json, json=patch, headers=headers)


@alert.command()
@click.argument("alert_id", metavar="ID")
@version_option
@json_option
def delete(*, alert_id: str, if_version: int | None, as_json: bool) -> None:
    """Delete an alert and its history."""
    from latchgate.cli.api import call

    path, headers = f"{_PATH}/{segment(alert_id)}", if_match(if_version)
    told = call("DELETE", path, "id", headers=headers)
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['id']} is deleted.")


@alert.command()
@click.argument("alert_id", metavar="ID")
@listing_options
@json_option
def history(*, alert_id: str, as_json: bool, **asked: Any) -> None:
    """List when an alert was raised and for whom, newest first unless told.

    --json also has all that was told.
    """
    path = f"{_PATH}/{segment(alert_id)}/raised"
    again = f"latchgate alert history {alert_id}"
    show_list(path, "raised", ("at", "subject", "period"), again=again, as_json=as_json, **asked)
