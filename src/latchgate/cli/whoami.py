"""`latchgate whoami`: the own account, or who a profile's credential is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import rich_click as click

from latchgate.cli.output import json_option, print_fields, print_json

if TYPE_CHECKING:  # loaded when a profile is asked about
    from latchgate.client.flow import Identity


@click.command()
@click.argument("name", metavar="[PROFILE]", required=False)
@json_option
def whoami(*, name: str | None, as_json: bool) -> None:
    """Show who you are, with which credential, and what you may do.

    Without a profile: your own account at the Latchgate that you manage. With one: whom its cloud
    takes its credential for, where the credential was found, what it may do and when it ends, as
    far as that cloud tells.
    """
    if name is not None:
        _named(name, as_json=as_json)
        return
    from latchgate.cli.api import call

    told = call("GET", "/manage/v1/account", "user", "rights")
    if as_json:
        print_json(told)
        return
    user = told.pop("user")
    print_fields([("user_id", user["id"]), ("name", user["name"]), *told.items()])


def _named(name: str, *, as_json: bool) -> None:
    from latchgate.cli.calling import found, opened, opener, told

    with told():
        profile = found(name)
        cloud = opened(profile)
        identity = opener(cloud, profile).run(cloud.identify())
    print_identity(identity, as_json=as_json)


def print_identity(identity: Identity, *, as_json: bool, stands: str | None = None) -> None:
    """Print who a credential is; what its cloud does not tell is a dash, or null.

    `stands` is the profile of which that is said first, to people.
    """
    ends_at = identity.ends_at
    shown = {
        "cloud": identity.cloud,
        "principal": identity.principal,
        "source": identity.source,
        "rights": list(identity.rights) if identity.rights is not None else None,
        "ends_at": _time(ends_at) if ends_at is not None else None,
        "told": identity.told,
    }
    if as_json:
        print_json(shown)
        return
    before = [("profile", stands), ("stands", "yes")] if stands is not None else []
    print_fields([*before, *shown.items()])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
