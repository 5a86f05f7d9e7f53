"""`latchgate consent`: what clients may do for you, and taking it back."""

from __future__ import annotations

import rich_click as click

from latchgate.cli.listing import segment
from latchgate.cli.output import json_option, no_wait_option, print_json, print_receipt, print_table

_user_option = click.option(
    "--user", "user_id", metavar="ID", help="Of this user of your tenant instead of yourself."
)


@click.group()
def consent() -> None:
    """List what clients may do for you, and withdraw it."""


@consent.command("list")
@_user_option
@json_option
def list_consents(*, user_id: str | None, as_json: bool) -> None:
    """List the clients that may act for you, the longest first."""
    from latchgate.cli.api import call

    told = call("GET", _path(user_id), "consents")
    if as_json:
        print_json(told)
        return
    columns = ("client_id", "application_name", "vendor", "scopes", "given_at", "grants")
    print_table(columns, told["consents"])


@consent.command()
@click.argument("client_id", metavar="CLIENT")
@_user_option
@no_wait_option
@json_option
def withdraw(*, client_id: str, user_id: str | None, as_json: bool) -> None:
    """End what a client may do for you, at once, with all of its tokens."""
    from latchgate.cli.api import call

    path = f"{_path(user_id)}/{segment(client_id)}"
    told = call("DELETE", path, "client_id", "receipt")
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("client_id", told["client_id"])])


def _path(user_id: str | None) -> str:
    if user_id is None:
        return "/manage/v1/account/consents"
    return f"/manage/v1/users/{segment(user_id)}/consents"
