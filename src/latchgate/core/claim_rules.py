"""Which of an issuer's statements are taken: rules on their claims.

Rule of this file: a claim that is not there, or is of another type, fits no rule; a pattern stands
in `sub` alone, and its `*` never reaches over a `:` or a `/`, so that a repository whose name holds
another's, or a branch named like a path, is not taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

MAX_RULES = 32
MAX_VALUES = 64
SUBJECT = "sub"
# Said by fields of their own, or judged by the clock.
_ELSEWHERE = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})
_NAME = re.compile(r"[!-~]{1,128}")
_SEGMENT = re.compile(r"([:/])")
_LITERAL = 2  # segments of a pattern, at its start
# Issuers that everybody can get statements of: by which claims one tells whose they are.
_SHARED: Mapping[str, frozenset[str]] = {
    "https://token.actions.githubusercontent.com": frozenset(
        {
            *("sub", "repository", "repository_id", "repository_owner", "repository_owner_id"),
            *("job_workflow_ref", "enterprise_id"),
        }
    ),
    "https://gitlab.com": frozenset(
        {"sub", "project_path", "project_id", "namespace_path", "namespace_id"}
    ),
}
Value = Annotated[str, msgspec.Meta(max_length=512)] | bool | int
Rules = dict[
    Annotated[str, msgspec.Meta(min_length=1, max_length=128)],
    Value | Annotated[list[Value], msgspec.Meta(min_length=1, max_length=MAX_VALUES)],
]


def rules_fault(issuer: str, rules: Mapping[str, Value | list[Value]]) -> str | None:
    """Say why rules can't be taken: they let anybody of the issuer in, or can't be read."""
    if not rules:
        return "name one claim at least: without, everything that this issuer signs is let in"
    if len(rules) > MAX_RULES:
        return f"holds more than {MAX_RULES} claims"
    for name, told in rules.items():
        if name in _ELSEWHERE or not _NAME.fullmatch(name):
            return f"{name[:64]!r} can't be a rule: it is judged apart, or is no claim's name"
        for value in listed(told):
            fault = _pattern_fault(name, value)
            if fault is not None:
                return f"{name}: {fault}"
    telling = _SHARED.get(issuer)
    if telling is not None and not telling & set(rules):
        return f"everybody can sign in there, so name one of {', '.join(sorted(telling))}"
    return None


def misfit(rules: Mapping[str, Value | list[Value]], claims: Mapping[str, object]) -> str | None:
    """Return the first claim, by name, that its rule does not take; None where all fit."""
    return next((name for name in sorted(rules) if not _fits(name, rules[name], claims)), None)


def listed(told: Value | list[Value]) -> list[Value]:
    """Return the values that a rule takes."""
    return told if isinstance(told, list) else [told]


def _fits(name: str, told: Value | list[Value], claims: Mapping[str, object]) -> bool:
    found = claims.get(name)
    return any(_takes(name, value, found) for value in listed(told))


def _takes(name: str, value: Value, found: object) -> bool:
    if type(found) is not type(value):
        return False  # True is 1 to Python, and not to whoever signed it
    if name == SUBJECT and isinstance(value, str) and "*" in value:
        return _pattern(value).fullmatch(str(found)) is not None
    return found == value


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern; one `*` a segment, so that matching takes time by the length alone."""
    return re.compile("[^:/]+".join(re.escape(part) for part in text.split("*")))


def _pattern_fault(name: str, value: Value) -> str | None:
    if not isinstance(value, str) or "*" not in value:
        return None
    if name != SUBJECT:
        return "takes exact values, without *; patterns are for sub"
    segments = _SEGMENT.split(value)[::2]
    if any("*" in one for one in segments[:_LITERAL]):
        return f"the first {_LITERAL} parts between : and / are exact: whose it is must be said"
    if any(one.count("*") > 1 for one in segments):
        return "takes one * between : or / and the next"
    return None
