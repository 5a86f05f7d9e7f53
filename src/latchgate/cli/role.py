"""`latchgate role`: make, list, show, update and delete roles."""

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
from latchgate.cli.output import json_option, no_wait_option

_PATH = "/manage/v1/roles"


@click.group()
def role() -> None:
    """Make, list, show, update and delete roles."""


@role.command()
@click.option("--name", required=True, help="What it will be known by.")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="A scope it holds. Repeatable."
)
@click.option(
    "--implies", multiple=True, metavar="ROLE", help="A lower role that it includes. Repeatable."
)
@once_option
@json_option
def create(
    *,
    name: str,
    scopes: tuple[str, ...],
    implies: tuple[str, ...],
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Make a role. You can put into it only what you hold yourself."""
    spec = {"name": name, "scopes": list(scopes), "implies": list(implies)}
    show_record("POST", _PATH, as_json=as_json, json=spec, headers=once(idempotency_key))


@role.command("list")
@listing_options
@json_option
def list_roles(*, as_json: bool, **asked: Any) -> None:
    """List roles, oldest first unless told."""
    columns = ("id", "name", "scopes", "implies")
    show_list(_PATH, "roles", columns, again="latchgate role list", as_json=as_json, **asked)


@role.command()
@click.argument("role_id", metavar="ID")
@json_option
def show(*, role_id: str, as_json: bool) -> None:
    """Show a role."""
    show_record("GET", f"{_PATH}/{segment(role_id)}", as_json=as_json)


@role.command()
@click.argument("role_id", metavar="ID")
@click.option("--name", help="What it will be known by.")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="Every scope it holds. Repeatable."
)
@click.option("--no-scopes", is_flag=True, help="No scope of its own.")
@click.option("--implies", multiple=True, metavar="ROLE", help="Every lower role. Repeatable.")
@click.option("--implies-none", is_flag=True, help="No lower role.")
@version_option
@no_wait_option
@json_option
def update(
    *,
    role_id: str,
    name: str | None,
    scopes: tuple[str, ...],
    no_scopes: bool,
    implies: tuple[str, ...],
    implies_none: bool,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Change a role for everyone who holds it."""
    if (no_scopes and scopes) or (implies_none and implies):
        msg = "--no-scopes and --scope, --implies-none and --implies contradict each other"
        raise click.UsageError(msg)
    patch: dict[str, Any] = {} if name is None else {"name": name}
    if scopes or no_scopes:
        patch["scopes"] = list(scopes)
    if implies or implies_none:
        patch["implies"] = list(implies)
    path, headers = f"{_PATH}/{segment(role_id)}", if_match(if_version)
    show_record("PATCH", path, as_json=as_json, json=patch, headers=headers)


@role.command()
@click.argument("role_id", metavar="ID")
@version_option
@json_option
def delete(*, role_id: str, if_version: int | None, as_json: bool) -> None:
    """Delete a role that nobody holds."""
    path = f"{_PATH}/{segment(role_id)}"
    show_record("DELETE", path, as_json=as_json, headers=if_match(if_version))
