"""`latchgate token`: a live token of a profile, for scripts."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import rich_click as click

from latchgate.cli.calling import found, opened, opener, profile_argument, told
from latchgate.cli.output import json_option, print_json

if TYPE_CHECKING:  # loaded when the verb runs
    from latchgate.client.flow import Step

_STATIC = ("key", "token")  # what clouds call a secret that goes into requests as it is


@click.command()
@profile_argument
@click.option(
    "--lasting",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Fetch another where it ends sooner. Keys of WAYSCloud, UpCloud and Latchgate are printed"
    " as they are: they don't say when they end.",
)
@json_option
def token(*, name: str, lasting: float, as_json: bool) -> None:
    """Print a token that is alive, and nothing else: for scripts that make their own requests.

    KakaoCloud: the project token; OAuth2: the access token, both fetched when need be and kept for
    the next call; WAYSCloud, UpCloud, Latchgate: the key or token itself.
    """
    from latchgate.client.errors import CredentialInvalid

    with told():
        profile = found(name)
        credential = profile.credential()
        cloud = opened(profile, found=credential)
        ends_at: float | None = None
        if cloud.renewal is not None:
            text, ends_at = opener(cloud, profile).run(_live(lasting))
        else:
            fields = credential.fields
            kept = next((fields[one] for one in _STATIC if one in fields), None)
            if kept is None:
                msg = f"{cloud.name} takes a name and a password, there is no token: latchgate env"
                raise CredentialInvalid(msg)
            text = kept.reveal()
    if as_json:
        print_json({"token": text, "ends_at": int(ends_at) if ends_at is not None else None})
        return
    click.echo(text)


def _live(lasting: float) -> Generator[Step, Any, tuple[str, float]]:
    from latchgate.client.flow import Obtain

    kept = yield Obtain(lasting=lasting)
    return kept.value.reveal(), kept.ends_at
