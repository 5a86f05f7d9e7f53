"""`latchgate status` and `latchgate receipt`: who follows, and whom a change has reached."""

from __future__ import annotations

from typing import Any

import rich_click as click

from latchgate.cli.output import json_option, print_fields, print_json, print_receipt, print_table

_SHOWN = ("database", "head", "policy_version", "epoch", "timeline", "jobs")
_COLUMNS = (
    "node", "process", "kind", "state", "lag", "seen", "trust", "program", "schema", "id",
)  # fmt: skip


@click.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show nodes and verifiers, how far each follows the journal, and the last receipts.

    lag: changes it has yet to follow. seen: when it last wrote its row. trust: for how long it
    believes what it remembers after that; a stale one for longer than its lease, while it can't
    reach the database.
    """
    from latchgate.cli.api import call

    told = call("GET", "/manage/v1/status", "head", "verifiers", "receipts")
    if as_json:
        print_json(told)
        return
    settled = "yes" if told["settled"] else "no: receipts wait for the longest trust of all"
    print_fields(
        [
            *((name.replace("_", " "), told[name]) for name in _SHOWN),
            ("settled", settled),
            ("longest trust", _seconds(told["max_trust_seconds"])),
            ("gateways remember for", _seconds(told["gateway_tail_seconds"])),
        ]
    )
    click.echo()
    print_table(_COLUMNS, [_verifier(one) for one in told["verifiers"]])
    if told["receipts"]:
        click.echo()
        columns = ("receipt", "at", "elapsed", "acknowledged", "lapsed")
        print_table(columns, [_receipt(one) for one in told["receipts"]])


@click.command()
@click.argument("journal", type=click.IntRange(min=1), metavar="NUMBER")
@json_option
def receipt(*, journal: int, as_json: bool) -> None:
    """Wait until every verifier follows the change with this number, and print the receipt."""
    from latchgate.cli.api import call

    told = call("GET", f"/manage/v1/receipts/{journal}", "journal", "verifiers")
    if as_json:
        print_json(told)
        return
    print_receipt(told, [])


def _verifier(one: dict[str, Any]) -> dict[str, Any]:
    trust = None if one["trust_seconds"] is None else _seconds(one["trust_seconds"])
    seen = one["seen_seconds_ago"]
    return one | {
        "seen": None if seen is None else f"{_seconds(seen)} ago",
        "trust": f"{trust} stale" if one["stale"] else trust,
    }


def _receipt(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "receipt": one["journal"],
        "at": one["at"],
        "elapsed": f"{one['elapsed_ms']} ms",
        "acknowledged": one["acknowledged"],
        "lapsed": len(one["verifiers"]) - one["acknowledged"],
    }


def _seconds(number: float) -> str:
    return f"{number:g} s"
