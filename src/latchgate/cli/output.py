"""How verbs speak: JSON for programs, lines for people, errors on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import rich_click as click

NO_WAIT = "latchgate.no_wait"


def _remember(context: click.Context, _parameter: click.Parameter, given: bool) -> None:  # noqa: FBT001 - click's own call
    if given:
        context.meta[NO_WAIT] = True


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

# Of every verb that prints a receipt; `api.call` asks for it.
no_wait_option = click.option(
    "--no-wait",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Don't wait until every verifier follows; `latchgate receipt` waits for it later.",
)


def print_json(value: object) -> None:
    """Print one JSON value, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns; a value of None as a dash."""
    listed = [(name, _text(value)) for name, value in pairs]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        click.echo(f"{name:<{width}}  {value}")


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows under their columns' names."""
    cells = [[_text(row[column]) for column in columns] for row in rows]
    titles = [column.replace("_", " ").upper() for column in columns]
    widths = [max(len(line[at]) for line in [titles, *cells]) for at in range(len(columns))]
    for line in [titles, *cells]:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def print_receipt(receipt: dict[str, Any], before: list[tuple[str, object]]) -> None:
    """Print a receipt: its journal number, and who follows."""
    journal = receipt["journal"]
    if not receipt["waited"]:
        later = f"not waited for; latchgate receipt {journal} does"
        print_fields([*before, ("journal", journal), ("verifiers", later)])
        return
    unknown = "not known: waited until none trusts what it remembers"
    tail = receipt.get("gateway_tail_seconds")
    print_fields(
        [
            *before,
            ("journal", journal),
            ("elapsed", f"{receipt['elapsed_ms']} ms"),
            ("verifiers", [_verifier(one) for one in receipt["verifiers"]]),
            *([] if receipt["known"] else [("who follows", unknown)]),
            *([("gateways", f"waited {tail:g} s for what they remember")] if tail else []),
        ]
    )


def _verifier(one: dict[str, Any]) -> str:
    node = "" if one["node"] is None else f"{one['node']} "
    stale = f" (its stale_while_unreachable of {one['trust_seconds']:g} s)" if one["stale"] else ""
    return f"{node}{one['id']} {one['state']}{stale if one['state'] == 'lapsed' else ''}"


def warn(message: str) -> None:
    """Say something on standard error that ends nothing."""
    click.echo(f"latchgate: {safe(message)}", err=True)


class Failed(SystemExit):
    """Says what went wrong on standard error, and ends the program with `code`."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        warn(message)
        super().__init__(code)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value) or "none"
    if isinstance(value, dict):
        return (
            ", ".join(f"{one_line(name)}={one_line(str(item))}" for name, item in value.items())
            or "-"
        )
    return one_line(str(value))


def one_line(text: str) -> str:
    """Show a stored value on one line, so that it can't pass for another line of ours."""
    return safe(text).replace("\n", "\\n")


def safe(text: str, *, kept: str = "\n") -> str:
    """Show control characters instead of letting a stored name drive the terminal (D7.61)."""
    return "".join(
        char if char.isprintable() or char in kept else f"\\x{ord(char):02x}" for char in text
    )
