"""Secrets of profiles on their way in: asked for or read, and kept where only their owner looks.

Rule of this file: a secret is never shown, and never an argument of any program.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

import rich_click as click

from latchgate.cli.output import warn
from latchgate.client.errors import ClientError, CredentialInvalid, SourceUnreadable
from latchgate.client.profiles import From, lacking, of
from latchgate.client.profiles_file import Entry
from latchgate.client.sources.answer import answered
from latchgate.client.sources.keyring import forget, keep
from latchgate.client.sources.source import Found, Wanted

_LONGEST = 64 * 1024  # bytes


def asked(name: str, entry: Entry) -> Entry:
    """Ask for what the credential lacks: secrets without echo, what it may go without as well."""
    profile = of(name, entry)
    public, rest = profile.kind.public, lacking(profile.wanted, profile.fields)
    answers: dict[str, str] = {}
    for field in (*rest.sets[0], *rest.optional):
        if field == "url" or field in profile.fields:
            continue
        title = field.replace("_", " ").capitalize()
        optional = field in rest.optional
        answers[field] = click.prompt(
            f"{title} (Enter for none)" if optional else title,
            hide_input=field not in public,
            default="" if optional else None,
            show_default=False,
            err=True,
        )
    return _filled(name, entry, {one: value for one, value in answers.items() if value})


def read(name: str, entry: Entry) -> Entry:
    """Read what the credential lacks from standard input: one line, or a JSON object by field."""
    profile = of(name, entry)
    raw = sys.stdin.buffer.read(_LONGEST + 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        msg = "standard input is no text in UTF-8"
        raise CredentialInvalid(msg) from None
    wanted = replace(profile.wanted, optional=_without_address(profile.wanted))
    try:
        found = answered(text, wanted, where="standard input", known=profile.fields)
    except SourceUnreadable as error:
        raise CredentialInvalid(str(error)) from None
    if not isinstance(found, Found):
        raise CredentialInvalid(str(found))
    return _filled(name, entry, {one: value.reveal() for one, value in found.fields.items()})


def kept(name: str, entry: Entry, store: str | None) -> Entry:
    """Put the secrets into the keyring, and return the entry without them, or leave them in it."""
    if store == "file" or not entry.secrets:
        return entry
    try:
        keep(own_entry(name), entry.cloud, entry.secrets)
    except ClientError as error:
        if store == "keyring":
            msg = f"{error}; --store file keeps the secret in the profiles' file"
            raise SourceUnreadable(msg) from None
        warn(f"the secret is kept in the profiles' file ({error})")
        return entry
    return replace(entry, source=From.KEYRING.value, entry=own_entry(name), secrets={})


def own_entry(name: str) -> str:
    """Return the keyring's user that a profile's own secret is kept for, which no other is."""
    return f"profile/{name}"


def forgotten(name: str, entry: Entry) -> None:
    """Take a profile's own secret out of the keyring; what others put there stays."""
    if entry.source == From.KEYRING and entry.entry == own_entry(name):
        try:
            forget(entry.entry)
        except ClientError as error:
            warn(f"its secret is still in the keyring, as latchgate, {entry.entry}: {error}")


def _without_address(wanted: Wanted) -> tuple[str, ...]:
    return tuple(one for one in wanted.optional if one != "url")


def _filled(name: str, entry: Entry, answers: Mapping[str, str]) -> Entry:
    public = of(name, entry).kind.public
    fields = {**entry.fields, **{one: answers[one] for one in answers if one in public}}
    secrets = {one: value for one, value in answers.items() if one not in public}
    return replace(entry, fields=fields, secrets=secrets)
