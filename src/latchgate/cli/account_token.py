"""`latchgate account token`: one's own API tokens, in upctl's words and flags."""

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
from latchgate.cli.output import (
    json_option,
    no_wait_option,
    print_fields,
    print_json,
    print_receipt,
)
from latchgate.cli.rotation import rotate as rotate_at
from latchgate.cli.rotation import rotation_options
from latchgate.cli.rotation import show as show_rotation

_PATH = "/manage/v1/account/tokens"


@click.group()
def token() -> None:
    """Create, list, show and delete API tokens."""


@token.command()
@click.option("--name", required=True, help="What you will know it by.")
@click.option("--expires-in", metavar="DURATION", help="For example 1h, 24h or 7d.")
@click.option("--expires-at", metavar="TIME", help="For example 2027-01-01T00:00:00Z.")
@click.option("--can-create-tokens", is_flag=True, help="It may make further tokens.")
@click.option(
    "--allow-ip-range",
    "ranges",
    multiple=True,
    metavar="RANGE",
    help="An address or CIDR it may be used from; wherever you may be unless told. Repeatable.",
)
@click.option("--no-ip-ranges", is_flag=True, help="It may be used from nowhere.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="A scope it gets; all that you may do unless told. Repeatable.",
)
@click.option("--no-scopes", is_flag=True, help="No scope at all.")
@once_option
@json_option
def create(  # noqa: PLR0913 - one parameter an option
    *,
    name: str,
    expires_in: str | None,
    expires_at: str | None,
    can_create_tokens: bool,
    ranges: tuple[str, ...],
    no_ip_ranges: bool,
    scopes: tuple[str, ...],
    no_scopes: bool,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Create an API token. The token itself is shown once."""
    from latchgate.cli.api import call

    if (expires_in is None) is (expires_at is None):
        msg = "either --expires-in or --expires-at must be set"
        raise click.UsageError(msg)
    if no_ip_ranges and ranges:
        msg = "--no-ip-ranges and --allow-ip-range contradict each other"
        raise click.UsageError(msg)
    if no_scopes and scopes:
        msg = "--no-scopes and --scope contradict each other"
        raise click.UsageError(msg)
    spec: dict[str, Any] = {"name": name, "can_create_tokens": can_create_tokens}
    told = {"expires_in": expires_in, "expires_at": expires_at}
    spec |= {field: value for field, value in told.items() if value is not None}
    if ranges or no_ip_ranges:
        spec["allowed_ip_ranges"] = list(ranges)
    if scopes or no_scopes:
        spec["scopes"] = list(scopes)
    made = call("POST", _PATH, "id", json=spec, headers=once(idempotency_key))
    if as_json:
        print_json(made)
        return
    shown = (
        "token",
        "name",
        "id",
        "expires_at",
        "allowed_ip_ranges",
        "can_create_tokens",
        "scopes",
    )
    print_fields([(field, made[field]) for field in shown if field in made])
    if "token" in made:
        click.echo("The token is shown this once.")


@token.command("list")
@listing_options
@json_option
def list_tokens(*, as_json: bool, **asked: Any) -> None:
    """List your tokens, oldest first unless told."""
    columns = ("id", "name", "state", "last_used_at", "expires_at")
    again = "latchgate account token list"
    show_list(_PATH, "tokens", columns, again=again, as_json=as_json, **asked)


@token.command()
@click.argument("token_id", metavar="ID")
@json_option
def show(*, token_id: str, as_json: bool) -> None:
    """Show a token; never its text."""
    from latchgate.cli.api import call

    told = call("GET", f"{_PATH}/{segment(token_id)}", "id")
    if as_json:
        print_json(told)
        return
    print_fields(told.items())


@token.command()
@click.argument("token_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def delete(*, token_id: str, if_version: int | None, as_json: bool) -> None:
    """Delete a token, at once and for good."""
    from latchgate.cli.api import call

    path = f"{_PATH}/{segment(token_id)}"
    told = call("DELETE", path, "id", "receipt", headers=if_match(if_version))
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("id", told["id"]), ("deleted_at", told["deleted_at"])])


@token.command()
@click.argument("token_id", metavar="ID")
@rotation_options
def rotate(*, token_id: str, **asked: Any) -> None:
    """Put a new token in a token's place; the old one works on through the grace."""
    rotate_at(f"{_PATH}/{segment(token_id)}", **asked)


@token.command()
@click.argument("token_id", metavar="ID")
@json_option
def rotation(*, token_id: str, as_json: bool) -> None:
    """Show how far a rotation is, and who still uses the old token."""
    show_rotation(f"{_PATH}/{segment(token_id)}", as_json=as_json)
