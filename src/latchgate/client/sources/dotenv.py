"""`.env`: what sh, python-dotenv, Docker Compose and Node read alike, and no more.

    # a comment
    WAYSCLOUD_API_KEY=wayscloud_storage_abc123_secret
    export UPCLOUD_TOKEN="ucat_…"      # a comment after a space
    UPCLOUD_PASSWORD='lit$eral'

Rule of this file: nothing is expanded, and what those would read differently is refused by its
line, never guessed and never shown. Without quotes no `#` and nothing that means something to sh;
in double quotes neither `$` nor a backquote, in single quotes no `${`; nowhere a backslash; no
value over several lines; no spaces around `=`. The last of a name counts. Lines of other programs'
variables may be whatever those read, and lines may end as on Windows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from latchgate.client.errors import SourceUnreadable
from latchgate.client.sources.private_file import NotRead, expanded, private_file, working_folder
from latchgate.client.sources.source import Found, Lacking, Wanted

_NAMED = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>.*)")
_AFTER = r" *(?:(?<= )#.*)?"  # nothing, or a comment after a space
_WORD = r"[^\s'\"\\$`;&|<>()*?\[\]{}~#]"
_BARE = re.compile(rf"(?:(?P<value>{_WORD}+){_AFTER})?")
_SINGLE = re.compile(rf"'(?P<value>(?:[^'\\$]|\$(?!\{{))*)'{_AFTER}")
_DOUBLE = re.compile(rf"\"(?P<value>[^\"\\$`]*)\"{_AFTER}")


class DotEnv:
    """A `.env`: the working directory's, or the one at `path`."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Look at `path`, or at `.env` in the folder that is the working directory then."""
        self._path = None if path is None else expanded(path)

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return what the file sets.

        Raises: SourceUnreadable, which names the line; CredentialInvalid where two are set that
        exclude each other.
        """
        given = self._path is not None
        folder = working_folder()
        path = self._path if self._path is not None else folder and folder / ".env"
        if path is None:
            return Lacking(".env", "there is no working directory")
        where = str(path)
        try:
            file = private_file(path, given=given)
        except NotRead as error:
            return Lacking(where, str(error), unreadable=True)
        if file is None:
            return Lacking(where, "no such file", unreadable=given)
        names = wanted.variables
        told = read(file.text, frozenset(names.values()), where)
        values = {field: told.get(name, "") for field, name in names.items()}
        found = file.warned(wanted.found(values, where, names))
        if isinstance(found, Lacking):
            return found
        return Found(found.fields, f"{where} " + ", ".join(names[one] for one in found.fields))

    def __repr__(self) -> str:
        return f"DotEnv({str(self._path)!r})" if self._path is not None else "DotEnv()"


def read(text: str, names: Collection[str], where: str) -> dict[str, str]:
    """Return the values of `names` in a `.env`.

    Raises SourceUnreadable for a line of one of them that can be read in several ways.
    """
    values: dict[str, str] = {}
    inside: tuple[str, int] | None = None  # a value of another program's that goes over lines
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")  # noqa: PLW2901 - the same line
        if inside is not None:
            inside = None if _closes(line, inside[0]) else inside
            continue
        named = _NAMED.fullmatch(line)
        if named is None:
            continue  # a comment, an empty line, or nothing that sets a variable
        if named["name"] not in names:
            inside = _left_open(named["rest"], number)
            continue
        value = _value(named["rest"])
        if value is None:
            raise _ambiguous(where, number, named["name"])
        values[named["name"]] = value
    if inside is not None and any(name in text for name in names):
        msg = f"{where}, line {inside[1]}: a quote is opened that nothing closes"
        raise SourceUnreadable(msg)
    return values


def _value(rest: str) -> str | None:
    if not rest.startswith("="):
        return None
    told = rest[1:]
    if any(ord(char) < 0x20 and char != "\t" for char in told):  # noqa: PLR2004 - controls
        return None
    whole = _SINGLE.fullmatch(told) or _DOUBLE.fullmatch(told) or _BARE.fullmatch(told)
    return whole["value"] or "" if whole is not None else None


def _left_open(rest: str, number: int) -> tuple[str, int] | None:
    """Return the quote that a line of another program's opens without closing it."""
    told = rest.lstrip(" \t").removeprefix("=").lstrip(" \t")
    quote = told[:1]
    if quote not in {"'", '"'} or _closes(told[1:], quote):
        return None
    return quote, number


def _closes(text: str, quote: str) -> bool:
    return quote in (re.sub(r"\\.", "", text) if quote == '"' else text)


def _ambiguous(where: str, number: int, name: str) -> SourceUnreadable:
    msg = (
        f"{where}, line {number}: {name} can be read in several ways; "
        f"write {name}='value', on one line, without a space before the value or a backslash in it"
    )
    return SourceUnreadable(msg)
