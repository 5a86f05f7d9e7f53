"""What every `rotate` verb takes and prints: the new secret, and when the old one ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rich_click as click

from latchgate.cli.listing import if_match, once, once_option, version_option
from latchgate.cli.output import (
    json_option,
    no_wait_option,
    one_line,
    print_fields,
    print_json,
    print_receipt,
)

_OPTIONS = (
    click.option(
        "--grace",
        metavar="DURATION",
        help="How long the old one works on: 90d at most, 0 for not at all. 7d unless told; an app "
        "password's is none.",
    ),
    click.option(
        "--until-quiet",
        metavar="DURATION",
        help="End the grace early, once the old one was unused for so long; for example 24h.",
    ),
    click.option("--expires-in", metavar="DURATION", help="How long the new one lives."),
    click.option("--expires-at", metavar="TIME", help="When the new one ends."),
    once_option,
    version_option,
    no_wait_option,
    json_option,
)


def rotation_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of a rotation; it takes them as `**asked`."""
    for option in reversed(_OPTIONS):
        verb = option(verb)
    return verb


def rotate(path: str, *, as_json: bool, params: dict[str, str] | None = None, **asked: Any) -> None:
    """Rotate the credential at a path, print its successor with its secret, and the old one's end.

    `params` is the query of the route, where it has one.
    """
    from latchgate.cli.api import call

    names = ("grace", "until_quiet", "expires_in", "expires_at")
    spec = {name: asked[name] for name in names if asked[name] is not None}
    headers = once(asked["idempotency_key"]) | if_match(asked["if_version"])
    sent: dict[str, Any] = {"json": spec, "headers": headers}
    if params:
        sent["params"] = params
    told = call("POST", f"{path}/rotation", "id", "successor", **sent)
    if as_json:
        print_json(told)
        return
    _print(told)
    if "secret" in told:
        click.echo("The secret is shown this once.")
    else:
        click.echo("It was rotated before.")


def show(path: str, *, as_json: bool, params: dict[str, str] | None = None) -> None:
    """Print how far the rotation of the credential at a path is."""
    from latchgate.cli.api import call

    sent: dict[str, Any] = {"params": params} if params else {}
    told = call("GET", f"{path}/rotation", "id", "successor", **sent)
    if as_json:
        print_json(told)
        return
    _print(told)


def _print(told: dict[str, Any]) -> None:
    new = told["successor"]
    fields: list[tuple[str, object]] = [("id", new["id"])]
    if "secret" in told:
        fields.append(("secret", told["secret"]))
    fields += [("expires_at", new["expires_at"]), ("replaces", told["id"])]
    if told.get("receipt"):
        print_receipt(told["receipt"], fields)
    else:
        print_fields(fields)
    click.echo(_end(told))
    for one in told["sources"]:
        click.echo(_user(one))


def _end(told: dict[str, Any]) -> str:
    """Say plainly until when the old one works."""
    if told["ended"]:
        return f"The old one, {told['id']}, works no more."
    quiet = told["until_quiet_seconds"]
    early = "" if quiet is None else f", or until it was unused for {_hours(quiet)}"
    return f"The old one, {told['id']}, works until {told['ends_at']}{early}."


def _user(one: dict[str, Any]) -> str:
    """Say who used the old one: from where, with what, how often, and when last."""
    agent = f" with {one_line(one['agent'])}" if one["agent"] else ""
    times = "once" if one["count"] == 1 else f"{one['count']} times"
    address, area = one_line(one["address"] or "an unknown address"), one_line(one["area"])
    return f"Used from {address}{agent} at {area}, {times}, last at {one['last_at']}."


def _hours(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        # One day is better known as 24h, as it is asked for.
        if seconds % size == 0 and (seconds >= 2 * size or unit == "h"):
            return f"{round(seconds / size)}{unit}"
    return f"{round(seconds)}s"
