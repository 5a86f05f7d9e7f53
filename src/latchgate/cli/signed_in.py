"""Who signed in with `latchgate login`: by a code in a browser, kept fresh, and ended.

Rule of this file: tokens go to the issuer that gave them and to nobody else, in the body of a
request; none of them is printed. The protocol is `client/clouds/oauth2.py`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from latchgate.cli.management_profile import (
    Profile,
    authorities,
    checked,
    find_profile,
    named_profile,
    profile_file,
    read_profile,
    write_profile,
)
from latchgate.cli.output import Failed
from latchgate.client.authorization_answers import DeviceCode
from latchgate.client.clouds.oauth2 import OAuth2
from latchgate.client.errors import ClientError, SignInEnded, Unreachable
from latchgate.client.flow import Issued
from latchgate.client.hosts import LOOPBACK
from latchgate.client.issuer import Endpoints, discover
from latchgate.client.message import Request, Response
from latchgate.client.shell import carry_out

CLIENT = "latchgate-cli"
UNKNOWN_AUTHORITY = (
    "\n  if the certificate is from an authority of your own, name its PEM file in LATCHGATE_CA"
    " or as ca in the profile"
)
_OURS = ("own:", "manage:")  # what a person may do for themselves and for their tenant
_SECONDS = 30.0
_EARLY = 30.0  # seconds before its end that a token is renewed
_T = TypeVar("_T")


def sign_in(
    url: str | None,
    *,
    api: str | None,
    provider: str | None,
    replace: bool,
    told: Callable[[DeviceCode, str], None],
) -> tuple[Path, Profile]:
    """Sign somebody in, and write the profile; `told` shows them the code and the address."""
    if os.environ.get("LATCHGATE_TOKEN"):
        raise Failed("LATCHGATE_TOKEN goes before every profile: unset it first", code=2)
    named = named_profile()
    if named is not None:
        msg = (
            f"LATCHGATE_PROFILE={named} names a profile of latchgate profile, not a file of login's"
        )
        raise Failed(f"{msg}; unset it, or name a file", code=2)
    path = profile_file()
    before = read_profile(path) if path.exists() else None
    if before is not None and before.refresh_token is None and not replace:
        msg = f"{path} holds a token that latchgate login did not make; name another file in"
        raise Failed(f"{msg} LATCHGATE_PROFILE, or put the sign-in in its place: --replace", code=2)
    url = url or (before.issuer if before is not None else None)
    if url is None:
        raise Failed("say where people sign in, such as --url https://login.example.com", code=2)
    ca = os.environ.get("LATCHGATE_CA") or (before.ca if before is not None else None)
    ca = str(Path(ca).absolute()) if ca is not None else None
    url = checked(Profile(url=url.rstrip("/"), token="none"), "--url").url  # noqa: S106 - no token of anybody's
    at = _found(url, ca)
    own = api or _api_of(at, url)
    checked(Profile(url=own, token="none"), "--api")  # noqa: S106 - before anybody is asked
    names = [one for one in at.scopes if one.startswith(_OURS)]

    def shown(code: DeviceCode) -> None:
        told(code, f"{code.link}&provider={provider}" if provider is not None else code.link)

    scope = ["openid", "offline_access", *names]
    cloud = _client(url, grant="device", scope=scope, prompt=shown)
    made = _carried_out(cloud, cloud.exchange(None), ca)
    profile = _holding(Profile(url=own, token="none", ca=ca), at.issuer or url, made)  # noqa: S106
    write_profile(path, profile)
    return path, profile


def refreshed() -> Profile:
    """Return the profile with a token that is good for a while."""
    profile = find_profile()
    if profile.refresh_token is None or profile.issuer is None:
        return profile
    if profile.expires_at is not None and time.time() < profile.expires_at - _EARLY:
        return profile
    cloud = _signed_in(profile.issuer, profile.refresh_token)
    made = _carried_out(cloud, cloud.exchange(None), profile.ca)
    path = profile_file()
    write_profile(path, _holding(read_profile(path), profile.issuer, made))
    return _holding(profile, profile.issuer, made)


def sign_out() -> Path:
    """End the sign-in of the profile, and forget its tokens once nobody takes them any more."""
    path, profile = profile_file(), find_profile()
    if profile.refresh_token is None or profile.issuer is None:
        raise Failed(f"{path}: nobody signed in with latchgate login here")
    cloud = _signed_in(profile.issuer, profile.refresh_token)
    _carried_out(cloud, cloud.revoke(profile.refresh_token), profile.ca)
    path.unlink(missing_ok=True)
    return path


def _signed_in(issuer: str, refresh_token: str) -> OAuth2:
    return _client(issuer, grant="refresh", refresh_token=refresh_token)


def _client(issuer: str, **told: Any) -> OAuth2:
    """Return what speaks to an issuer; an address that is none ends the program."""
    try:
        return OAuth2(CLIENT, issuer=issuer, cache=None, **told)
    except ClientError as error:
        raise Failed(str(error), code=2)


def _holding(profile: Profile, issuer: str, made: Issued) -> Profile:
    return msgspec.structs.replace(
        profile,
        token=made.value,
        issuer=issuer,
        refresh_token=made.refresh or profile.refresh_token,
        expires_at=float(int(time.time() + made.lasts)),
    )


def _found(url: str, ca: str | None) -> Endpoints:
    """Read an issuer's metadata; what is no issuer there ends the program."""
    cloud = _client(url, grant="device")
    try:
        return carry_out(cloud, discover(url), ask=_asking(ca))
    except ClientError as error:
        raise Failed(f"{error}\n  --url is the address of the console; the API is not the console")


def _api_of(at: Endpoints, url: str) -> str:
    """Return the API's address as the issuer tells it, where that can be so."""
    here = urlsplit(at.issuer or url).hostname in LOOPBACK
    if not at.resources or (urlsplit(at.resources[0]).hostname in LOOPBACK and not here):
        raise Failed(f"{url} does not say where the API is: give --api URL", code=2)
    return at.resources[0]


def _carried_out(cloud: OAuth2, flow: Generator[Any, Any, _T], ca: str | None) -> _T:
    """Carry a flow out; what goes wrong ends the program."""
    try:
        return carry_out(cloud, flow, ask=_asking(ca))
    except SignInEnded as error:
        silent = error.code == "expired_token"
        why = "nobody answered in time" if silent else "the sign-in has ended or was withdrawn"
        raise Failed(f"{why}; run latchgate login again")
    except ClientError as error:
        raise Failed(str(error))


def _asking(ca: str | None) -> Callable[[Request], Response]:
    """Return what asks an issuer; `ca` is whose certificates count, as in a profile."""

    def ask(request: Request) -> Response:
        where = checked(Profile(url=request.url, token="none", ca=ca), request.url)  # noqa: S106
        try:
            answer = httpx2.request(
                request.method,
                request.url,
                headers=request.headers,
                content=request.body,
                timeout=_SECONDS,
                trust_env=False,
                verify=authorities(where),
            )
        except httpx2.HTTPError as error:
            hint = UNKNOWN_AUTHORITY if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
            msg = f"{request.url} can't be reached: {error}{hint}"
            raise Unreachable(msg) from error
        return Response.of(answer.status_code, answer.headers.multi_items(), answer.content)

    return ask
