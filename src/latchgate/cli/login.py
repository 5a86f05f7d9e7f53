"""`latchgate login` and `latchgate logout`: signing in by a browser, wherever that is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich_click as click

from latchgate.cli.output import json_option, print_fields, print_json

if TYPE_CHECKING:  # what asks over the network is loaded when it does
    from latchgate.client.authorization_answers import DeviceCode


@click.command()
@click.option("--url", metavar="URL", help="Where people sign in: the console's address.")
@click.option("--api", metavar="URL", help="The API's address, where the console does not tell it.")
@click.option("--provider", metavar="NAME", help="Sign in through this identity provider.")
@click.option("--replace", is_flag=True, help="Put the sign-in in the place of a profile's token.")
@json_option
def login(
    *, url: str | None, api: str | None, provider: str | None, replace: bool, as_json: bool
) -> None:
    """Sign in with a browser, on this machine or another, and keep the profile for other verbs.

    Shows an address and a code; open the address and allow it there. Nothing is opened by itself.
    """
    from latchgate.cli.signed_in import sign_in
    from latchgate.core.timestamp import rfc3339

    def told(begun: DeviceCode, link: str) -> None:
        if as_json:
            shown = {"user_code": begun.user_code, "verification_uri": begun.verification_uri}
            shown |= {"verification_uri_complete": link}
            print_json(shown | {"expires_in": int(begun.expires_in)})
        else:
            click.echo(f"Open {link}", err=True)
            words = f"or {begun.verification_uri} and type {begun.user_code}"
            click.echo(f"  {words}; it lasts {int(begun.expires_in // 60)} minutes.", err=True)
        sys.stdout.flush()

    path, profile = sign_in(url, api=api, provider=provider, replace=replace, told=told)
    done = {"profile": str(path), "issuer": profile.issuer, "url": profile.url}
    done["expires_at"] = rfc3339(profile.expires_at) if profile.expires_at is not None else None
    if as_json:
        print_json(done)
        return
    print_fields(done.items())


@click.command()
@json_option
def logout(*, as_json: bool) -> None:
    """End the sign-in of the profile, with all of its tokens, and remove the profile."""
    from latchgate.cli.signed_in import sign_out

    removed = str(sign_out())
    if as_json:
        print_json({"removed": removed})
        return
    print_fields([("removed", removed)])
