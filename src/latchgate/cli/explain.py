"""`latchgate explain`: why a request is allowed or refused."""

from __future__ import annotations

import sys
from typing import Any

import rich_click as click

from latchgate.cli.output import json_option, print_fields, print_json


@click.command()
@click.argument("method", required=False)
@click.argument("url", required=False)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="A header of the request. Repeatable; @- reads them from standard input.",
)
@click.option("--client", metavar="ADDRESS", help="The address it comes from.")
@click.option(
    "--id",
    "decision_id",
    metavar="ID",
    help="A refusal that happened, by its X-Latchgate-Decision.",
)
@json_option
def explain(
    *,
    method: str | None,
    url: str | None,
    headers: tuple[str, ...],
    client: str | None,
    decision_id: str | None,
    as_json: bool,
) -> None:
    """Say, step by step, how a request is decided, and what would allow it.

    Either METHOD and URL of a request to try (it is decided, not made), or --id of a refusal.
    A key given with -H stands in your shell's history; `-H @-` reads headers from standard
    input instead.
    """
    from urllib.parse import quote

    from latchgate.cli.api import call

    if decision_id is not None:
        if method or url or headers or client:
            msg = "--id goes alone"
            raise click.UsageError(msg)
        told = call("GET", f"/manage/v1/decisions/{quote(decision_id, safe='')}", "steps", "change")
    else:
        if not method or not url:
            msg = "give METHOD and URL, or --id"
            raise click.UsageError(msg)
        asked: dict[str, Any] = {"method": method, "url": url, "headers": _read_headers(headers)}
        if client is not None:
            asked["client"] = client
        told = call("POST", "/manage/v1/explain", "steps", "change", json=asked)
    if as_json:
        print_json(told)
        return
    _print(told)


def _read_headers(texts: tuple[str, ...]) -> dict[str, str]:
    lines: list[str] = []
    for text in texts:
        if text == "@-":
            told = sys.stdin.buffer.read().decode(errors="replace")
            lines += [line for line in told.splitlines() if line.strip()]
        else:
            lines.append(text)
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            msg = "a header is written 'NAME: VALUE'"
            raise click.BadParameter(msg, param_hint="-H")
        if name.strip().lower() in {known.lower() for known in found}:
            msg = f"{name.strip()} is given twice"
            raise click.BadParameter(msg, param_hint="-H")
        # One space after the colon is the header's syntax; any other belongs to the value.
        found[name.strip()] = value.removeprefix(" ")
    return found


def _print(told: dict[str, Any]) -> None:
    verdict = "allowed" if told["allowed"] else f"refused ({told['status']} {told['code']})"
    print_fields(
        [
            ("request", f"{told['method']} {told['host']}{told['path']}"),
            ("decision", verdict),
            ("reason", told["reason"]),
        ]
    )
    for step in told["steps"]:
        click.echo(f"  {'ok ' if step['ok'] else 'NO '} {step['text']}")
    print_fields([("change", told["change"])])
