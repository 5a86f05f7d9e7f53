"""`latchgate account password`: change one's own; issue and disable a user's."""

from __future__ import annotations

import sys

import rich_click as click

from latchgate.cli.listing import segment
from latchgate.cli.output import Failed, json_option, no_wait_option, print_json, print_receipt

_namespace = click.option(
    "--namespace",
    default="latchgate",
    show_default=True,
    metavar="NAME",
    help="Where the login name is looked up.",
)
_user = click.option("--user", "user_id", required=True, metavar="ID", help="Whose.")


@click.group()
def password() -> None:
    """Change your own password; issue and disable a user's."""


@password.command()
@_namespace
@no_wait_option
@json_option
def change(*, namespace: str, as_json: bool) -> None:
    """Change your own password.

    Asks for the current and the new one; without a terminal it reads two lines from standard
    input. Passwords are never taken as arguments.
    """
    from latchgate.cli.api import call

    current, wanted = _typed()
    body = {"current_password": current, "new_password": wanted, "namespace": namespace}
    told = call("PUT", "/manage/v1/account/password", "login", "receipt", json=body)
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("login", told["login"])])


@password.command()
@_user
@_namespace
@click.option("--login", help="The login name; the user's name unless told.")
@click.option(
    "--project", "project_id", metavar="ID", help="In which project the user's roles count."
)
@no_wait_option
@json_option
def issue(
    *, user_id: str, namespace: str, login: str | None, project_id: str | None, as_json: bool
) -> None:
    """Issue a random password for a user; it is shown once and replaces the one they had."""
    from latchgate.cli.api import call

    told = {"namespace": namespace, "login": login, "project_id": project_id}
    spec = {name: value for name, value in told.items() if value is not None}
    made = call("POST", f"{_path(user_id)}", "login", "password", "receipt", json=spec)
    if as_json:
        print_json(made)
        return
    shown = ("user_id", "namespace", "login", "password")
    print_receipt(made["receipt"], [(name, made[name]) for name in shown])
    click.echo("The password is shown this once.")


@password.command()
@_user
@_namespace
@no_wait_option
@json_option
def disable(*, user_id: str, namespace: str, as_json: bool) -> None:
    """Take a user's password at once."""
    from latchgate.cli.api import call

    told = call("DELETE", f"{_path(user_id)}/{segment(namespace)}", "user_id", "receipt")
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [(name, told[name]) for name in ("user_id", "namespace")])


def _path(user_id: str) -> str:
    return f"/manage/v1/users/{segment(user_id)}/password"


def _typed() -> tuple[str, str]:
    if sys.stdin.isatty():
        current = click.prompt("Current password", hide_input=True, err=True)
        wanted = click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
        return current, wanted
    lines = sys.stdin.read().split("\n")
    if len([line for line in lines if line]) != 2:  # noqa: PLR2004 - the current and the new one
        raise Failed("give the current and the new password on two lines of standard input", code=2)
    return lines[0], lines[1]
