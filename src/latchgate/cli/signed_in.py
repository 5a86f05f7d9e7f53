"""Who signed in with `latchgate login`: by a code in a browser, kept fresh, and ended.

Rule of this file: tokens go to the issuer that gave them and to nobody else, in the body of a
request; none of them is printed. Sources: RFC 8628, RFC 8414, RFC 6749 §6, RFC 7009.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from latchgate.cli.management_profile import (
    Profile,
    authorities,
    checked,
    find_profile,
    profile_file,
    read_profile,
    write_profile,
)
from latchgate.cli.output import Failed

CLIENT = "latchgate-cli"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
UNKNOWN_AUTHORITY = (
    "\n  if the certificate is from an authority of your own, name its PEM file in LATCHGATE_CA"
    " or as ca in the profile"
)
_METADATA = "/.well-known/oauth-authorization-server"
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_OURS = ("own:", "manage:")  # what a person may do for themselves and for their tenant
_SECONDS = 30.0
_EARLY = 30.0  # seconds before its end that a token is renewed
_SLOWER = 5.0  # RFC 8628 §3.5
_LONGEST = 60.0
_T = TypeVar("_T")


class Metadata(msgspec.Struct, frozen=True):
    """Where an issuer answers, as it says itself (RFC 8414 §2, RFC 9728 §4)."""

    issuer: str
    token_endpoint: str
    device_authorization_endpoint: str
    revocation_endpoint: str
    scopes_supported: list[str] = []
    protected_resources: list[str] = []


class Begun(msgspec.Struct, frozen=True):
    """What a device authorization began with (RFC 8628 §3.2); times are seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: float
    interval: float = 5.0

    def __repr__(self) -> str:
        return "Begun()"


class Tokens(msgspec.Struct, frozen=True):
    """What a sign-in gave (RFC 6749 §5.1); `expires_in` is seconds."""

    access_token: str
    expires_in: float
    refresh_token: str
    scope: str = ""

    def __repr__(self) -> str:
        return "Tokens()"


class _Refused(msgspec.Struct, frozen=True):
    error: str
    error_description: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose metadata was read; `ca` is whose certificates count, as in a profile."""

    metadata: Metadata
    ca: str | None

    @classmethod
    def at(cls, url: str, ca: str | None) -> Issuer:
        """Read an issuer's metadata; what is no issuer there ends the program."""
        url = url.rstrip("/")
        status, body = _sent("GET", url + _METADATA, ca)
        try:
            if status != 200:  # noqa: PLR2004 - RFC 8414 §3.2
                raise msgspec.ValidationError
            told = msgspec.json.decode(body, type=Metadata)
        except msgspec.DecodeError:
            raise Failed(f"{url} is not the console of a Latchgate: it has no {_METADATA}")
        if not _same(url, told.issuer):
            raise Failed(f"{url} says that it is {told.issuer}: give that as --url")
        return cls(told, ca)

    def begin(self, scopes: list[str]) -> Begun:
        """Begin a device authorization."""
        told = {"client_id": CLIENT, "scope": " ".join(scopes)}
        answer = self._asked(self.metadata.device_authorization_endpoint, told, Begun)
        if isinstance(answer, _Refused):
            raise self._failed(answer)
        return answer

    def wait(self, begun: Begun, *, sleep: Callable[[float], None] = time.sleep) -> Tokens:
        """Wait for a person's answer, no faster than the issuer lets."""
        told = {"grant_type": DEVICE, "device_code": begun.device_code, "client_id": CLIENT}
        interval, ends_at = begun.interval, time.monotonic() + begun.expires_in
        while time.monotonic() < ends_at:
            sleep(interval)
            try:
                status, body = _reached("POST", self.metadata.token_endpoint, self.ca, told)
            except httpx2.HTTPError:
                # RFC 8628 §3.5: whoever can't be reached is asked ever more seldom.
                interval = min(interval * 2.0, _LONGEST)
                continue
            answer = self._told(status, body, Tokens)
            if isinstance(answer, Tokens):
                return answer
            if answer.error == "slow_down":
                interval += _SLOWER
            elif answer.error != "authorization_pending":
                raise self._failed(answer)
        raise Failed("nobody answered in time; run latchgate login again")

    def refresh(self, token: str) -> Tokens:
        """Get the next tokens; a sign-in that has ended ends the program."""
        told = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT}
        answer = self._asked(self.metadata.token_endpoint, told, Tokens)
        if isinstance(answer, Tokens):
            return answer
        if answer.error == "invalid_grant":
            raise Failed("the sign-in has ended or was withdrawn; run latchgate login again")
        raise self._failed(answer)

    def revoke(self, token: str) -> None:
        """End a sign-in, with every token of it."""
        endpoint = self.metadata.revocation_endpoint
        status, body = _sent("POST", endpoint, self.ca, {"token": token, "client_id": CLIENT})
        if status != 200:  # noqa: PLR2004 - RFC 7009 §2.2
            raise self._failed(self._read(status, body, _Refused))

    def _asked(self, url: str, told: dict[str, str], shape: type[_T]) -> _T | _Refused:
        status, body = _sent("POST", url, self.ca, told)
        return self._told(status, body, shape)

    def _told(self, status: int, body: bytes, shape: type[_T]) -> _T | _Refused:
        if status == 200:  # noqa: PLR2004 - RFC 6749 §5
            return self._read(status, body, shape)
        return self._read(status, body, _Refused)

    def _read(self, status: int, body: bytes, shape: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=shape)
        except msgspec.DecodeError:
            raise Failed(f"{self.metadata.issuer} answered {status} with something unknown")

    def _failed(self, refused: _Refused) -> Failed:
        words = refused.error_description or "refused"
        return Failed(f"{self.metadata.issuer}: {words} ({refused.error})")


def sign_in(
    url: str | None,
    *,
    api: str | None,
    provider: str | None,
    replace: bool,
    told: Callable[[Begun, str], None],
) -> tuple[Path, Profile]:
    """Sign somebody in, and write the profile; `told` shows them the code and the address."""
    if os.environ.get("LATCHGATE_TOKEN"):
        raise Failed("LATCHGATE_TOKEN goes before every profile: unset it first", code=2)
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
    issuer = Issuer.at(url, ca)
    own = api or _api_of(issuer.metadata)
    checked(Profile(url=own, token="none"), "--api")  # noqa: S106 - before anybody is asked
    names = [one for one in issuer.metadata.scopes_supported if one.startswith(_OURS)]
    begun = issuer.begin(["openid", "offline_access", *names])
    link = begun.verification_uri_complete
    told(begun, f"{link}&provider={provider}" if provider is not None else link)
    made = issuer.wait(begun)
    profile = _holding(Profile(url=own, token="none", ca=ca), issuer.metadata.issuer, made)  # noqa: S106
    write_profile(path, profile)
    return path, profile


def refreshed() -> Profile:
    """Return the profile with a token that is good for a while."""
    profile = find_profile()
    if profile.refresh_token is None or profile.issuer is None:
        return profile
    if profile.expires_at is not None and time.time() < profile.expires_at - _EARLY:
        return profile
    made = Issuer.at(profile.issuer, profile.ca).refresh(profile.refresh_token)
    path = profile_file()
    write_profile(path, _holding(read_profile(path), profile.issuer, made))
    return _holding(profile, profile.issuer, made)


def sign_out() -> Path:
    """End the sign-in of the profile, and forget its tokens once nobody takes them any more."""
    path, profile = profile_file(), find_profile()
    if profile.refresh_token is None or profile.issuer is None:
        raise Failed(f"{path}: nobody signed in with latchgate login here")
    Issuer.at(profile.issuer, profile.ca).revoke(profile.refresh_token)
    path.unlink(missing_ok=True)
    return path


def _holding(profile: Profile, issuer: str, made: Tokens) -> Profile:
    return msgspec.structs.replace(
        profile,
        token=made.access_token,
        issuer=issuer,
        refresh_token=made.refresh_token,
        expires_at=float(int(time.time() + made.expires_in)),
    )


def _api_of(metadata: Metadata) -> str:
    """Return the API's address as the issuer tells it, where that can be so."""
    told = metadata.protected_resources
    here = urlsplit(metadata.issuer).hostname in _LOOPBACK
    if not told or (urlsplit(told[0]).hostname in _LOOPBACK and not here):
        raise Failed(f"{metadata.issuer} does not say where the API is: give --api URL", code=2)
    return told[0]


def _same(url: str, issuer: str) -> bool:
    """Whether an address is an issuer's: letter by letter, but for the names of this machine."""
    if url == issuer:
        return True
    one, other = urlsplit(url), urlsplit(issuer)
    here = one.hostname in _LOOPBACK and other.hostname in _LOOPBACK
    return here and (one.scheme, one.port, one.path) == (other.scheme, other.port, other.path)


def _sent(
    method: str, url: str, ca: str | None, told: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Ask an issuer; returns status and body. One that can't be reached ends the program."""
    try:
        return _reached(method, url, ca, told)
    except httpx2.HTTPError as error:
        hint = UNKNOWN_AUTHORITY if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        raise Failed(f"{url} can't be reached: {error}{hint}")


def _reached(
    method: str, url: str, ca: str | None, told: dict[str, str] | None
) -> tuple[int, bytes]:
    where = checked(Profile(url=url, token="none", ca=ca), url)  # noqa: S106 - no token of anybody's
    answer = httpx2.request(
        method, url, data=told, timeout=_SECONDS, trust_env=False, verify=authorities(where)
    )
    return answer.status_code, answer.content
