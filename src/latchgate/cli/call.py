"""`latchgate call`: one request to a cloud, with a profile's credential."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from latchgate.cli.calling import found, opened, opener, profile_argument, told
from latchgate.cli.output import Failed, json_option

if TYPE_CHECKING:  # loaded when the verb runs
    from latchgate.client.adapters.urllib import Opener
    from latchgate.client.flow import Cloud
    from latchgate.client.profiles import Profile

_FILES = ("/dav/", "/backup/", "/v2/dav/")


@click.command()
@profile_argument
@click.argument("method", metavar="METHOD")
@click.argument("path", metavar="PATH")
@click.option(
    "-d",
    "--data",
    metavar="DATA|@FILE|@-",
    help="The body: a text, a file, or standard input. JSON is sent as JSON unless -H says else.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="One more header. Repeatable. The credential's own are the profile's affair.",
)
@click.option("-i", "--include", is_flag=True, help="Print status and headers before the body.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the body into a file, whole or not at all.",
)
@json_option
def call(
    *,
    name: str,
    method: str,
    path: str,
    data: str | None,
    headers: tuple[str, ...],
    include: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Send a request with a profile's credential, and print the answer's body.

    PATH is relative to the profile's address (for TeraCLOUD's /dav/ and /backup/ to the user's
    own node), or a URL of one of the cloud's own hosts: a credential goes to no other, and along
    no redirect to another. A refusal exits with 1 and says what the cloud said. --json prints one
    JSON value with status, headers and body.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request

    from latchgate.cli.answer import show, show_json
    from latchgate.cli.asking import address, asked, private
    from latchgate.client.adapters.urllib import check
    from latchgate.client.errors import Unreachable

    if as_json and (include or output is not None):
        msg = "--json goes without -i and -o"
        raise click.UsageError(msg)
    told_request = asked(method, headers, data)
    with told():
        profile = found(name)
        cloud = opened(profile)
        sender = opener(cloud, profile)
        url = address(path, _base(path, profile, cloud, sender))
        request = Request(url, told_request.body, method=told_request.method)  # noqa: S310 - hosts are checked on the way
        for header, value in told_request.headers.items():
            # A redirect may lead elsewhere; what may be a secret of its own stays here.
            add = request.add_unredirected_header if private(header) else request.add_header
            add(header, value)
        try:
            answer = sender.open(request)
        except HTTPError as error:
            with error:
                check(cloud, error)
                to = error.headers.get("Location")
                raise Failed(
                    f"it answered {error.status}" + (f", to {to}; not followed" if to else "")
                )
        except (URLError, OSError, HTTPException) as error:
            msg = f"{url.partition('?')[0]} can't be reached: {getattr(error, 'reason', error)}"
            raise Unreachable(msg) from None
    with answer:
        if as_json:
            show_json(answer)
        else:
            output = None if output == Path("-") else output
            show(answer, include=include, output=output)


def _base(path: str, profile: Profile, cloud: Cloud, sender: Opener) -> str:
    """Return where a path is: files of TeraCLOUD are on the user's own node."""
    if profile.cloud == "teracloud" and path.startswith(_FILES):
        from latchgate.client.clouds.teracloud import TeraCloud

        if isinstance(cloud, TeraCloud):
            return sender.run(cloud.account()).at("/").rstrip("/")
    return profile.address(cloud)
