"""What the verbs for callers share: a profile by its name, and errors in words.

Rule of this file and of the verbs that use it: nothing of the server is loaded, nor what only calls
of the management API need.
"""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from latchgate.cli.output import Failed, warn

if TYPE_CHECKING:  # loaded when a verb runs
    from latchgate.client.adapters.urllib import Opener
    from latchgate.client.clouds.oauth2 import DeviceCode
    from latchgate.client.errors import Refused
    from latchgate.client.flow import Cloud
    from latchgate.client.profiles import Profile
    from latchgate.client.sources.source import Found

MANAGEMENT = "latchgate"
profile_argument = click.argument("name", metavar="PROFILE")


@contextmanager
def told() -> Iterator[None]:
    """End the program with an error of the client's in words, and show its warnings."""
    from latchgate.client.errors import ClientError, Refused, Unreachable

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = _shown
        try:
            yield
        except Refused as error:
            raise Failed(_refusal(error))
        except Unreachable as error:
            raise Failed(str(error))
        except ClientError as error:
            raise Failed(str(error), code=2)


def found(name: str) -> Profile:
    """Return a profile by its name; `latchgate` is the one that the management verbs use."""
    from latchgate.client.profiles import find

    return managing() if name == MANAGEMENT else find(name)


def managing() -> Profile:
    """Return the management profile as one for callers; one that a sign-in made is renewed."""
    from latchgate.cli.management_profile import find_profile, named_profile, profile_file
    from latchgate.client.profiles import Profile
    from latchgate.client.secret import Secret

    kept = find_profile()
    if kept.refresh_token is not None:
        from latchgate.cli.signed_in import refreshed

        kept = refreshed()
    given = os.environ.get("LATCHGATE_TOKEN")
    named = named_profile()
    where = "LATCHGATE_TOKEN" if given else f"profile {named}" if named else str(profile_file())
    return Profile(
        MANAGEMENT,
        "latchgate",
        url=kept.url,
        ca=kept.ca,
        place=where,
        secrets={"token": Secret(kept.token)},
    )


def opened(profile: Profile, *, keeping: bool = True, found: Found | None = None) -> Cloud:
    """Return a profile's cloud; where a person has to allow it, they are shown the code.

    Tokens are those that are kept, and are kept, unless `keeping` is false; `found` is the
    credential where it was looked for already.
    """
    from latchgate.client.token_cache import USER_CACHE

    return profile.open(cache=USER_CACHE if keeping else None, prompt=_asked, found=found)


def _asked(code: DeviceCode) -> None:
    warn(f"open {code.link}")
    if code.link != code.verification_uri:
        warn(f"or {code.verification_uri} and type {code.user_code}")
    else:
        warn(f"and type {code.user_code}")
    warn(f"it lasts {code.expires_in / 60:.0f} minutes")


def opener(cloud: Cloud, profile: Profile) -> Opener:
    """Return what sends requests with a cloud's credential, by the certificates of its profile."""
    from latchgate.client.adapters.urllib import Opener

    return Opener(cloud, tls=authorities(profile))


def authorities(profile: Profile) -> ssl.SSLContext | None:
    """Return whose certificates count, None for the system's."""
    if profile.ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=Path(profile.ca))
    except ssl.SSLError:
        raise Failed(f"profile {profile.name}: {profile.ca} holds no PEM certificate", code=2)
    except OSError as error:
        raise Failed(f"profile {profile.name}: {profile.ca}: {error.strerror}", code=2)


def _refusal(error: Refused) -> str:
    lines = [f"{type(error).__name__}: {error}"]
    if error.decision is not None:
        lines.append(f"  latchgate explain --id {error.decision} says more")
    return "\n".join(lines)


def _shown(message: Warning | str, *_: object, **__: object) -> None:
    warn(str(message))
