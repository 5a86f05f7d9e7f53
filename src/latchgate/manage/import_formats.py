"""Files of other systems, read into import lines: JSON lines, CSV, htpasswd, Keystone's records.

Rule of this file: lines are counted as an editor counts them, one that can't be read is told and
the rest is read on, and no message repeats what a line holds.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from latchgate.manage.import_lines import ImportLine, LineError, made_line, read_line

MAX_LINE = 65_536  # characters
Numbered = tuple[int, ImportLine | str]
_LISTS = frozenset({"services", "scopes", "roles", "networks"})
_JSON = frozenset({"metadata", "access_rules"})
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_NAIVE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
# What the lines of a format are, where neither they nor the import say.
KINDS: Mapping[str, str] = {"htpasswd": "account_password", "keystone": "access_key"}


class FormatError(ValueError):
    """The file as a whole can't be read."""


def jsonl(texts: Iterable[str], columns: Mapping[str, str]) -> Iterator[Numbered]:
    """Read one JSON object a line; `columns` renames its members to ours."""
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        if len(text) > MAX_LINE:
            yield number, f"is longer than {MAX_LINE} characters"
            continue
        yield number, _read(lambda text=text: _json_line(text, columns))  # type: ignore[misc]


def _json_line(text: str, columns: Mapping[str, str]) -> ImportLine:
    if not columns:
        return read_line(text)
    return made_line(_renamed(_object(text), columns))


def csv_lines(texts: Iterable[str], columns: Mapping[str, str]) -> Iterator[Numbered]:
    """Read CSV with a first line of names; FormatError when that is missing or names one twice.

    An empty value is none. Lists are divided by spaces or `;`, `metadata` and `access_rules` are
    JSON.
    """
    rows = csv.reader(texts, strict=True)
    try:
        names = [columns.get(name.strip(), name.strip()) for name in next(rows, [])]
    except csv.Error as error:
        raise FormatError(f"the first line is not CSV: {error}") from None
    if len(set(names)) < len(names) or not names:
        raise FormatError("the first line must name each column once")
    unknown = sorted(set(names) - set(ImportLine.__struct_fields__) - {""})
    if unknown:
        known = ", ".join(ImportLine.__struct_fields__)
        told = ", ".join(name[:32] for name in unknown)
        raise FormatError(f"no such field: {told}; map columns with --map, fields are {known}")
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"is not CSV: {error}"
            continue
        if row:
            yield number, _read(lambda row=row: _csv_line(names, row))  # type: ignore[misc]


def _csv_line(names: list[str], row: list[str]) -> ImportLine:
    if len(row) != len(names):
        raise LineError(f"has {len(row)} values; the first line names {len(names)}")
    told: dict[str, Any] = {}
    for name, text in zip(names, row, strict=True):
        if name and text:
            told[name] = _value(name, text)
    return made_line(told)


def _value(name: str, text: str) -> object:
    if name in _LISTS:
        return re.split(r"[ ;]+", text.strip(" ;"))
    if name == "unrestricted":
        if text.lower() not in _TRUTHS:
            raise LineError("unrestricted: must be true or false")
        return _TRUTHS[text.lower()]
    if name in _JSON:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise LineError(f"{name}: is not JSON") from None
    return text


def htpasswd(texts: Iterable[str], _columns: Mapping[str, str]) -> Iterator[Numbered]:
    """Read `LOGIN:HASH`, as Apache and nginx keep passwords; what follows another colon is dropped.

    Its owner is the user of the login's name, unless said for all lines.
    """
    for number, text in enumerate(texts, 1):
        line = text.rstrip("\r\n")
        if not line.strip() or line.startswith("#"):
            continue
        login, colon, rest = line.partition(":")
        hashed = rest.partition(":")[0].strip()
        if not colon or not hashed:
            yield number, "is not written LOGIN:HASH"
            continue
        told = {"login": login, "hash": hashed}
        yield number, _read(lambda told=told: made_line(told))  # type: ignore[misc]


def keystone(texts: Iterable[str], columns: Mapping[str, str]) -> Iterator[Numbered]:
    """Read Keystone's application credentials, a JSON object a line, as its database holds them.

    `secret_hash` is beside what its API shows: id, name, user_id, project_id, roles, access_rules,
    expires_at, unrestricted, description.
    """
    for number, text in enumerate(texts, 1):
        if text.strip():
            yield number, _read(lambda text=text: _keystone_line(text, columns))  # type: ignore[misc]


def _keystone_line(text: str, columns: Mapping[str, str]) -> ImportLine:
    told = _renamed(_object(text), columns)
    inner = told.get("application_credential")
    if isinstance(inner, dict):
        told = inner
    named = {"secret_hash": "hash", "user_id": "owner", "project_id": "project"}
    kept = {named.get(name, name): value for name, value in told.items()}
    for noise in ("links", "system", "internal_id", "user", "project_name", "secret"):
        kept.pop(noise, None)
    roles = kept.get("roles")
    if isinstance(roles, list):
        kept["roles"] = [_named(role) for role in roles]
    rules = kept.get("access_rules")
    if isinstance(rules, list):
        wanted = ("service", "method", "path")
        kept["access_rules"] = [
            {name: rule[name] for name in wanted if name in rule}
            for rule in rules
            if isinstance(rule, dict)
        ]
    ends = kept.get("expires_at")
    if isinstance(ends, str) and _NAIVE.fullmatch(ends):
        kept["expires_at"] = f"{ends}Z"  # Keystone's times are UTC and don't say so
    if kept.get("description") is None:
        kept.pop("description", None)
    return made_line(kept)


def _named(role: object) -> object:
    """Return what a role is found by: its name here, for ids are the other system's."""
    return role.get("name") or role.get("id") if isinstance(role, dict) else role


def _renamed(told: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    return {columns.get(name, name): value for name, value in told.items()}


def _object(text: str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise LineError("is not a JSON object")
    return told


def _read(make: Callable[[], ImportLine]) -> ImportLine | str:
    try:
        return make()
    except LineError as error:
        return str(error)


FORMATS: Mapping[str, Callable[[Iterable[str], Mapping[str, str]], Iterator[Numbered]]] = {
    "jsonl": jsonl,
    "csv": csv_lines,
    "htpasswd": htpasswd,
    "keystone": keystone,
}
