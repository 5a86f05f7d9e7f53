"""`latchgate tenant`: make, list, show, rename, suspend and reinstate tenants."""

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
from latchgate.cli.noun import show_record, switch
from latchgate.cli.output import json_option, no_wait_option

_PATH = "/manage/v1/tenants"


@click.group()
def tenant() -> None:
    """Make, list, show, rename, suspend and reinstate tenants. For the operator."""


@tenant.command()
@click.option("--name", required=True, help="What it will be known by.")
@click.option("--user", required=True, help="The name of its main user.")
@click.option("--email", help="The main user's address.")
@click.option("--project", help="The name of its first project; default unless told.")
@once_option
@json_option
def create(
    *,
    name: str,
    user: str,
    email: str | None,
    project: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Make a tenant with a main user, a project, a role and a first token, shown once."""
    asked = {"name": name, "user": user, "email": email, "project": project}
    spec = {field: value for field, value in asked.items() if value is not None}
    made = show_record("POST", _PATH, as_json=as_json, json=spec, headers=once(idempotency_key))
    if not as_json:
        click.echo("The token is shown this once." if "token" in made else "It was made before.")


@tenant.command("list")
@listing_options
@json_option
def list_tenants(*, as_json: bool, **asked: Any) -> None:
    """List tenants, oldest first unless told."""
    columns = ("id", "name", "active", "created_at")
    show_list(_PATH, "tenants", columns, again="latchgate tenant list", as_json=as_json, **asked)


@tenant.command()
@click.argument("tenant_id", metavar="ID")
@json_option
def show(*, tenant_id: str, as_json: bool) -> None:
    """Show a tenant."""
    show_record("GET", f"{_PATH}/{segment(tenant_id)}", as_json=as_json)


@tenant.command()
@click.argument("tenant_id", metavar="ID")
@click.option("--name", required=True, help="What it will be known by.")
@version_option
@json_option
def update(*, tenant_id: str, name: str, if_version: int | None, as_json: bool) -> None:
    """Rename a tenant."""
    path, headers = f"{_PATH}/{segment(tenant_id)}", if_match(if_version)
    show_record("PATCH", path, as_json=as_json, json={"name": name}, headers=headers)


@tenant.command()
@click.argument("tenant_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def suspend(*, tenant_id: str, if_version: int | None, as_json: bool) -> None:
    """Suspend a tenant: none of its credentials is accepted when this returns."""
    switch(f"{_PATH}/{segment(tenant_id)}/suspend", if_version, as_json=as_json)


@tenant.command()
@click.argument("tenant_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def reinstate(*, tenant_id: str, if_version: int | None, as_json: bool) -> None:
    """Reinstate a suspended tenant."""
    switch(f"{_PATH}/{segment(tenant_id)}/reinstate", if_version, as_json=as_json)
