"""`latchgate leak`: report leaked keys, list leaks, say what happens when a key leaks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import rich_click as click

from latchgate.cli.listing import listing_options, segment, show_list
from latchgate.cli.output import (
    Failed,
    json_option,
    print_fields,
    print_json,
    print_receipt,
    print_table,
)

_BATCH = 500
_LONGEST = 8_192


@click.group()
def leak() -> None:
    """Report leaked keys, list leaks, say what happens then."""


@leak.command()
@click.argument("file", metavar="FILE|-", default="-")
@click.option("--url", default="", metavar="URL", help="Where they were found.")
@click.option("--source", default="report", show_default=True, help="What sort of place that is.")
@json_option
def report(*, file: str, url: str, source: str, as_json: bool) -> None:
    """Report secrets, a line each, from a file or standard input; never as an argument.

    A key is then revoked, or its owner is told, as its tenant's rule says. Of a secret that is not
    your tenant's no more is told than that it was handled.
    """
    from latchgate.cli.api import call

    secrets = _read(file)
    handled: list[dict[str, Any]] = []
    receipt: dict[str, Any] = {}
    for at in range(0, len(secrets), _BATCH):
        tokens = [
            {"token": text, "url": url, "source": source} for text in secrets[at : at + _BATCH]
        ]
        told = call("POST", "/manage/v1/leaks", "handled", "receipt", json={"tokens": tokens})
        handled += told["handled"]
        receipt = told["receipt"]
    if as_json:
        print_json({"handled": handled, "receipt": receipt})
        return
    leaks = [one["leak"] for one in handled if one["leak"] is not None]
    if leaks:
        print_table(("id", "kind", "record", "action"), leaks)
    print_receipt(receipt, [("handled", len(handled))])


def _read(file: str) -> list[str]:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        lines = raw.decode().splitlines()
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}", code=2)
    except UnicodeDecodeError:
        raise Failed(f"{file}: is not UTF-8 text", code=2)
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise Failed("there is no secret, one a line, in what was given", code=2)
    long = next((at for at, line in enumerate(found, 1) if len(line) > _LONGEST), None)
    if long is not None:
        raise Failed(f"secret number {long} is longer than {_LONGEST} characters", code=2)
    return found


@leak.command("list")
@listing_options
@json_option
def list_leaks(*, as_json: bool, **asked: Any) -> None:
    """List proven leaks, oldest first."""
    show_list(
        "/manage/v1/leaks",
        "leaks",
        ("id", "created_at", "kind", "record", "source", "action"),
        again="leak list",
        as_json=as_json,
        **asked,
    )


@leak.group()
def rule() -> None:
    """Say what happens when a key of a kind is proven to have leaked."""


@rule.command("set")
@click.argument("kind")
@click.argument("action", type=click.Choice(["revoke", "notify"]))
@json_option
def set_rule(*, kind: str, action: str, as_json: bool) -> None:
    """Revoke keys of a kind that leak, or only tell of it; kind "*" is every other."""
    from latchgate.cli.api import call

    path = f"/manage/v1/leak-rules/{segment(kind)}"
    told = call("PUT", path, "kind", "action", json={"action": action})
    if as_json:
        print_json(told)
    else:
        print_fields(told.items())


@rule.command("list")
@json_option
def list_rules(*, as_json: bool) -> None:
    """List the rules; a kind without one is revoked."""
    from latchgate.cli.api import call

    told = call("GET", "/manage/v1/leak-rules", "rules")
    if as_json:
        print_json(told)
    else:
        print_table(("kind", "action"), told["rules"])
