"""Named profiles: which cloud, where, and where its credential comes from.

Rule of this file: a profile names one source and no other is looked at. What it holds itself and
what its source has may make one credential together, since whoever wrote the profile says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latchgate.client.errors import CredentialInvalid, CredentialMissing
from latchgate.client.profiles_file import Entry, names_of, read
from latchgate.client.secret import Secret
from latchgate.client.sources.environment import Environment
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Found, Lacking, Source, Wanted
from latchgate.client.token_cache import USER_CACHE, TokenCache

if TYPE_CHECKING:  # each is loaded when a profile is one of its cloud
    from latchgate.client.flow import Cloud


class From(StrEnum):
    """Where a profile's credential comes from."""

    HERE = "here"
    KEYRING = "keyring"
    ENVIRONMENT = "environment"
    DOTENV = "dotenv"
    FILE = "file"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Kind:
    """What profiles of a cloud may hold.

    `public` are the fields of its credential that are no secret, `settings` further arguments of
    its class, `shown` what only `latchgate env` uses; `fetched` says that its tokens are kept.
    """

    module: str
    type: str
    public: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    fetched: bool = False

    @property
    def wanted(self) -> Wanted:
        """What makes a credential there."""
        found: Wanted = self._module().WANTED
        return found

    def made(self, **arguments: Any) -> Cloud:
        """Make the cloud."""
        cloud: Cloud = getattr(self._module(), self.type)(**arguments)
        return cloud

    def _module(self) -> Any:
        return import_module(f"latchgate.client.clouds.{self.module}")


CLOUDS: Mapping[str, Kind] = {
    "wayscloud": Kind("wayscloud", "WaysCloud"),
    "upcloud": Kind("upcloud", "UpCloud", public=("username",)),
    "teracloud": Kind("teracloud", "TeraCloud", public=("user",), settings=("via",)),
    "kakaocloud": Kind(
        "kakaocloud",
        "KakaoCloud",
        public=("access_key_id", "access_key_name", "user_id"),
        shown=("region",),
        fetched=True,
    ),
    "oauth2": Kind(
        "oauth2",
        "OAuth2",
        public=("client_id",),
        settings=("issuer", "token_url", "grant", "scope", "audience", "auth"),
        fetched=True,
    ),
    "latchgate": Kind("latchgate", "Latchgate"),
}


@dataclass(frozen=True, slots=True)
class Profile:
    """One named profile; `fields` are what of its credential is no secret.

    `file` and `entry` say which `.env` or file, and which entry of it or of the keyring; `ca` is a
    PEM file of the only authorities that the server's certificate may come from.
    """

    name: str
    cloud: str
    source: From = From.HERE
    url: str | None = None
    origins: tuple[str, ...] = ()
    ca: str | None = None
    file: str | None = None
    entry: str | None = None
    command: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    place: str | None = None  # what `whoami` calls it, where it is in no file of profiles

    @property
    def kind(self) -> Kind:
        """What its cloud takes."""
        return CLOUDS[self.cloud]

    @property
    def wanted(self) -> Wanted:
        """What makes its credential."""
        return self.kind.wanted

    def address(self, cloud: Cloud) -> str:
        """Return where its paths begin."""
        return cloud.url

    def open(self, *, cache: TokenCache | None = USER_CACHE) -> Cloud:
        """Return its cloud with its credential; `cache` is where fetched tokens are kept.

        Raises: CredentialMissing, CredentialInvalid, SourceUnreadable, InsecureTransport.
        """
        kind = self.kind
        given: dict[str, Any] = {
            name: value for name, value in self.settings.items() if name in kind.settings
        }
        if kind.fetched:
            given["cache"] = cache
        return kind.made(url=self.url, origins=self.origins, sources=(_Of(self),), **given)

    def credential(self) -> Found:
        """Return the fields of its credential, the secret ones too.

        Raises: CredentialMissing, SourceUnreadable.
        """
        return search(self.wanted, (_Of(self),))


def profile(name: str, *, cache: TokenCache | None = USER_CACHE, path: Path | None = None) -> Cloud:
    """Return the cloud that a named profile is of, with its credential.

    `path` is another file than the user's own (`latchgate profile --help`).
    Raises: CredentialMissing, CredentialInvalid, SourceUnreadable, InsecureTransport.
    """
    return find(name, path).open(cache=cache)


def find(name: str, path: Path | None = None) -> Profile:
    """Return a profile by its name.

    Raises: CredentialMissing, which says which there are; SourceUnreadable, CredentialInvalid.
    """
    entries = read(path)
    if name not in entries:
        msg = f"no profile {name!r}; {names_of(entries)}"
        raise CredentialMissing(msg)
    return of(name, entries[name])


def of(name: str, entry: Entry) -> Profile:
    """Make a profile of what its table in a file says; raises CredentialInvalid."""
    kind = CLOUDS.get(entry.cloud)
    if kind is None:
        msg = f"profile {name}: no cloud {entry.cloud!r}; there are {', '.join(CLOUDS)}"
        raise CredentialInvalid(msg)
    if entry.source not in {one.value for one in From}:
        msg = f"profile {name}: from is one of {', '.join(From)}"
        raise CredentialInvalid(msg)
    for told, known in (
        (entry.fields, kind.public),
        (entry.settings, (*kind.settings, *kind.shown)),
    ):
        strange = sorted(set(told) - set(known))
        if strange:
            some = f"of these it has {', '.join(known)}" if known else "it has none of these"
            msg = f"profile {name}: {entry.cloud} has no {', '.join(strange)}; {some}"
            raise CredentialInvalid(msg)
    return Profile(
        name,
        entry.cloud,
        source=From(entry.source),
        url=entry.url,
        origins=entry.origins,
        ca=entry.ca,
        file=entry.file,
        entry=entry.entry,
        command=entry.command,
        fields=entry.fields,
        settings=entry.settings,
        secrets={name: Secret(text) for name, text in entry.secrets.items()},
    )


class _Of:
    """A profile as the source of its credential."""

    def __init__(self, told: Profile) -> None:
        self._profile = told

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return what the profile and the source that it names have together."""
        told = self._profile
        rest = lacking(wanted, told.fields)
        found = _source(told).look(rest)
        if isinstance(found, Lacking):
            return Lacking(f"profile {told.name}, {found.where}", found.why)
        fields = {name: Secret(value) for name, value in told.fields.items()}
        where = told.place or f"profile {told.name}"
        if told.source is not From.HERE:
            where = f"{where}, {found.where}"
        return Found({**found.fields, **fields}, where)


class _Here:
    """What the profile itself holds."""

    def __init__(self, secrets: Mapping[str, Secret]) -> None:
        self._secrets = secrets

    def look(self, wanted: Wanted) -> Found | Lacking:
        fields = wanted.taken({name: one.reveal() for name, one in self._secrets.items()})
        if fields is None:
            sets = " or ".join("+".join(one) for one in wanted.sets)
            return Lacking("its own secrets", f"{sets} not there")
        return Found(fields, "its own secrets")


def lacking(wanted: Wanted, fields: Mapping[str, str]) -> Wanted:
    """Return what is wanted besides `fields`; raises CredentialInvalid where they fit no set."""
    sets = tuple(
        tuple(name for name in one if name not in fields)
        for one in wanted.sets
        if set(fields) <= {*one, *wanted.optional}
    )
    if not sets:
        listed = " or ".join("+".join(one) for one in wanted.sets)
        msg = f"{wanted.cloud}: {'+'.join(sorted(fields))} make no credential; give {listed}"
        raise CredentialInvalid(msg)
    return replace(wanted, sets=sets)


def _source(told: Profile) -> Source:
    match told.source:
        case From.HERE:
            return _Here(told.secrets)
        case From.ENVIRONMENT:
            return Environment()
        case _:
            msg = f"profile {told.name}: {told.source} can't be read yet"
            raise CredentialInvalid(msg)
