"""`latchgate basic`: app passwords, for oneself or, by an administrator, for a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rich_click as click

from latchgate.cli.listing import once, once_option, segment
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
def basic() -> None:
    """Enable, show, reissue, rotate and disable Basic with an app password."""


def _whose(verb: Callable[..., None]) -> Callable[..., None]:
    namespace = click.option(
        "--namespace",
        default="teracloud",
        show_default=True,
        metavar="NAME",
        help="Where the login name is looked up.",
    )
    user = click.option(
        "--user", "user_id", metavar="ID", help="A user of your tenant; yourself unless told."
    )
    return user(namespace(verb))


@basic.command()
@_whose
@click.option("--login", help="The login name; the user's name unless told.")
@click.option(
    "--project", "project_id", metavar="ID", help="In which project the user's roles count."
)
@once_option
@json_option
def enable(
    *,
    user_id: str | None,
    namespace: str,
    login: str | None,
    project_id: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Enable Basic and issue an app password, which is shown once."""
    from latchgate.cli.api import call

    told = {"namespace": namespace, "login": login, "project_id": project_id}
    spec = {name: value for name, value in told.items() if value is not None}
    made = call("POST", _path(user_id), "login", json=spec, headers=once(idempotency_key))
    _print(made, as_json=as_json)


@basic.command()
@_whose
@json_option
def show(*, user_id: str | None, namespace: str, as_json: bool) -> None:
    """Show whether Basic is enabled; never the password."""
    from latchgate.cli.api import call

    _print(call("GET", _path(user_id, namespace), "enabled"), as_json=as_json)


@basic.command()
@_whose
@no_wait_option
@json_option
def reissue(*, user_id: str | None, namespace: str, as_json: bool) -> None:
    """Replace the app password at once; the new one is shown once."""
    from latchgate.cli.api import call

    told = call("POST", f"{_path(user_id, namespace)}/reissue", "password", "receipt")
    _print(told, as_json=as_json)


@basic.command()
@_whose
@rotation_options
def rotate(*, user_id: str | None, namespace: str, **asked: Any) -> None:
    """Put a new app password in the old one's place: at once, unless --grace lets it work on."""
    rotate_at(_path(user_id, namespace), **asked)


@basic.command()
@_whose
@json_option
def rotation(*, user_id: str | None, namespace: str, as_json: bool) -> None:
    """Show how far the last rotation is, and who still uses the old password."""
    show_rotation(_path(user_id, namespace), as_json=as_json)


@basic.command()
@_whose
@no_wait_option
@json_option
def disable(*, user_id: str | None, namespace: str, as_json: bool) -> None:
    """Disable Basic at once; the login name stays the user's."""
    from latchgate.cli.api import call

    _print(call("DELETE", _path(user_id, namespace), "enabled", "receipt"), as_json=as_json)


def _path(user_id: str | None, namespace: str | None = None) -> str:
    whose = "account" if user_id is None else f"users/{segment(user_id)}"
    below = "" if namespace is None else f"/{segment(namespace)}"
    return f"/manage/v1/{whose}/basic{below}"


def _print(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    shown = ["user_id", "namespace", "login", "enabled", "login_password", "password"]
    shown += ["project_id", "created_at"]
    fields: list[tuple[str, object]] = [(name, told[name]) for name in shown if name in told]
    if "receipt" in told:
        print_receipt(told["receipt"], fields)
    else:
        print_fields(fields)
    if "password" in told:
        click.echo("The password is shown this once.")
