"""Named profiles: which cloud, where, and where its credential comes from.

Rule of this file: a profile names one source and no other is looked at. What it holds itself and
what its source has may make one credential together, since whoever wrote the profile says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latchgate.client.errors import CredentialInvalid, CredentialMissing
from latchgate.client.profile_kinds import CLOUDS, GRANTS, OAUTH2, Kind
from latchgate.client.profiles_file import Entry, names_of, read
from latchgate.client.secret import Secret
from latchgate.client.sources.client_file import ClientFile
from latchgate.client.sources.command import Command
from latchgate.client.sources.dotenv import DotEnv
from latchgate.client.sources.environment import Environment
from latchgate.client.sources.inline import Inline
from latchgate.client.sources.keyring import Keyring
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Found, Lacking, Wanted
from latchgate.client.token_cache import USER_CACHE, TokenCache

if TYPE_CHECKING:  # each is loaded when a profile is one of its cloud
    from latchgate.client.clouds.oauth2 import DeviceCode
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
class Profile:
    """One named profile; `fields` are what of its credential is no secret.

    `file` and `entry` say which `.env` or file, and which entry of it or of the keyring; `ca` is a
    PEM file of the only authorities that the server's certificate may come from; `place` is what
    the credential's source is called, where the profile is in no file of profiles.
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
    place: str | None = None

    @property
    def kind(self) -> Kind:
        """What its cloud takes."""
        return CLOUDS[self.cloud]

    @property
    def wanted(self) -> Wanted:
        """What makes its credential."""
        return self.kind.wanted(self.settings)

    @property
    def rotates(self) -> bool:
        """Whether its tokens come by refresh tokens, of which the newest alone is good."""
        return self.settings.get("grant") in {"device", "refresh"}

    def open(
        self,
        *,
        cache: TokenCache | None = USER_CACHE,
        prompt: Callable[[DeviceCode], object] | None = None,
        found: Found | None = None,
    ) -> Cloud:
        """Return its cloud with its credential; `cache` is where fetched tokens are kept.

        `prompt` shows somebody a device code, where the profile is of that grant; `found` is what
        `credential` gave, for who asked it already.
        Raises: CredentialMissing, CredentialInvalid, SourceUnreadable, InsecureTransport.
        """
        kind = self.kind
        found = self.credential() if found is None else found
        given: dict[str, Any] = {
            name: value for name, value in self.settings.items() if name in kind.settings
        }
        if kind.fetched:
            given["cache"] = cache
        if self.cloud != OAUTH2:
            sources = (_Had(found),)
            return kind.made(url=self.url, origins=self.origins, sources=sources, **given)
        # Its url is the server that gives tokens; a profile's the API that they are for.
        fields = {name: value.reveal() for name, value in found.fields.items()}
        api = (self.url,) if self.url is not None else ()
        cloud = kind.made(origins=(*api, *self.origins), prompt=prompt, **fields, **given)
        cloud.source = found.where
        return cloud

    def credential(self) -> Found:
        """Return the fields of its credential, the secret ones too.

        Raises: CredentialMissing, CredentialInvalid, SourceUnreadable.
        """
        return search(self.wanted, (_Of(self),))

    def address(self, cloud: Cloud) -> str:
        """Return where its paths begin; raises CredentialInvalid where there is no such place."""
        if self.cloud != OAUTH2:
            return cloud.url
        if self.url is None:
            msg = f"profile {self.name} has no address: give a whole URL, or the profile a url"
            raise CredentialInvalid(msg)
        return self.url


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
        raise _invalid(name, f"no cloud {entry.cloud!r}; there are {', '.join(CLOUDS)}")
    if entry.source not in {one.value for one in From}:
        raise _invalid(name, f"from is one of {', '.join(From)}")
    if entry.source == From.COMMAND and not entry.command:
        raise _invalid(name, "from = command, and no command")
    if entry.settings.get("grant", GRANTS[0]) not in GRANTS:
        raise _invalid(name, f"grant is one of {', '.join(GRANTS)}")
    for told, known in (
        (entry.fields, kind.public),
        (entry.settings, (*kind.settings, *kind.shown)),
    ):
        strange = sorted(set(told) - set(known))
        if strange:
            some = f"of these it has {', '.join(known)}" if known else "it has none of these"
            raise _invalid(name, f"{entry.cloud} has no {', '.join(strange)}; {some}")
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


class _Had:
    """A credential that was found already, so that no command runs twice."""

    def __init__(self, found: Found) -> None:
        self._found = found

    def look(self, _wanted: Wanted) -> Found:
        return self._found


class _Of:
    """A profile as the source of its credential."""

    def __init__(self, told: Profile) -> None:
        self._profile = told

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return what the profile and the source that it names have together."""
        told = self._profile
        place = told.place or f"profile {told.name}"
        found = self._found(wanted)
        if isinstance(found, Lacking):
            where = place if told.source is From.HERE else f"{place}, {found.where}"
            return found._replace(where=where)
        fields = {name: Secret(value) for name, value in told.fields.items()}
        where = place if told.source is From.HERE else f"{place}, {found.where}"
        return Found({**found.fields, **fields}, where)

    def __repr__(self) -> str:
        return f"profile {self._profile.name}"

    def _found(self, wanted: Wanted) -> Found | Lacking:
        told = self._profile
        rest = lacking(wanted, told.fields)
        match told.source:
            case From.HERE:
                return Inline({**told.fields, **told.secrets}).look(wanted)
            case From.KEYRING:
                return Keyring(told.entry, known=told.fields).look(wanted)
            case From.COMMAND:
                return Command(told.command, known=told.fields).look(wanted)
            case From.ENVIRONMENT:
                return Environment().look(rest)
            case From.DOTENV:
                return DotEnv(told.file).look(rest)
            case From.FILE:
                return ClientFile(told.file, entry=told.entry).look(rest)


def _invalid(name: str, why: str) -> CredentialInvalid:
    return CredentialInvalid(f"profile {name}: {why}")
