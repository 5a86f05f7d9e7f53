"""The management API as the command line calls it: a profile, one call, clear errors."""

from __future__ import annotations

import os
import re
import ssl
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from latchgate.cli.output import Failed

PROFILES = (Path(".latchgate/profile.toml"), Path("~/.config/latchgate/profile.toml"))
_SECONDS = 30.0
_UNKNOWN_AUTHORITY = (
    "\n  if the certificate is from an authority of your own, name its PEM file in LATCHGATE_CA"
    " or as ca in the profile"
)
_VISIBLE = re.compile(r"[!-~]+")


class Profile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the management API is, the token to use there, and whose certificates count.

    `ca` is a PEM file of the only authorities that `url`'s certificate may come from; without it
    those of the system. A relative path starts at the profile's folder.
    """

    url: str
    token: str
    ca: str | None = None


def find_profile(*, public: bool = False) -> Profile:
    """Read `LATCHGATE_URL` and `LATCHGATE_TOKEN`, or the first profile file there is.

    What is public needs the address alone. The file is the one that `LATCHGATE_PROFILE` names, the
    one beside `LATCHGATE_CONFIG`, or the first of `PROFILES`. `LATCHGATE_CA` goes before its `ca`.
    """
    url, token = os.environ.get("LATCHGATE_URL"), os.environ.get("LATCHGATE_TOKEN")
    ca = os.environ.get("LATCHGATE_CA")
    if url and public:
        return _checked(Profile(url=url, token=token or "none", ca=ca), "LATCHGATE_URL")
    if url and token:
        return _checked(Profile(url=url, token=token, ca=ca), "LATCHGATE_URL")
    if url or token:
        raise Failed(
            "set both LATCHGATE_URL and LATCHGATE_TOKEN, or neither and use a profile", code=2
        )
    named = os.environ.get("LATCHGATE_PROFILE")
    config = os.environ.get("LATCHGATE_CONFIG")
    if named is None and config is not None:
        named = str(Path(config).with_name("profile.toml"))
    for path in [Path(named)] if named else [one.expanduser() for one in PROFILES]:
        if path.exists():
            found = _read(path)
            return found if ca is None else msgspec.structs.replace(found, ca=ca)
    looked = named or " and ".join(str(path) for path in PROFILES)
    raise Failed(
        f"no profile at {looked}; run latchgate init, name one in LATCHGATE_PROFILE,"
        " or set LATCHGATE_URL and LATCHGATE_TOKEN",
        code=2,
    )


def _read(path: Path) -> Profile:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Failed(f"{path} can be read by others; run: chmod 600 {path}", code=2)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        profile = _checked(msgspec.convert(told, Profile), str(path))
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise Failed(f"{path}: {error}", code=2)
    if profile.ca is None:
        return profile
    return msgspec.structs.replace(profile, ca=str(path.absolute().parent / profile.ca))


def _authorities(profile: Profile) -> ssl.SSLContext | bool:
    """Return whom to believe that `url` is who it says; there is no way to ask nobody."""
    if profile.ca is None or not profile.url.startswith("https:"):
        return True
    try:
        # An empty text is no file; the library would take it for "the system's".
        return ssl.create_default_context(cafile=Path(profile.ca))
    except ssl.SSLError:
        raise Failed(
            f"{profile.ca} (LATCHGATE_CA, or ca in the profile): no PEM certificate", code=2
        )
    except OSError as error:
        reason = error.strerror
        raise Failed(f"{profile.ca} (LATCHGATE_CA, or ca in the profile): {reason}", code=2)


def _checked(profile: Profile, where: str) -> Profile:
    """Refuse to send a token in the clear to another machine."""
    wrong = f"{where}: {profile.url!r} is not a URL such as http://127.0.0.1:8420"
    try:
        parts = urlsplit(profile.url)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        raise Failed(wrong, code=2) from None
    if not known or not _VISIBLE.fullmatch(profile.url):
        raise Failed(wrong, code=2)
    if not _VISIBLE.fullmatch(profile.token):
        raise Failed(f"{where}: the token holds a character that no token has", code=2)
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        raise Failed(f"{where}: a token goes to another machine over https only", code=2)
    return profile


def call(
    method: str,
    path: str,
    *members: str,
    headers: Mapping[str, str] | None = None,
    public: bool = False,
    **sent: Any,
) -> Any:
    """Call the management API and return its JSON; a refusal ends the program with its words.

    `members` are those that the verb will use: an answer without them is not Latchgate's. What is
    `public` is called without a token.
    """
    profile = find_profile(public=public)
    bearer = {} if public else {"Authorization": f"Bearer {profile.token}"}
    headers = {**(headers or {}), **bearer}
    try:
        answer = httpx2.request(
            method,
            profile.url.rstrip("/") + path,
            headers=headers,
            timeout=_SECONDS,
            trust_env=False,
            verify=_authorities(profile),
            **sent,
        )
    except UnicodeEncodeError:
        raise Failed("what was given holds bytes that are no UTF-8 text", code=2) from None
    except httpx2.HTTPError as error:
        hint = _UNKNOWN_AUTHORITY if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        raise Failed(f"{profile.url} can't be reached: {error}{hint}")
    return _read_answer(profile, answer, members)


def stream(path: str) -> Iterator[bytes]:
    """Get something long from the management API, as it comes; a refusal ends the program."""
    profile = find_profile()
    headers = {"Authorization": f"Bearer {profile.token}"}
    url = profile.url.rstrip("/") + path
    try:
        with httpx2.stream(
            "GET",
            url,
            headers=headers,
            timeout=_SECONDS,
            trust_env=False,
            verify=_authorities(profile),
        ) as answer:
            if not answer.is_success:
                answer.read()
                _read_answer(profile, answer, ())
            yield from answer.iter_bytes()
    except httpx2.HTTPError as error:
        raise Failed(f"{profile.url} could not be read to the end: {error}")


def _read_answer(profile: Profile, answer: httpx2.Response, members: tuple[str, ...]) -> Any:
    try:
        told = answer.json()
    except ValueError:
        raise Failed(f"{profile.url} answered {answer.status_code} with something other than JSON")
    if not answer.is_success:
        refused = answer.headers.get("X-Latchgate-Decision")
        raise Failed(_worded(answer.status_code, told, refused))
    if not isinstance(told, dict) or any(member not in told for member in members):
        raise Failed(f"{profile.url} answered {answer.status_code} with something unknown")
    return told


class _Fault(msgspec.Struct):
    field: str
    detail: str


class _Problem(msgspec.Struct):
    detail: str
    code: str
    errors: list[_Fault] = []


def _worded(status: int, told: Any, decision: str | None) -> str:
    try:
        problem = msgspec.convert(told, _Problem)
    except msgspec.ValidationError:
        return f"refused with status {status}"
    lines = [f"{problem.detail} ({status} {problem.code})"]
    lines += [f"  {fault.field}: {fault.detail}" for fault in problem.errors]
    if decision:
        lines.append(f"  latchgate explain --id {decision} says more")
    return "\n".join(lines)
