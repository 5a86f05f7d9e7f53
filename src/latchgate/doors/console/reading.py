"""What a form asks to make or change: its fields as the shape that the rules take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from latchgate.doors.console.browser import Browser
from latchgate.manage.errors import InvalidError
from latchgate.manage.records import ANY, IfMatch

T = TypeVar("T")
_MAX_DIGITS = 18  # fits 64 bits


class Own(str):
    """What a page itself says of a field, in the reader's language; the rules speak English."""

    __slots__ = ()
    own = True


def read_spec(shape: type[T], told: Mapping[str, object]) -> T:
    """Turn fields into a shape, without those that are None; InvalidError names a wrong one."""
    given = {name: value for name, value in told.items() if value is not None}
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise InvalidError([(path.rstrip("`") or "form", message)]) from error


def by_field(error: InvalidError) -> dict[str, list[str]]:
    """Return what is wrong by field, for a page to show each beside its own."""
    found: dict[str, list[str]] = {}
    for field, problem in error.faults:
        found.setdefault(field.partition("[")[0].partition(".")[0], []).append(problem)
    return found


def or_none(text: str | None) -> str | None:
    """Return a field that was filled in, without the blanks around it; None for an empty one."""
    return (text or "").strip() or None


def lines(text: str | None) -> list[str] | None:
    """Return what stands on the lines of a field, or between commas; None where nothing does."""
    found = [part.strip() for part in (text or "").replace(",", "\n").splitlines()]
    return [part for part in found if part] or None


def read_version(browser: Browser) -> IfMatch:
    """Return the version that a form was filled in for: any where it has no such field.

    What is no version is that of no record.
    """
    told = browser.form.get("version")
    if told is None:
        return ANY
    usable = told.isascii() and told.isdecimal() and len(told) <= _MAX_DIGITS
    return IfMatch(frozenset({int(told)} if usable else ()))


def read_whole(name: str, text: str | None) -> int | None:
    """Read a whole number, None for an empty field; InvalidError names it."""
    told = or_none(text)
    if told is None:
        return None
    if not told.isascii() or not told.isdecimal() or len(told) > _MAX_DIGITS:
        raise InvalidError([(name, "must be a whole number, in digits alone")])
    return int(told)
