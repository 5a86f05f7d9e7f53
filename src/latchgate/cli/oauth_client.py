"""`latchgate oauth-client`: OAuth2 clients of applications, their secrets, and as whom they act."""

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

_PATH = "/manage/v1/oauth-clients"
_ACTING = "/manage/v1/oauth-grants"
_APPLICATION_ID = "app-"
# The long names that RFC 8628 and RFC 8693 gave to theirs.
_GRANTS = {
    "authorization_code": "authorization_code",
    "client_credentials": "client_credentials",
    "refresh_token": "refresh_token",
    "device_code": "urn:ietf:params:oauth:grant-type:device_code",
    "token_exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
    "introspection": "urn:latchgate:introspection",
}
_id = click.argument("client_id", metavar="ID")
_grant_option = click.option(
    "--grant", "grants", multiple=True, type=click.Choice(list(_GRANTS)), help="Repeatable."
)
_scope_option = click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="The most it is given. Repeatable."
)
_redirect_option = click.option(
    "--redirect-uri", "redirects", multiple=True, metavar="URI", help="Exact. Repeatable."
)
_logout_option = click.option(
    "--logout-uri",
    "logouts",
    multiple=True,
    metavar="URI",
    help="Where a sign-out may lead to. Repeatable.",
)


@click.group("oauth-client")
def oauth_client() -> None:
    """Make and withdraw OAuth2 clients, rotate their secrets, let them act."""


@oauth_client.command()
@click.option(
    "--application",
    required=True,
    metavar="NAME",
    help="Its application: an id, or a name. One that nobody asked for yet is made and approved.",
)
@click.option("--vendor", help="Of a new application: who publishes it; its name unless told.")
@click.option("--contact", help="Of a new application: an e-mail address of its developer.")
@click.option("--public", is_flag=True, help="It can keep no secret: an app, a page, a command.")
@click.option("--first-party", is_flag=True, help="Latchgate's own: nobody is asked to consent.")
@click.option("--tenant", "tenant_id", metavar="ID", help="Whose users it is for.")
@_grant_option
@_scope_option
@_redirect_option
@_logout_option
@once_option
@json_option
def create(*, application: str, as_json: bool, idempotency_key: str | None, **told: Any) -> None:
    """Make a client. Its secret is shown once."""
    from latchgate.cli.api import call

    spec: dict[str, Any] = {
        **_application(application, told["vendor"], told["contact"]),
        "tenant_id": told["tenant_id"],
        "public": told["public"],
        "first_party": told["first_party"],
        "scopes": list(told["scopes"]),
        "redirect_uris": list(told["redirects"]),
        "post_logout_redirect_uris": list(told["logouts"]),
    }
    if told["grants"]:
        spec["grant_types"] = [_GRANTS[one] for one in told["grants"]]
    made = call("POST", _PATH, "id", json=spec, headers=once(idempotency_key))
    if as_json:
        print_json(made)
        return
    print_fields(_fields(made))
    if made.get("client_secret"):
        print_fields([("client_secret", made["client_secret"])])
        click.echo("The secret is shown this once.")


def _application(named: str, vendor: str | None, contact: str | None) -> dict[str, Any]:
    """Find the one approved application of an id or name, or say what a new one shall be."""
    from latchgate.cli.api import call

    if named.startswith(_APPLICATION_ID):
        return {"application_id": named}
    query = {"name": named, "state": "approved"}
    found = call("GET", "/manage/v1/applications", "applications", params=query)["applications"]
    if len(found) > 1:
        listed = ", ".join(one["id"] for one in found)
        msg = f"there are several of this name; give an id: {listed}"
        raise click.BadParameter(msg, param_hint="--application")
    if found:
        return {"application_id": found[0]["id"]}
    if contact is None:
        msg = f"there is no approved application {named!r}; --contact makes one"
        raise click.BadParameter(msg, param_hint="--application")
    made = {
        "name": named,
        "vendor": vendor if vendor is not None else named,
        "contact": contact,
        "purpose": "Made by the operator with its OAuth2 client.",
        "developer": "corporation",
    }
    return {"application": made}


@oauth_client.command("list")
@listing_options
@json_option
def list_clients(*, as_json: bool, **asked: Any) -> None:
    """List clients, oldest first unless told."""
    columns = ("id", "application_name", "application_state", "state", "public", "grant_types")
    again = "latchgate oauth-client list"
    show_list(_PATH, "oauth_clients", columns, again=again, as_json=as_json, **asked)


@oauth_client.command()
@_id
@json_option
def show(*, client_id: str, as_json: bool) -> None:
    """Show a client, never its secrets."""
    from latchgate.cli.api import call

    found = call("GET", f"{_PATH}/{segment(client_id)}", "id")
    if as_json:
        print_json(found)
        return
    print_fields(_fields(found))


@oauth_client.command()
@_id
@_grant_option
@_scope_option
@click.option("--no-scopes", is_flag=True, help="It is given none any more.")
@_redirect_option
@_logout_option
@version_option
@no_wait_option
@json_option
def update(*, client_id: str, if_version: int | None, as_json: bool, **told: Any) -> None:
    """Change what a client may do; what is told replaces the whole list before.

    What it loses its grants and their tokens lose at once.
    """
    if told["no_scopes"] and told["scopes"]:
        msg = "--no-scopes and --scope contradict each other"
        raise click.UsageError(msg)
    lists = {
        "grant_types": [_GRANTS[one] for one in told["grants"]],
        "scopes": list(told["scopes"]),
        "redirect_uris": list(told["redirects"]),
        "post_logout_redirect_uris": list(told["logouts"]),
    }
    patch: dict[str, Any] = {name: listed for name, listed in lists.items() if listed}
    if told["no_scopes"]:
        patch["scopes"] = []
    _changed("PATCH", client_id, if_version, as_json=as_json, json=patch)


def _switch(verb: str, method: str, below: str, words: str) -> click.Command:
    @click.command(verb, help=words)
    @_id
    @version_option
    @no_wait_option
    @json_option
    def switch(*, client_id: str, if_version: int | None, as_json: bool) -> None:
        _changed(method, client_id, if_version, as_json=as_json, below=below)

    return switch


for _verb, _method, _below, _words in (
    ("disable", "POST", "/disable", "Switch a client off at once, with its grants."),
    ("enable", "POST", "/enable", "Switch a client on again, with the grants that went with it."),
    ("withdraw", "DELETE", "", "End a client for good, with its grants, consents and secrets."),
):
    oauth_client.add_command(_switch(_verb, _method, _below, _words))


@oauth_client.command("new-secret")
@_id
@click.option(
    "--grace",
    metavar="DURATION",
    help="How long the secret before works on: for example 7d. It ends at once unless told.",
)
@version_option
@no_wait_option
@json_option
def new_secret(*, client_id: str, grace: str | None, if_version: int | None, as_json: bool) -> None:
    """Make a new secret in the place of the one before; it is shown once."""
    from latchgate.cli.api import call

    spec = {} if grace is None else {"grace": grace}
    path, headers = f"{_PATH}/{segment(client_id)}/secrets", if_match(if_version)
    made = call("POST", path, "client_secret", "receipt", json=spec, headers=headers)
    if as_json:
        print_json(made)
        return
    print_receipt(made["receipt"], [(name, made[name]) for name in ("id", "client_secret")])
    click.echo("The secret is shown this once.")


@oauth_client.command("revoke-secret")
@_id
@click.argument("secret_id", metavar="SECRET")
@no_wait_option
@json_option
def revoke_secret(*, client_id: str, secret_id: str, as_json: bool) -> None:
    """Revoke a secret at once; `show` tells the ids of those that there are."""
    from latchgate.cli.api import call

    path = f"{_PATH}/{segment(client_id)}/secrets/{segment(secret_id)}"
    told = call("DELETE", path, "id", "revoked_at", "receipt")
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [(name, told[name]) for name in ("id", "revoked_at")])


@oauth_client.command("acting")
@listing_options
@json_option
def acting(*, as_json: bool, **asked: Any) -> None:
    """List the clients of your tenant that may act by themselves, and as whom they do."""
    columns = ("client_id", "application_name", "application_state", "scopes", "acts_as")
    again = "latchgate oauth-client acting"
    show_list(_ACTING, "oauth_grants", columns, again=again, as_json=as_json, **asked)


@oauth_client.command("act-as")
@_id
@click.option("--user", "user_id", required=True, metavar="ID", help="A service user.")
@click.option("--project", "project_id", metavar="ID", help="Where; their only one unless told.")
@_scope_option
@version_option
@no_wait_option
@json_option
def act_as(
    *,
    client_id: str,
    user_id: str,
    project_id: str | None,
    scopes: tuple[str, ...],
    if_version: int | None,
    as_json: bool,
) -> None:
    """Let a client of your tenant act as a service user, by client credentials."""
    spec: dict[str, Any] = {"user_id": user_id, "scopes": list(scopes)}
    if project_id is not None:
        spec["project_id"] = project_id
    _act("PUT", client_id, if_version, as_json=as_json, json=spec)


@oauth_client.command("act-as-nobody")
@_id
@version_option
@no_wait_option
@json_option
def act_as_nobody(*, client_id: str, if_version: int | None, as_json: bool) -> None:
    """End what a client of your tenant acts as, at once, with its tokens."""
    _act("DELETE", client_id, if_version, as_json=as_json)


def _act(method: str, client_id: str, version: int | None, *, as_json: bool, **sent: Any) -> None:
    from latchgate.cli.api import call

    path, headers = f"{_ACTING}/{segment(client_id)}", if_match(version)
    told = call(method, path, "client_id", "acts_as", "receipt", headers=headers, **sent)
    if as_json:
        print_json(told)
        return
    names = ("user_id", "project_id", "scopes", "revoked_at")
    acts_as = [(name, told["acts_as"][name]) for name in names]
    print_receipt(told["receipt"], [("client_id", told["client_id"]), *acts_as])


def _changed(
    method: str,
    client_id: str,
    version: int | None,
    *,
    as_json: bool,
    below: str = "",
    **sent: Any,
) -> None:
    from latchgate.cli.api import call

    path, headers = f"{_PATH}/{segment(client_id)}{below}", if_match(version)
    told = call(method, path, "id", "state", "receipt", headers=headers, **sent)
    if as_json:
        print_json(told)
        return
    shown = [(name, told[name]) for name in ("id", "state", "grant_types", "scopes")]
    print_receipt(told["receipt"], shown)


def _fields(client: dict[str, Any]) -> list[tuple[str, object]]:
    """Return what people read of a client; its secrets by their ids."""
    hidden = {"client_secret", "created_by", "disabled_at", "withdrawn_at", "grant_id"}
    told = {name: value for name, value in client.items() if name not in hidden}
    told["secrets"] = [one["id"] for one in client["secrets"]]
    return list(told.items())
