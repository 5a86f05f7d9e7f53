"""`latchgate leak`: report leaked keys, list leaks, say what happens when a key leaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import rich_click as click

from latchgate.cli.listing import listing_options, segment, show_list
from latchgate.cli.output import (
    Failed,
    json_option,
    no_wait_option,
    one_line,
    print_fields,
    print_json,
    print_receipt,
    print_table,
)

_BATCH = 500
_BATCH_BYTES = 900_000  # the server takes a body of 1 MiB
_LONGEST = 8_192  # characters of a secret
_LONGEST_LINE = 4 * _LONGEST + 2  # bytes
_NAMED = 20  # lines that could not be read
_NOTHING: dict[str, Any] = {"status": "handled", "leak": None}


@click.group()
def leak() -> None:
    """Report leaked keys, list leaks, say what happens then."""


@leak.command()
@click.argument("file", metavar="FILE|-", default="-")
@click.option("--url", default="", metavar="URL", help="Where they were found.")
@click.option("--source", default="report", show_default=True, help="What sort of place that is.")
@click.option("--id", "record", metavar="ID", help="Of the access key whose secret it is.")
@no_wait_option
@json_option
def report(*, file: str, url: str, source: str, record: str | None, as_json: bool) -> None:
    """Report secrets, a line each, from a file or standard input; never as an argument.

    A key is then revoked, or its owner is told, as its tenant's rule says. Of a secret that is not
    your tenant's no more is told than that it was handled. --id is needed for one secret alone:
    that of an access key that was imported by its hash.
    """
    from latchgate.cli.api import call

    named = {"url": url, "source": source} | ({} if record is None else {"id": record})
    handled: list[dict[str, Any]] = []
    receipt: dict[str, Any] = {}
    unread: list[str] = []
    with _opened(file) as stream:
        lines = _secrets(stream, file, unread)
        if record is not None:
            lines = _one(lines)
        for batch in _batches(lines, named):
            told = call("POST", "/manage/v1/leaks", "handled", "receipt", json={"tokens": batch})
            # Of millions that were nothing each is the same object: no file is too long.
            handled += (one if one["leak"] is not None else _NOTHING for one in told["handled"])
            receipt = told["receipt"]
    if not handled and not unread:
        raise Failed("there is no secret, one a line, in what was given", code=2)
    _print(handled, receipt, as_json=as_json)
    for line in unread:
        click.echo(f"latchgate: {one_line(line)}", err=True)
    if unread:
        raise SystemExit(2)


def _print(handled: list[dict[str, Any]], receipt: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"handled": handled, "receipt": receipt or None})
        return
    leaks = [one["leak"] for one in handled if one["leak"] is not None]
    if leaks:
        print_table(("id", "kind", "record", "action"), leaks)
    if receipt:
        print_receipt(receipt, [("handled", len(handled))])


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """Open a file, or standard input (-); Failed where it can't be read, now or later."""
    try:
        if file == "-":
            yield sys.stdin.buffer
        else:
            with Path(file).open("rb") as stream:
                yield stream
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}", code=2)


def _secrets(stream: IO[bytes], file: str, unread: list[str]) -> Iterator[str]:
    """Yield the lines that hold something; those that can be no secret are noted by number."""
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        end, fits = line, True
        while not end.endswith(b"\n") and (end := stream.readline(_LONGEST_LINE)):
            fits = False
        try:
            text = line.decode().strip() if fits else ""
        except UnicodeDecodeError:
            _note(unread, f"{file}: line {number} is not UTF-8 text")
            continue
        if not fits or len(text) > _LONGEST:
            _note(unread, f"{file}: line {number} is longer than {_LONGEST} characters")
        elif text:
            yield text


def _note(unread: list[str], why: str) -> None:
    if len(unread) < _NAMED:
        unread.append(why)
    elif len(unread) == _NAMED:
        unread.append("there are more lines that can be no secret")


def _one(lines: Iterator[str]) -> Iterator[str]:
    """Yield the one secret that an id goes with, before anything is reported."""
    first, more = next(lines, None), next(lines, None)
    if more is not None:
        raise Failed("--id goes with one secret, and there are more", code=2)
    if first is not None:
        yield first


def _batches(lines: Iterator[str], named: dict[str, str]) -> Iterator[list[dict[str, str]]]:
    """Yield what one request may carry: so many secrets, and so many bytes."""
    batch: list[dict[str, str]] = []
    size = 0
    for text in lines:
        one = {"token": text, **named}
        length = len(json.dumps(one))
        if batch and (len(batch) == _BATCH or size + length > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += length + 1
    if batch:
        yield batch


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
