"""`latchgate user`: users, the roles they hold, and who at an identity provider acts as them."""

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
from latchgate.cli.output import (
    Failed,
    json_option,
    no_wait_option,
    print_fields,
    print_json,
    print_receipt,
)

_PATH = "/manage/v1/users"


@click.group()
def user() -> None:
    """Make, list, show, update, disable and enable users; give and take roles; link and unlink."""


@user.command()
@click.option("--name", required=True, help="What they will be known by.")
@click.option("--sort", type=click.Choice(["main", "sub", "service"]), help="sub unless told.")
@click.option("--email", help="Their address.")
@click.option("--no-api", is_flag=True, help="No credential of theirs is accepted.")
@click.option(
    "--allow-ip-range",
    "ranges",
    multiple=True,
    metavar="RANGE",
    help="Where they may come from; everywhere unless told. Repeatable.",
)
@click.option("--no-ip-ranges", is_flag=True, help="They may come from nowhere.")
@once_option
@json_option
def create(
    *,
    name: str,
    sort: str | None,
    email: str | None,
    no_api: bool,
    ranges: tuple[str, ...],
    no_ip_ranges: bool,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Make a user, who holds no role yet."""
    spec: dict[str, Any] = {"name": name, "allow_api": not no_api}
    spec |= {"sort": sort} if sort is not None else {}
    spec |= {"email": email} if email is not None else {}
    spec |= _filters(ranges, nowhere=no_ip_ranges, everywhere=False)
    show_record("POST", _PATH, as_json=as_json, json=spec, headers=once(idempotency_key))


@user.command("list")
@listing_options
@json_option
def list_users(*, as_json: bool, **asked: Any) -> None:
    """List users, oldest first unless told."""
    columns = ("id", "name", "sort", "active", "allow_api", "email")
    show_list(_PATH, "users", columns, again="latchgate user list", as_json=as_json, **asked)


@user.command()
@click.argument("user_id", metavar="ID")
@json_option
def show(*, user_id: str, as_json: bool) -> None:
    """Show a user, the roles they hold, and who at an identity provider acts as them."""
    from latchgate.cli.api import call

    path = f"{_PATH}/{segment(user_id)}"
    told = call("GET", path, "id") | call("GET", f"{path}/links", "links")
    if as_json:
        print_json(told)
        return
    told["links"] = [f"{one['issuer']}#{one['subject']}" for one in told["links"]]
    print_fields(told.items())


@user.command()
@click.argument("user_id", metavar="ID")
@click.option("--name", help="What they will be known by.")
@click.option("--email", help="Their address; empty for none.")
@click.option("--api/--no-api", default=None, help="Whether credentials of theirs are accepted.")
@click.option(
    "--allow-ip-range",
    "ranges",
    multiple=True,
    metavar="RANGE",
    help="Every range they may come from. Repeatable.",
)
@click.option("--no-ip-ranges", is_flag=True, help="They may come from nowhere.")
@click.option("--any-ip", is_flag=True, help="They may come from everywhere.")
@version_option
@no_wait_option
@json_option
def update(  # noqa: PLR0913 - one parameter an option
    *,
    user_id: str,
    name: str | None,
    email: str | None,
    api: bool | None,
    ranges: tuple[str, ...],
    no_ip_ranges: bool,
    any_ip: bool,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Change a user; what is not given stays."""
    patch: dict[str, Any] = {} if name is None else {"name": name}
    if email is not None:
        patch["email"] = email or None
    if api is not None:
        patch["allow_api"] = api
    patch |= _filters(ranges, nowhere=no_ip_ranges, everywhere=any_ip)
    path, headers = f"{_PATH}/{segment(user_id)}", if_match(if_version)
    show_record("PATCH", path, as_json=as_json, json=patch, headers=headers)


def _filters(ranges: tuple[str, ...], *, nowhere: bool, everywhere: bool) -> dict[str, Any]:
    if bool(ranges) + nowhere + everywhere > 1:
        msg = "--allow-ip-range, --no-ip-ranges and --any-ip contradict each other"
        raise click.UsageError(msg)
    if everywhere:
        return {"ip_filters": None}
    return {"ip_filters": list(ranges)} if ranges or nowhere else {}


@user.command()
@click.argument("user_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def disable(*, user_id: str, if_version: int | None, as_json: bool) -> None:
    """Disable a user: no credential of theirs is accepted when this returns."""
    switch(f"{_PATH}/{segment(user_id)}/disable", if_version, as_json=as_json)


@user.command()
@click.argument("user_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def enable(*, user_id: str, if_version: int | None, as_json: bool) -> None:
    """Enable a disabled user."""
    switch(f"{_PATH}/{segment(user_id)}/enable", if_version, as_json=as_json)


@user.command()
@click.argument("user_id", metavar="ID")
@click.option("--node", metavar="HOST", help="The host that holds their files; empty for none.")
@click.option("--quota", type=int, metavar="BYTES", help="How much it may hold.")
@click.option("--used", type=int, metavar="BYTES", help="How much it holds.")
@click.option("--introduce-code", metavar="CODE", help="What they invite others with.")
@version_option
@json_option
def storage(
    *,
    user_id: str,
    node: str | None,
    quota: int | None,
    used: int | None,
    introduce_code: str | None,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Show a user's storage, or say what it is; what is not given stays.

    Programs of TeraCLOUD are told of it. Without a node they are told to come back later.
    """
    from latchgate.cli.api import call

    told = {"quota": quota, "used": used}
    patch: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    for name, text in (("node", node), ("introduce_code", introduce_code)):
        patch |= {name: text or None} if text is not None else {}
    if if_version is not None and not patch:
        raise click.UsageError("--if-version belongs to a change")
    path, headers = f"{_PATH}/{segment(user_id)}/storage", if_match(if_version)
    if patch:
        found = call("PATCH", path, "user_id", "used", json=patch, headers=headers)
    else:
        found = call("GET", path, "user_id", "used")
    if as_json:
        print_json(found)
        return
    print_fields(found.items())


@user.command("give-role")
@click.argument("user_id", metavar="ID")
@click.argument("project_id", metavar="PROJECT")
@click.argument("role_id", metavar="ROLE")
@version_option
@no_wait_option
@json_option
def give_role(
    *, user_id: str, project_id: str, role_id: str, if_version: int | None, as_json: bool
) -> None:
    """Give a user a role in a project. You can give only what you hold yourself."""
    path, headers = _role_path(user_id, project_id, role_id), if_match(if_version)
    show_record("PUT", path, as_json=as_json, headers=headers)


@user.command("take-role")
@click.argument("user_id", metavar="ID")
@click.argument("project_id", metavar="PROJECT")
@click.argument("role_id", metavar="ROLE")
@version_option
@no_wait_option
@json_option
def take_role(
    *, user_id: str, project_id: str, role_id: str, if_version: int | None, as_json: bool
) -> None:
    """Take a role away: nothing it gave is allowed when this returns."""
    from latchgate.cli.api import call

    path, headers = _role_path(user_id, project_id, role_id), if_match(if_version)
    told = call("DELETE", path, "user", "receipt", headers=headers)
    if as_json:
        print_json(told)
        return
    print_fields(told["user"].items())
    print_receipt(told["receipt"], [])


@user.command()
@click.argument("user_id", metavar="ID")
@click.option("--issuer", required=True, help="The identity provider, as in its tokens' iss.")
@click.option("--subject", required=True, help="Who it is there, as in their tokens' sub.")
@click.option("--project", help="Where they have the user's roles, if it is not the only one.")
@once_option
@json_option
def link(
    *,
    user_id: str,
    issuer: str,
    subject: str,
    project: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Let somebody at your identity provider act as a user.

    Whoever brings a token of theirs can do what the user may do, where an area takes such tokens.
    """
    spec: dict[str, Any] = {"issuer": issuer, "subject": subject}
    spec |= {"project_id": project} if project is not None else {}
    path, headers = f"{_PATH}/{segment(user_id)}/links", once(idempotency_key)
    show_record("POST", path, as_json=as_json, json=spec, headers=headers)


@user.command()
@click.argument("user_id", metavar="ID")
@click.option("--issuer", required=True, help="The identity provider, as in its tokens' iss.")
@click.option("--subject", required=True, help="Who it is there, as in their tokens' sub.")
@no_wait_option
@json_option
def unlink(*, user_id: str, issuer: str, subject: str, as_json: bool) -> None:
    """Take a link away: no token of theirs is accepted when this returns."""
    from latchgate.cli.api import call

    path = f"{_PATH}/{segment(user_id)}/links"
    meant = [
        one["id"]
        for one in call("GET", path, "links")["links"]
        if (one["issuer"], one["subject"]) == (issuer, subject)
    ]
    if not meant:
        raise Failed(f"{user_id} is not linked to this subject of {issuer}; see user show")
    told = call("DELETE", f"{path}/{segment(meant[0])}", "id", "receipt")
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("id", told["id"]), ("revoked_at", told["revoked_at"])])


@user.command()
@click.argument("user_id", metavar="ID")
@json_option
def reset_factors(*, user_id: str, as_json: bool) -> None:
    """Take away a user's authenticator apps, passkeys and recovery codes; their sessions end.

    For whoever lost them all: the password alone signs them in until they add new ones.
    """
    from latchgate.cli.api import call

    told = call("DELETE", f"{_PATH}/{segment(user_id)}/authenticators", "user_id", "removed")
    if as_json:
        print_json(told)
        return
    print_fields(told.items())


def _role_path(user_id: str, project_id: str, role_id: str) -> str:
    return f"{_PATH}/{segment(user_id)}/roles/{segment(project_id)}/{segment(role_id)}"
