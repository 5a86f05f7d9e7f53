"""`latchgate webhook`: have events sent to a URL, signed."""

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
from latchgate.cli.output import json_option

_PATH = "/manage/v1/webhooks"
_id = click.argument("webhook_id", metavar="ID")
_url = "Where events are sent: https, and a public address."
_event = "An event it hears of; every one unless told. Repeatable."


@click.group()
def webhook() -> None:
    """Have events sent to a URL, signed as Standard Webhooks says."""


@webhook.command()
@click.option("--url", required=True, help=_url)
@click.option("--event", "events", multiple=True, metavar="EVENT", help=_event)
@click.option("--description", default="", help="What it is for.")
@click.option("--operator", is_flag=True, help="It hears of what is no tenant's, and that alone.")
@once_option
@json_option
def create(
    *,
    url: str,
    events: tuple[str, ...],
    description: str,
    operator: bool,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Make a webhook. Its secret is shown once."""
    spec = {"url": url, "events": list(events), "description": description}
    if operator:
        spec["whose"] = "operator"
    made = show_record("POST", _PATH, as_json=as_json, json=spec, headers=once(idempotency_key))
    if not as_json:
        told = "The secret is shown this once." if "secret" in made else "It was made before."
        click.echo(told)


@webhook.command("list")
@listing_options
@json_option
def list_webhooks(*, as_json: bool, **asked: Any) -> None:
    """List webhooks, oldest first unless told."""
    columns = ("id", "url", "events", "active", "last_status", "last_at", "whose")
    show_list(_PATH, "webhooks", columns, again="latchgate webhook list", as_json=as_json, **asked)


@webhook.command()
@_id
@json_option
def show(*, webhook_id: str, as_json: bool) -> None:
    """Show a webhook, never its secret."""
    show_record("GET", f"{_PATH}/{segment(webhook_id)}", as_json=as_json)


@webhook.command()
@_id
@click.option("--url", help=_url)
@click.option("--event", "events", multiple=True, metavar="EVENT", help=_event)
@click.option("--every-event", is_flag=True, help="It hears of every event.")
@click.option("--description", help="What it is for.")
@click.option("--active/--inactive", default=None, help="Switch it on or off.")
@version_option
@json_option
def update(
    *,
    webhook_id: str,
    url: str | None,
    events: tuple[str, ...],
    every_event: bool,
    description: str | None,
    active: bool | None,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Change a webhook, or switch it off and on."""
    if every_event and events:
        msg = "--every-event and --event contradict each other"
        raise click.UsageError(msg)
    told = {"url": url, "description": description, "active": active}
    patch: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    if events or every_event:
        patch["events"] = list(events)
    path, headers = f"{_PATH}/{segment(webhook_id)}", if_match(if_version)
    show_record("PATCH", path, as_json=as_json, json=patch, headers=headers)


@webhook.command("new-secret")
@_id
@version_option
@json_option
def new_secret(*, webhook_id: str, if_version: int | None, as_json: bool) -> None:
    """Draw a new secret, shown once; for a day both it and the one before sign."""
    path = f"{_PATH}/{segment(webhook_id)}/secret"
    show_record("POST", path, as_json=as_json, headers=if_match(if_version))
    if not as_json:
        click.echo("The secret is shown this once.")


@webhook.command()
@_id
@version_option
@json_option
def delete(*, webhook_id: str, if_version: int | None, as_json: bool) -> None:
    """Delete a webhook and what was on its way to it."""
    path = f"{_PATH}/{segment(webhook_id)}"
    show_record("DELETE", path, as_json=as_json, headers=if_match(if_version))


@webhook.command()
@_id
@json_option
def test(*, webhook_id: str, as_json: bool) -> None:
    """Send a `webhook.test` event; `deliveries` says how that went."""
    show_record("POST", f"{_PATH}/{segment(webhook_id)}/test", as_json=as_json)


@webhook.command()
@_id
@listing_options
@json_option
def deliveries(*, webhook_id: str, as_json: bool, **asked: Any) -> None:
    """List what was sent to a webhook, newest first."""
    path = f"{_PATH}/{segment(webhook_id)}/deliveries"
    columns = ("event_id", "event", "at", "state", "attempts", "next_attempt_at", "last_error")
    again = f"latchgate webhook deliveries {webhook_id}"
    show_list(path, "deliveries", columns, again=again, as_json=as_json, **asked)
