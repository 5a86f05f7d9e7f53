"""The management profile: where the command line finds Latchgate, and what it signs its calls with.

Rule of this file: a profile holds tokens, so nobody but its owner reads it, and it is written whole
or not at all. Named profiles, for calls to clouds, are `latchgate.client.profiles`.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from latchgate.cli.output import Failed

PROFILES = (Path(".latchgate/profile.toml"), Path("~/.config/latchgate/profile.toml"))
_VISIBLE = re.compile(r"[!-~]+")


class Profile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the management API is, the token to use there, and whose certificates count.

    `ca` is a PEM file of the only authorities that `url`'s certificate may come from; without it
    those of the system. A relative path starts at the profile's folder. `latchgate login` also
    notes at which `issuer` it signed in, with which `refresh_token`, and when the token ends (Unix
    seconds).
    """

    url: str
    token: str
    ca: str | None = None
    issuer: str | None = None
    refresh_token: str | None = None
    expires_at: float | None = None


def find_profile(*, public: bool = False) -> Profile:
    """Read `LATCHGATE_URL` and `LATCHGATE_TOKEN`, or the first profile file there is.

    What is public needs the address alone. The file is the one that `LATCHGATE_PROFILE` names, the
    one beside `LATCHGATE_CONFIG`, or the first of `PROFILES`. `LATCHGATE_CA` goes before its `ca`.
    `LATCHGATE_PROFILE` may also be the name of one of the profiles for callers.
    """
    url, token = os.environ.get("LATCHGATE_URL"), os.environ.get("LATCHGATE_TOKEN")
    ca = os.environ.get("LATCHGATE_CA")
    if url and public:
        return checked(Profile(url=url, token=token or "none", ca=ca), "LATCHGATE_URL")
    if url and token:
        return checked(Profile(url=url, token=token, ca=ca), "LATCHGATE_URL")
    if url or token:
        raise Failed(
            "set both LATCHGATE_URL and LATCHGATE_TOKEN, or neither and use a profile", code=2
        )
    named = named_profile()
    if named is not None:
        found = _of_callers(named)
        return found if ca is None else msgspec.structs.replace(found, ca=ca)
    path = profile_file()
    if path.exists():
        found = read_profile(path)
        return found if ca is None else msgspec.structs.replace(found, ca=ca)
    looked = _named() or " and ".join(str(path) for path in PROFILES)
    raise Failed(
        f"no profile at {looked}; run latchgate login or latchgate init, name one in"
        " LATCHGATE_PROFILE, or set LATCHGATE_URL and LATCHGATE_TOKEN",
        code=2,
    )


def profile_file() -> Path:
    """Return the file that the profile is in, or would be in the home where there is none."""
    named = _named()
    if named is not None:
        return Path(named)
    places = [path.expanduser() for path in PROFILES]
    return next((path for path in places if path.exists()), places[-1])


def named_profile() -> str | None:
    """Return what `LATCHGATE_PROFILE` says where that is a name of one of callers' profiles.

    A file of that name goes before it, as it did when there were files alone.
    """
    from latchgate.client.errors import ClientError
    from latchgate.client.profiles_file import NAME, read

    named = os.environ.get("LATCHGATE_PROFILE")
    if named is None or not NAME.fullmatch(named) or Path(named).exists():
        return None
    try:
        return named if named in read() else None
    except ClientError as error:
        raise Failed(f"LATCHGATE_PROFILE: {error}", code=2)


def _of_callers(name: str) -> Profile:
    from latchgate.client.errors import ClientError
    from latchgate.client.profiles import find

    try:
        kept = find(name)
        found = kept.credential()
        cloud = kept.open(found=found)
    except ClientError as error:
        raise Failed(f"LATCHGATE_PROFILE: {error}", code=2)
    if kept.cloud != "latchgate":
        raise Failed(
            f"LATCHGATE_PROFILE: profile {name} is one of {kept.cloud}, and Latchgate is managed"
            " with one of the cloud latchgate",
            code=2,
        )
    return checked(
        Profile(url=cloud.url, token=found.fields["token"].reveal(), ca=kept.ca), f"profile {name}"
    )


def _named() -> str | None:
    named, config = os.environ.get("LATCHGATE_PROFILE"), os.environ.get("LATCHGATE_CONFIG")
    if named is None and config is not None:
        return str(Path(config).with_name("profile.toml"))
    return named


def write_profile(path: Path, profile: Profile) -> None:
    """Put a profile in a file's place, of mode 0600; the old one stays where that fails."""
    told = msgspec.structs.asdict(profile)
    lines = [f"{name} = {_spelled(value)}\n" for name, value in told.items() if value is not None]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=".profile-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("".join(lines))
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}; nothing was changed")


def _spelled(value: str | float) -> str:
    """Return a value of TOML: a JSON text is one, and so is a number."""
    return msgspec.json.encode(value).decode()


def read_profile(path: Path) -> Profile:
    """Read a profile; a file that others can read, or that is none, ends the program."""
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Failed(f"{path} can be read by others; run: chmod 600 {path}", code=2)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        profile = checked(msgspec.convert(told, Profile), str(path))
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise Failed(f"{path}: {error}", code=2)
    if profile.ca is None:
        return profile
    return msgspec.structs.replace(profile, ca=str(path.absolute().parent / profile.ca))


def authorities(profile: Profile) -> ssl.SSLContext | bool:
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


def checked(profile: Profile, where: str) -> Profile:
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
