"""`latchgate account`: what belongs to one's own account."""

from __future__ import annotations

import rich_click as click

from latchgate.cli.account_token import token
from latchgate.cli.password import password


@click.group()
def account() -> None:
    """API tokens and passwords."""


account.add_command(token)
account.add_command(password)
