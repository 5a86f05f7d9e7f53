"""`latchgate edge`: decide near the gateway, following a Latchgate elsewhere."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from latchgate.cli.local import Listen
from latchgate.cli.output import Failed, json_option, print_fields, print_json
from latchgate.config import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from latchgate.verify.upstream import Upstream

TOKEN = "LATCHGATE_TOKEN"  # noqa: S105 - the name of a variable


@click.command()
@click.option(
    "--upstream",
    required=True,
    envvar="LATCHGATE_URL",
    metavar="URL",
    help="The API of the Latchgate to follow, such as https://api.example.com.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Holds the key to follow with, read anew each time; {TOKEN} unless given.",
)
@click.option(
    "--listen",
    type=Listen(unix=True),
    default="127.0.0.1:8422",
    show_default=True,
    help="The gateways' address, or unix:/PATH.",
)
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="ID",
    help="A tenant to serve; all that the key may follow unless told.",
)
@click.option(
    "--trusted",
    multiple=True,
    default=("127.0.0.1", "::1"),
    show_default=True,
    metavar="NETWORK",
    help="An address or network of gateways, which alone may ask.",
)
@click.option(
    "--ca",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="LATCHGATE_CA",
    help="PEM certificates that count instead of the system's.",
)
@click.option("--node", metavar="NAME", help="What receipts call it; the host's name unless told.")
@click.option(
    "--lease",
    type=click.FloatRange(0.5, 60),
    default=2.0,
    show_default=True,
    help="For how many seconds it believes what it remembers.",
)
@click.option(
    "--stale-while-unreachable",
    type=click.FloatRange(1, 3600),
    help="For how many seconds while the upstream can't be reached; no longer than the lease"
    " unless told.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least that is logged.",
)
@json_option
def edge(  # noqa: PLR0913 - one for each option
    *,
    upstream: str,
    token_file: Path | None,
    listen: Address,
    tenants: tuple[str, ...],
    trusted: tuple[str, ...],
    ca: Path | None,
    node: str | None,
    lease: float,
    stale_while_unreachable: float | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Decide near the gateway, without a database: follow a Latchgate elsewhere.

    The key needs the scope verifier:follow. While the upstream can't be reached, requests are
    refused with 503 once the lease is over. Nothing is counted here, and refusals are not kept.
    """
    from latchgate.core.network import Networks
    from latchgate.core.policy_faults import PolicyError
    from latchgate.serve.edge import Listening, serve_edge
    from latchgate.serve.supervisor import ServeError
    from latchgate.store.errors import StoreError
    from latchgate.verify.upstream import EdgeOptions, followed

    told = EdgeOptions(lease=lease)
    if tenants:
        told["tenants"] = tenants
    if stale_while_unreachable is not None:
        told["stale_while_unreachable"] = stale_while_unreachable
    if node is not None:
        told["node"] = node
    if ca is not None:
        told["ca"] = ca
    try:
        follows = followed(upstream, _token(token_file), told)
        listening = Listening(listen, Networks.of(trusted), log_level)
    except ValueError as error:
        raise Failed(str(error), code=2)
    try:
        serve_edge(follows, listening, announce=partial(_announce, follows, as_json=as_json))
    except (ServeError, StoreError) as error:
        raise Failed(str(error))
    except PolicyError as error:
        raise Failed(f"the upstream's policy can't be read here: {error}")


def _token(file: Path | None) -> str | Callable[[], str]:
    """Return the token or what reads it; it never comes as an argument, which others can see."""
    from latchgate.verify.upstream import token_in

    if file is not None:
        if not file.is_file():
            raise Failed(f"--token-file {file}: there is no such file", code=2)
        return token_in(file)
    # Taken out, so that no child of this process has it.
    told = os.environ.pop(TOKEN, "").strip()
    if not told:
        raise Failed(f"give the key to follow with in --token-file, or in {TOKEN}", code=2)
    return told


def _announce(follows: Upstream, at: Address, *, as_json: bool) -> None:
    """Show where it answers, and whom it follows."""
    if as_json:
        print_json({"verify": at.url, "upstream": str(follows.origin)})
    else:
        print_fields(
            [("verify", f"{at.url}  (for gateways only)"), ("upstream", str(follows.origin))]
        )
        click.echo("The edge is up; Ctrl-C stops it.")
    sys.stdout.flush()
