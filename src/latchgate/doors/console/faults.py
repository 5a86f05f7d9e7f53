"""What is wrong with a form, in the reader's words where there are some.

Rule of this file: it words what the rules refused and judges nothing itself.
"""

from __future__ import annotations

import re

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.languages import N_
from latchgate.doors.console.reading import by_field
from latchgate.manage.errors import InvalidError
from latchgate.store.errors import ConflictError

# What the shapes of forms say (msgspec), and what somebody at a form would be told.
_WORDED = (
    (re.compile(r"Expected `str` of length >= 1"), N_("Fill this in.")),
    (re.compile(r"Expected `str` of length <= (\d+)"), N_("Use at most %(number)s characters.")),
    (re.compile(r"Expected `array` of length <= (\d+)"), N_("Name at most %(number)s.")),
    (re.compile(r"Object missing required field `(\w+)`"), N_("Fill this in.")),
    (re.compile(r"Expected `int` >= (\d+)"), N_("Use a whole number of at least %(number)s.")),
    (re.compile(r"Expected `int` <= (\d+)"), N_("Use a whole number of at most %(number)s.")),
)


def told(browser: Browser, error: InvalidError, **patterns: str) -> dict[str, list[str]]:
    """Return what is wrong by field; `patterns` say how a field is written that has a pattern."""
    found: dict[str, list[str]] = {}
    for field, problems in by_field(error).items():
        for problem in problems:
            missing = re.match(r"Object missing required field `(\w+)`", problem)
            name = missing[1] if missing else field
            found.setdefault(name, []).append(_worded(browser, problem, patterns.get(name, "")))
    return found


def taken(error: ConflictError | InvalidError, field: str) -> dict[str, list[str]]:
    """Return what somebody else has already as what is wrong with the field that asked for it."""
    return {field: [f"{error}"]}


def _worded(browser: Browser, problem: str, pattern: str) -> str:
    for known, words in _WORDED:
        found = known.match(problem)
        if found:
            return browser.words(words, number=(found.groups() or ("",))[0])
    if pattern and problem.startswith("Expected `str` matching regex"):
        return browser.words(pattern)
    return problem
