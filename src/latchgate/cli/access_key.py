"""`latchgate access-key`: one's own access keys, exchanged for project tokens."""

from __future__ import annotations

import sys
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
    Failed,
    json_option,
    no_wait_option,
    print_fields,
    print_json,
    print_receipt,
)
from latchgate.cli.rotation import rotate as rotate_at
from latchgate.cli.rotation import rotation_options
from latchgate.cli.rotation import show as show_rotation

_PATH = "/manage/v1/account/access-keys"


@click.group("access-key")
def access_key() -> None:
    """Make, list, show and delete access keys."""


@access_key.command()
@click.option("--name", required=True, help="What you will know it by.")
@click.option("--description", default="", help="What it is for.")
@click.option("--project", metavar="ID", help="The project it is for; your own unless told.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE",
    help="Id or name of a role you hold there; all of them unless told. Repeatable.",
)
@click.option(
    "--access-rule",
    "rules",
    multiple=True,
    metavar="METHOD:SERVICE:PATH",
    help="A request that its tokens may make; every one unless told. Repeatable.",
)
@click.option("--unrestricted", is_flag=True, help="Its tokens may make further access keys.")
@click.option("--expires-in", metavar="DURATION", help="For example 24h or 90d.")
@click.option("--expires-at", metavar="TIME", help="For example 2027-01-01T00:00:00Z.")
@once_option
@json_option
def create(  # noqa: PLR0913 - one parameter an option
    *,
    name: str,
    description: str,
    project: str | None,
    roles: tuple[str, ...],
    rules: tuple[str, ...],
    unrestricted: bool,
    expires_in: str | None,
    expires_at: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Make an access key. Its secret is shown once."""
    from latchgate.cli.api import call
    from latchgate.cli.management_profile import find_profile

    if expires_in is not None and expires_at is not None:
        msg = "--expires-in and --expires-at contradict each other"
        raise click.UsageError(msg)
    spec: dict[str, Any] = {
        "name": name,
        "description": description,
        "unrestricted": unrestricted,
    }
    told = {"project_id": project, "expires_in": expires_in, "expires_at": expires_at}
    spec |= {field: value for field, value in told.items() if value is not None}
    if roles:
        spec["roles"] = list(roles)
    if rules:
        spec["access_rules"] = [_rule(text) for text in rules]
    made = call("POST", _PATH, "id", "roles", json=spec, headers=once(idempotency_key))
    if as_json:
        print_json(made)
        return
    print_fields(_told(made))
    if made.get("secret") is None:
        return
    identity = made.get("auth_url") or f"{find_profile().url.rstrip('/')}/identity/v3"
    click.echo("The secret is shown this once. OpenStack's clients take it from their environment:")
    click.echo("")
    for variable, value in (
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_AUTH_URL", identity),
        ("OS_APPLICATION_CREDENTIAL_ID", made["id"]),
        ("OS_APPLICATION_CREDENTIAL_SECRET", made["secret"]),
    ):
        click.echo(f"export {variable}={value}")


@access_key.command("list")
@listing_options
@json_option
def list_access_keys(*, as_json: bool, **asked: Any) -> None:
    """List your access keys, oldest first unless told."""
    columns = ("id", "name", "state", "project_id", "last_used_at", "expires_at")
    again = "latchgate access-key list"
    show_list(_PATH, "access_keys", columns, again=again, as_json=as_json, **asked)


@access_key.command()
@click.argument("key_id", metavar="ID")
@json_option
def show(*, key_id: str, as_json: bool) -> None:
    """Show an access key; never its secret."""
    from latchgate.cli.api import call

    told = call("GET", f"{_PATH}/{segment(key_id)}", "id", "roles")
    if as_json:
        print_json(told)
        return
    print_fields(_told(told))


@access_key.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--yes",
    is_flag=True,
    help="Ask for no password; your token must hold own:access-keys.delete.",
)
@version_option
@no_wait_option
@json_option
def delete(*, key_id: str, yes: bool, if_version: int | None, as_json: bool) -> None:
    """Delete an access key and all its tokens, at once and for good.

    Asks for your account password; without a terminal it reads one line from standard input.
    """
    from latchgate.cli.api import call

    path = f"{_PATH}/{segment(key_id)}"
    sent: dict[str, Any] = {} if yes else {"json": {"password": _typed()}}
    told = call("DELETE", path, "id", "receipt", headers=if_match(if_version), **sent)
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("id", told["id"]), ("deleted_at", told["deleted_at"])])


@access_key.command()
@click.argument("key_id", metavar="ID")
@rotation_options
def rotate(*, key_id: str, **asked: Any) -> None:
    """Put a new access key in an access key's place; the old one works on through the grace."""
    rotate_at(f"{_PATH}/{segment(key_id)}", **asked)


@access_key.command()
@click.argument("key_id", metavar="ID")
@json_option
def rotation(*, key_id: str, as_json: bool) -> None:
    """Show how far a rotation is, and who still uses the old access key."""
    show_rotation(f"{_PATH}/{segment(key_id)}", as_json=as_json)


def _rule(text: str) -> dict[str, str]:
    method, _, rest = text.partition(":")
    service, _, path = rest.partition(":")
    if not (method and service and path.startswith("/")):
        msg = f"{text!r} is not METHOD:SERVICE:PATH such as GET:identity:/identity/v3/projects/*"
        raise click.BadParameter(msg, param_hint="--access-rule")
    return {"method": method.upper(), "service": service, "path": path}


def _told(key: dict[str, Any]) -> list[tuple[str, object]]:
    """Return what people read of a key: roles by name, rules as they are written."""
    shown = dict(key)
    shown["roles"] = [role["name"] or role["id"] for role in key["roles"]]
    if key.get("access_rules") is not None:
        shown["access_rules"] = [
            f"{one['method']}:{one['service']}:{one['path']}" for one in key["access_rules"]
        ]
    shown.pop("auth_url", None)
    return list(shown.items())


def _typed() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Account password", hide_input=True, err=True)
        return typed
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        msg = "give your account password on a line of standard input, or --yes with a token that"
        raise Failed(f"{msg} holds own:access-keys.delete", code=2)
    return line
