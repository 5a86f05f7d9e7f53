"""`latchgate workload`: programs elsewhere that act by what their own issuer signs of them."""

from __future__ import annotations

from typing import Any

import msgspec
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
from latchgate.cli.output import json_option, no_wait_option, print_json, print_receipt

_PATH = "/manage/v1/workloads"
_id = click.argument("workload_id", metavar="ID")
_claim_option = click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=VALUE",
    help="What a claim must be; several of one name: any of them. Repeatable.",
)
_scope_option = click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="What it opens. Repeatable."
)
_audience_option = click.option(
    "--audience", metavar="TEXT", help="Whom statements are meant for: this issuer unless told."
)
_jwks_option = click.option(
    "--jwks-uri", metavar="URL", help="Where the issuer's keys are: it is asked unless told."
)
_lifetime_option = click.option(
    "--lifetime", metavar="DURATION", help="How long a token lasts: 10m unless told, 1h at most."
)


@click.group("workload")
def workload() -> None:
    """Let CI jobs and other programs in by what their issuer signs of them, without a secret."""


@workload.command()
@click.option("--name", required=True, metavar="TEXT", help="What people call it.")
@click.option("--issuer", required=True, metavar="URL", help="Who signs: `iss`, to the letter.")
@click.option("--user", "user_id", required=True, metavar="ID", help="The service user it acts as.")
@click.option("--project", "project_id", metavar="ID", help="Where; their only one unless told.")
@_claim_option
@_scope_option
@_audience_option
@_jwks_option
@_lifetime_option
@once_option
@json_option
def create(*, as_json: bool, idempotency_key: str | None, **told: Any) -> None:
    """Trust what an issuer signs about a program."""
    spec: dict[str, Any] = {
        "name": told["name"],
        "issuer": told["issuer"],
        "user_id": told["user_id"],
        "claims": _claims(told["claims"]),
        "scopes": list(told["scopes"]),
    }
    for name in ("project_id", "audience", "jwks_uri", "lifetime"):
        if told[name] is not None:
            spec[name] = told[name]
    show_record("POST", _PATH, as_json=as_json, json=spec, headers=once(idempotency_key))


@workload.command("list")
@listing_options
@json_option
def list_workloads(*, as_json: bool, **asked: Any) -> None:
    """List workloads, oldest first unless told."""
    columns = ("id", "name", "state", "issuer", "user_id", "scopes")
    again = "latchgate workload list"
    show_list(_PATH, "workloads", columns, again=again, as_json=as_json, **asked)


@workload.command()
@_id
@json_option
def show(*, workload_id: str, as_json: bool) -> None:
    """Show a workload."""
    show_record("GET", f"{_PATH}/{segment(workload_id)}", as_json=as_json)


@workload.command()
@_id
@click.option("--name", metavar="TEXT", help="What people call it.")
@_claim_option
@_scope_option
@_audience_option
@_jwks_option
@click.option("--ask-issuer", is_flag=True, help="Ask the issuer anew where its keys are.")
@_lifetime_option
@version_option
@no_wait_option
@json_option
def update(*, workload_id: str, if_version: int | None, as_json: bool, **told: Any) -> None:
    """Change what is believed or opened; claims and scopes that are told replace all before."""
    if told["ask_issuer"] and told["jwks_uri"] is not None:
        msg = "--ask-issuer and --jwks-uri contradict each other"
        raise click.UsageError(msg)
    names = ("name", "audience", "jwks_uri", "lifetime")
    patch: dict[str, Any] = {name: told[name] for name in names if told[name] is not None}
    if told["ask_issuer"]:
        patch["jwks_uri"] = None
    if told["claims"]:
        patch["claims"] = _claims(told["claims"])
    if told["scopes"]:
        patch["scopes"] = list(told["scopes"])
    _changed("PATCH", workload_id, if_version, as_json=as_json, json=patch)


def _switch(verb: str, method: str, below: str, words: str) -> click.Command:
    @click.command(verb, help=words)
    @_id
    @version_option
    @no_wait_option
    @json_option
    def switch(*, workload_id: str, if_version: int | None, as_json: bool) -> None:
        _changed(method, workload_id, if_version, as_json=as_json, below=below)

    return switch


for _verb, _method, _below, _words in (
    ("disable", "POST", "/disable", "Believe nothing about a workload for now; its tokens end."),
    ("enable", "POST", "/enable", "Believe what is said about a workload again."),
    ("delete", "DELETE", "", "Delete a workload; its tokens end at once."),
):
    workload.add_command(_switch(_verb, _method, _below, _words))


def _changed(
    method: str,
    workload_id: str,
    version: int | None,
    *,
    as_json: bool,
    below: str = "",
    **sent: Any,
) -> None:
    from latchgate.cli.api import call

    path, headers = f"{_PATH}/{segment(workload_id)}{below}", if_match(version)
    told = call(method, path, "id", "state", "receipt", headers=headers, **sent)
    if as_json:
        print_json(told)
        return
    shown = [(name, told[name]) for name in ("id", "name", "state", "claims", "scopes")]
    print_receipt(told["receipt"], shown)


def _claims(texts: tuple[str, ...]) -> dict[str, Any]:
    """Read NAME=VALUE texts: a name that stands several times takes any of its values."""
    read: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"{text!r} is not NAME=VALUE"
            raise click.BadParameter(msg, param_hint="--claim")
        read.setdefault(name, []).append(_value(value))
    return {name: values[0] if len(values) == 1 else values for name, values in read.items()}


def _value(text: str) -> str | bool:
    """Read true, false and what stands in quotes as JSON has it, all else as the text it is.

    Numbers are texts to the issuers that people trust so, and so they are here.
    """
    if text in {"true", "false"} or text[:1] == '"':
        try:
            return msgspec.json.decode(text, type=str | bool)
        except msgspec.MsgspecError as error:
            msg = f"{text!r}: {error}"
            raise click.BadParameter(msg, param_hint="--claim") from error
    return text
