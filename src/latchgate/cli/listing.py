"""What every `list` verb takes: paging, search, sorting and filters, as the routes take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import rich_click as click

from latchgate.cli.output import print_json, print_table

_OPTIONS = (
    click.option(
        "--limit",
        type=click.IntRange(1, 1000),
        default=100,
        show_default=True,
        help="How many at most.",
    ),
    click.option("--after", metavar="NEXT", help="Go on after a page: the `next` it ended with."),
    click.option("--search", metavar="TEXT", help="Only those in which this text stands."),
    click.option("--sort", metavar="FIELDS", help="For example name or -created_at."),
    click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="NAME=VALUE",
        help="Only those of which this is so. Repeatable.",
    ),
)


def listing_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of a list; it takes them as `**asked`."""
    for option in reversed(_OPTIONS):
        verb = option(verb)
    return verb


def show_list(
    path: str,
    members: str,
    columns: Sequence[str],
    *,
    again: str,
    as_json: bool,
    **asked: Any,
) -> None:
    """Ask for a page and print it; `again` is the verb that would ask for the next."""
    from latchgate.cli.api import call

    query: dict[str, str | int] = {"limit": asked["limit"]}
    named = {"after": asked["after"], "q": asked["search"], "sort": asked["sort"]}
    query |= {name: value for name, value in named.items() if value is not None}
    query |= pairs(asked["filters"], "--filter")
    page = call("GET", path, members, "next", params=query)
    if as_json:
        print_json(page)
        return
    print_table(columns, page[members])
    if page["next"] is not None:
        click.echo(f"There are more: {again} --after {page['next']}", err=True)


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Read NAME=VALUE texts of an option."""
    read: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"{text!r} is not NAME=VALUE"
            raise click.BadParameter(msg, param_hint=option)
        read[name] = value
    return read


def segment(text: str) -> str:
    """Quote an id for a path."""
    from urllib.parse import quote

    return quote(text, safe="")


def if_match(version: int | None) -> dict[str, str]:
    """Return the header that makes a change conditional."""
    return {} if version is None else {"If-Match": f'"{version}"'}


version_option = click.option(
    "--if-version",
    type=int,
    metavar="N",
    help="Only if the record is at this version still.",
)
once_option = click.option(
    "--idempotency-key",
    metavar="TEXT",
    help="Send it twice and one is made; the repeat shows it without its secret.",
)


def once(key: str | None) -> dict[str, str]:
    """Return the header that makes a creation safe to repeat."""
    return {} if key is None else {"Idempotency-Key": key}
