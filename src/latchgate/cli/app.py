"""`latchgate app`: applications as their developers, the operator and users see them.

A developer uses the token that their request was answered with as `LATCHGATE_TOKEN`.
"""

from __future__ import annotations

from typing import Any

import rich_click as click

from latchgate.cli.listing import if_match, listing_options, segment, show_list, version_option
from latchgate.cli.output import (
    json_option,
    no_wait_option,
    print_fields,
    print_json,
    print_receipt,
)

_PATH = "/manage/v1/applications"
_REQUESTS = "/manage/v1/application-requests"
_OWN = "/manage/v1/account/applications"
_DEVELOPER = "lgdev_"
_id = click.argument("application_id", metavar="ID")
_for_user = click.option("--user", "user_id", metavar="ID", help="For this one user only.")
_SHOWN = ("id", "name", "vendor", "contact", "developer", "purpose", "state", "reason")


@click.group()
def app() -> None:
    """Request, review, block and withdraw applications."""


@app.command()
@click.option("--name", required=True, help="The program's name.")
@click.option("--vendor", required=True, help="Who publishes it.")
@click.option("--contact", required=True, help="An e-mail address of somebody who answers.")
@click.option("--purpose", required=True, help="What it does, and what it needs the API for.")
@click.option(
    "--developer",
    required=True,
    type=click.Choice(["corporation", "individual", "open_source"]),
    help="What its developer is.",
)
@json_option
def register(
    *, name: str, vendor: str, contact: str, purpose: str, developer: str, as_json: bool
) -> None:
    """Request an application; needs no token, LATCHGATE_URL is enough.

    The developer token is shown once. Set it as LATCHGATE_TOKEN for show, key, reissue and
    withdraw.
    """
    from latchgate.cli.api import call

    spec = {
        "name": name,
        "vendor": vendor,
        "contact": contact,
        "purpose": purpose,
        "developer": developer,
    }
    made = call("POST", _REQUESTS, "application", "developer_token", json=spec, public=True)
    if as_json:
        print_json(made)
        return
    told = made["application"]
    token = made["developer_token"]
    print_fields([("id", told["id"]), ("state", told["state"]), ("developer_token", token)])
    click.echo("The developer token is shown this once.")


@app.command("list")
@listing_options
@click.option("--blocked", is_flag=True, help="Those that may not act for yourself instead.")
@json_option
def list_apps(*, blocked: bool, as_json: bool, **asked: Any) -> None:
    """List applications and requests, oldest first unless told."""
    if blocked:
        _list_blocked(as_json=as_json)
        return
    columns = ("id", "name", "vendor", "developer", "state", "created_at")
    again = "latchgate app list"
    show_list(_PATH, "applications", columns, again=again, as_json=as_json, **asked)


def _list_blocked(*, as_json: bool) -> None:
    from latchgate.cli.api import call
    from latchgate.cli.output import print_table

    told = call("GET", _OWN, "applications")
    if as_json:
        print_json(told)
        return
    columns = ("application_id", "name", "vendor", "blocked_by", "at")
    print_table(columns, told["applications"])


@app.command()
@_id
@json_option
def show(*, application_id: str, as_json: bool) -> None:
    """Show an application, to the operator or, with their token, to its developer."""
    from latchgate.cli.api import call
    from latchgate.cli.management_profile import find_profile

    if not find_profile().token.startswith(_DEVELOPER):
        told = call("GET", f"{_PATH}/{segment(application_id)}", "id")
        if as_json:
            print_json(told)
            return
        print_fields(told.items())
        return
    told = call("GET", f"{_REQUESTS}/{segment(application_id)}", "application", "keys")
    if as_json:
        print_json(told)
        return
    fields = [(name, told["application"][name]) for name in _SHOWN]
    fields.append(("keys", [one["id"] for one in told["keys"]]))
    print_fields([*fields, ("withdrawn_for", told["withdrawn_for"])])


def _decision(verb: str, words: str) -> click.Command:
    @click.command(verb, help=words)
    @_id
    @click.option("--reason", required=True, help="Why; the developer reads it.")
    @version_option
    @no_wait_option
    @json_option
    def decide(*, application_id: str, reason: str, if_version: int | None, as_json: bool) -> None:
        from latchgate.cli.api import call

        told = call(
            "POST",
            f"{_PATH}/{segment(application_id)}/{verb}",
            "state",
            "receipt",
            json={"reason": reason},
            headers=if_match(if_version),
        )
        if as_json:
            print_json(told)
            return
        print_receipt(told["receipt"], [(name, told[name]) for name in ("id", "state", "reason")])

    return decide


for _verb, _words in (
    ("approve", "Approve a request; its developer can pick up the key then."),
    ("refuse", "Refuse a request."),
    ("suspend", "Suspend an application for everybody, at once."),
    ("reinstate", "Lift a suspension."),
):
    app.add_command(_decision(_verb, _words))


@app.command()
@_id
@_for_user
@no_wait_option
@json_option
def key(*, application_id: str, user_id: str | None, as_json: bool) -> None:
    """Pick up the API key of an approved application; it is shown once. For its developer."""
    _issue(f"{segment(application_id)}/keys", _target(user_id), as_json=as_json)


@app.command()
@_id
@_for_user
@click.option(
    "--grace",
    metavar="DURATION",
    help="How long the old key works on, for users who have yet to update: for example 7d. "
    "It ends at once unless told.",
)
@no_wait_option
@json_option
def reissue(*, application_id: str, user_id: str | None, grace: str | None, as_json: bool) -> None:
    """Replace the API key; the new one is shown once. For its developer."""
    spec = _target(user_id) | ({} if grace is None else {"grace": grace})
    _issue(f"{segment(application_id)}/keys/reissue", spec, as_json=as_json)


def _issue(path: str, spec: dict[str, str], *, as_json: bool) -> None:
    from latchgate.cli.api import call

    made = call("POST", f"{_REQUESTS}/{path}", "api_key", "receipt", json=spec)
    if as_json:
        print_json(made)
        return
    print_receipt(made["receipt"], [(name, made[name]) for name in ("id", "api_key", "user_id")])
    click.echo("The API key is shown this once.")


@app.command()
@_id
@_for_user
@no_wait_option
@json_option
def withdraw(*, application_id: str, user_id: str | None, as_json: bool) -> None:
    """Withdraw the application at once and for good. For its developer."""
    from latchgate.cli.api import call

    path = f"{_REQUESTS}/{segment(application_id)}/withdraw"
    told = call("POST", path, "application_id", "receipt", json=_target(user_id))
    if as_json:
        print_json(told)
        return
    shown = [(name, told[name]) for name in ("application_id", "user_id")]
    print_receipt(told["receipt"], shown)


def _target(user_id: str | None) -> dict[str, str]:
    return {} if user_id is None else {"user_id": user_id}


@app.command("test-key")
@click.argument("api_key", metavar="KEY")
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="ID",
    help="A tenant whose users may ask with it; none given: nobody may. Repeatable.",
)
@no_wait_option
@json_option
def test_key(*, api_key: str, tenants: tuple[str, ...], as_json: bool) -> None:
    """Let the users of some tenants ask with a published API key, as the application "test".

    KEY is one that a provider's documentation prints, so that everybody knows it. It replaces the
    one set before, and these tenants those before.
    """
    from latchgate.cli.api import call

    spec = {"api_key": api_key, "tenants": list(tenants)}
    told = call("PUT", f"{_PATH}/test-key", "tenants", "receipt", json=spec)
    if as_json:
        print_json(told)
        return
    shown = [(name, told[name]) for name in ("id", "application_id", "tenants")]
    print_receipt(told["receipt"], shown)


@app.command()
@_id
@no_wait_option
@json_option
def block(*, application_id: str, as_json: bool) -> None:
    """Keep an application from acting for yourself, at once."""
    _block("PUT", application_id, as_json=as_json)


@app.command()
@_id
@no_wait_option
@json_option
def unblock(*, application_id: str, as_json: bool) -> None:
    """Lift your own block; not the developer's withdrawal for you."""
    _block("DELETE", application_id, as_json=as_json)


def _block(method: str, application_id: str, *, as_json: bool) -> None:
    from latchgate.cli.api import call

    told = call(method, f"{_OWN}/{segment(application_id)}/block", "blocked", "receipt")
    if as_json:
        print_json(told)
        return
    shown = [(name, told[name]) for name in ("application_id", "blocked")]
    print_receipt(told["receipt"], shown)
