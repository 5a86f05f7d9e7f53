"""What the verbs of every noun share: ask for one record and print it, or its receipt."""

from __future__ import annotations

from typing import Any

from latchgate.cli.listing import if_match
from latchgate.cli.output import print_fields, print_json, print_receipt


def show_record(
    method: str,
    path: str,
    *,
    as_json: bool,
    **sent: Any,
) -> dict[str, Any]:
    """Call a route that answers one record, print it and return it."""
    from latchgate.cli.api import call

    record: dict[str, Any] = call(method, path, "id", **sent)
    if as_json:
        print_json(record)
    else:
        print_fields(record.items())
    return record


def switch(path: str, version: int | None, *, as_json: bool) -> None:
    """Switch a record off or on and print the receipt."""
    from latchgate.cli.api import call

    told = call("POST", path, "id", "active", "receipt", headers=if_match(version))
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("id", told["id"]), ("active", told["active"])])
