"""`latchgate key`: make, list, show, update, rotate, switch off and on, and revoke keys."""

from __future__ import annotations

from typing import Any

import rich_click as click

from latchgate.cli.listing import (
    if_match,
    listing_options,
    once,
    once_option,
    pairs,
    segment,
    show_list,
    version_option,
)
from latchgate.cli.narrowing import narrow, unused
from latchgate.cli.noun import switch
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


@click.group()
def key() -> None:
    """Make, list, show, update, rotate, narrow, disable, enable and revoke keys."""


key.add_command(unused)
key.add_command(narrow)


@key.command()
@click.option(
    "--service",
    "services",
    multiple=True,
    required=True,
    metavar="SERVICE",
    help="A service the key opens; the first one spells the key. Repeatable.",
)
@click.option("--name", required=True, help="What people will know it by.")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--environment",
    type=click.Choice(["dev", "staging", "production"]),
    help="A label; passed upstream.",
)
@click.option("--external-id", help="Your own id for it; passed upstream.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Kept with it. Repeatable.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="A scope it gets; every scope of its services unless told. Repeatable.",
)
@click.option("--no-scopes", is_flag=True, help="No scope at all.")
@click.option(
    "--allow-ip-range",
    "ranges",
    multiple=True,
    metavar="RANGE",
    help="An address or CIDR it may be used from; everywhere unless told. Repeatable.",
)
@click.option("--no-ip-ranges", is_flag=True, help="It may be used from nowhere.")
@click.option("--expires-in", metavar="DURATION", help="For example 90d, 24h or 1h30m.")
@click.option("--expires-at", metavar="TIME", help="For example 2027-01-01T00:00:00Z.")
@once_option
@json_option
def create(  # noqa: PLR0913 - one parameter an option
    *,
    services: tuple[str, ...],
    name: str,
    description: str,
    environment: str | None,
    external_id: str | None,
    metadata: tuple[str, ...],
    scopes: tuple[str, ...],
    no_scopes: bool,
    ranges: tuple[str, ...],
    no_ip_ranges: bool,
    expires_in: str | None,
    expires_at: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Make a key. The key itself is shown once."""
    from latchgate.cli.api import call

    if no_scopes and scopes:
        msg = "--no-scopes and --scope contradict each other"
        raise click.UsageError(msg)
    spec: dict[str, Any] = {
        "name": name,
        "services": list(services),
        "description": description,
        "metadata": pairs(metadata, "--metadata"),
    }
    if scopes or no_scopes:
        spec["scopes"] = list(scopes)
    if no_ip_ranges and ranges:
        msg = "--no-ip-ranges and --allow-ip-range contradict each other"
        raise click.UsageError(msg)
    if ranges or no_ip_ranges:
        spec["allowed_ip_ranges"] = list(ranges)
    optional = {
        "environment": environment,
        "external_id": external_id,
        "expires_in": expires_in,
        "expires_at": expires_at,
    }
    spec |= {field: value for field, value in optional.items() if value is not None}
    made = call("POST", "/manage/v1/keys", "id", json=spec, headers=once(idempotency_key))
    if as_json:
        print_json(made)
        return
    shown = ("id", "key", "services", "scopes", "allowed_ip_ranges", "expires_at")
    print_fields([(field, made[field]) for field in shown if field in made])
    told = "The key is shown this once." if "key" in made else "It was made before."
    click.echo(told)


@key.command("list")
@listing_options
@json_option
def list_keys(*, as_json: bool, **asked: Any) -> None:
    """List keys, oldest first unless told."""
    columns = ("id", "name", "services", "state", "expires_at", "last_used_at")
    show_list(
        "/manage/v1/keys", "keys", columns, again="latchgate key list", as_json=as_json, **asked
    )


@key.command()
@click.argument("key_id", metavar="ID")
@json_option
def show(*, key_id: str, as_json: bool) -> None:
    """Show a key; never its secret."""
    from latchgate.cli.api import call

    told = call("GET", f"/manage/v1/keys/{segment(key_id)}", "id")
    if as_json:
        print_json(told)
        return
    print_fields(told.items())


@key.command()
@click.argument("key_id", metavar="ID")
@click.option("--name", help="What people will know it by.")
@click.option("--description", help="What it is for.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Kept with it. Repeatable.")
@click.option("--without-metadata", multiple=True, metavar="NAME", help="Dropped. Repeatable.")
@version_option
@json_option
def update(
    *,
    key_id: str,
    name: str | None,
    description: str | None,
    metadata: tuple[str, ...],
    without_metadata: tuple[str, ...],
    if_version: int | None,
    as_json: bool,
) -> None:
    """Change what people read of a key, never what it opens."""
    from latchgate.cli.api import call

    told = {"name": name, "description": description}
    patch: dict[str, Any] = {field: value for field, value in told.items() if value is not None}
    if metadata or without_metadata:
        patch["metadata"] = {
            **pairs(metadata, "--metadata"),
            **dict.fromkeys(without_metadata),
        }
    path = f"/manage/v1/keys/{segment(key_id)}"
    changed = call("PATCH", path, "id", json=patch, headers=if_match(if_version))
    if as_json:
        print_json(changed)
        return
    print_fields(changed.items())


@key.command()
@click.argument("key_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def revoke(*, key_id: str, if_version: int | None, as_json: bool) -> None:
    """Revoke a key, at once and for good.

    When this returns, no verifier accepts a request made with it; the receipt says who
    confirmed that.
    """
    from latchgate.cli.api import call

    path = f"/manage/v1/keys/{segment(key_id)}"
    told = call("DELETE", path, "id", "receipt", headers=if_match(if_version))
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("id", told["id"]), ("revoked_at", told["revoked_at"])])


@key.command()
@click.argument("key_id", metavar="ID")
@rotation_options
def rotate(*, key_id: str, **asked: Any) -> None:
    """Put a new key in a key's place; the old one works on through the grace.

    The new one opens the same, for the same owner, from the same networks.
    """
    rotate_at(f"/manage/v1/keys/{segment(key_id)}", **asked)


@key.command()
@click.argument("key_id", metavar="ID")
@json_option
def rotation(*, key_id: str, as_json: bool) -> None:
    """Show how far a key's rotation is, and who still uses the old one."""
    show_rotation(f"/manage/v1/keys/{segment(key_id)}", as_json=as_json)


@key.command()
@click.argument("key_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def disable(*, key_id: str, if_version: int | None, as_json: bool) -> None:
    """Switch a key, API token or access key off, at once and for a while."""
    switch(f"/manage/v1/keys/{segment(key_id)}/disable", if_version, as_json=as_json)


@key.command()
@click.argument("key_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def enable(*, key_id: str, if_version: int | None, as_json: bool) -> None:
    """Switch a key, API token or access key on again."""
    switch(f"/manage/v1/keys/{segment(key_id)}/enable", if_version, as_json=as_json)
