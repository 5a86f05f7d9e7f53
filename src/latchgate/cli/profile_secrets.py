"""Secrets of profiles on their way in: asked for or read, and kept where only their owner looks.

Rule of this file: a secret is never shown, and never an argument of any program.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace

import rich_click as click

from latchgate.cli.output import warn
from latchgate.client.errors import CredentialInvalid
from latchgate.client.profiles import From, lacking, of
from latchgate.client.profiles_file import Entry

_LONGEST = 64 * 1024  # bytes


def asked(name: str, entry: Entry) -> Entry:
    """Ask for what the credential lacks: secrets without echo."""
    public = of(name, entry).kind.public
    answers = {
        field: click.prompt(
            field.replace("_", " ").capitalize(), hide_input=field not in public, err=True
        )
        for field in _lacking(name, entry)
    }
    return _filled(name, entry, answers)


def read(name: str, entry: Entry) -> Entry:
    """Read what the credential lacks from standard input: one line, or a JSON object by field."""
    wanted = _lacking(name, entry)
    raw = sys.stdin.buffer.read(_LONGEST + 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.strip() or len(raw) > _LONGEST:
        msg = f"standard input holds no {' and '.join(wanted)}, as text"
        raise CredentialInvalid(msg)
    told = _object(text)
    if told is not None:
        return _filled(name, entry, told)
    lines = text.removesuffix("\n").removesuffix("\r")
    if len(wanted) != 1 or "\n" in lines:
        msg = f"standard input is to hold a JSON object of {', '.join(wanted)}"
        raise CredentialInvalid(msg)
    return _filled(name, entry, {wanted[0]: lines})


def kept(name: str, entry: Entry, store: str | None) -> Entry:
    """Put the secrets into the keyring, and return the entry without them, or leave them in it."""
    if store == "file" or not entry.secrets:
        return entry
    why = _put_into_keyring(name, dict(entry.secrets))
    if why is None:
        return replace(entry, source=From.KEYRING.value, entry=name, secrets={})
    if store == "keyring":
        msg = f"the secret can't be kept in the keyring: {why}; --store file keeps it in a file"
        raise CredentialInvalid(msg)
    warn(f"the secret is kept in the profiles' file: {why}")
    return entry


def forgotten(name: str, entry: Entry) -> None:
    """Take a profile's own secret out of the keyring."""
    if entry.source != From.KEYRING or entry.entry != name:
        return


def _put_into_keyring(name: str, secrets: Mapping[str, str]) -> str | None:
    return "there is no keyring here"


def _lacking(name: str, entry: Entry) -> tuple[str, ...]:
    profile = of(name, entry)
    return lacking(profile.kind.wanted, profile.fields).sets[0]


def _object(text: str) -> Mapping[str, str] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not all(isinstance(one, str) for one in told.values()):
        msg = "the JSON object on standard input is to hold texts by field"
        raise CredentialInvalid(msg)
    return told


def _filled(name: str, entry: Entry, answers: Mapping[str, str]) -> Entry:
    kind = of(name, entry).kind
    fields = {**entry.fields}
    secrets: dict[str, str] = {}
    known = {one for some in kind.wanted.sets for one in some} | set(kind.wanted.optional)
    for field, value in answers.items():
        if field not in known or field == "url":
            msg = f"{entry.cloud} has no field {field!r}; there are {', '.join(sorted(known))}"
            raise CredentialInvalid(msg)
        (fields if field in kind.public else secrets)[field] = value
    return replace(entry, fields=fields, secrets=secrets)
