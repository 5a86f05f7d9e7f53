"""`latchgate whoami`: the own account."""

from __future__ import annotations

import rich_click as click

from latchgate.cli.output import json_option, print_fields, print_json


@click.command()
@json_option
def whoami(*, as_json: bool) -> None:
    """Show who you are, with which credential, and what you may do."""
    from latchgate.cli.api import call

    told = call("GET", "/manage/v1/account", "user", "rights")
    if as_json:
        print_json(told)
        return
    user = told.pop("user")
    print_fields([("user_id", user["id"]), ("name", user["name"]), *told.items()])
