"""What is wrong with a policy file, told by file, line and key.

Rule of this file: words of our own; of what parser and validator say, the place is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from latchgate.core.toml_lines import line_of


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One thing wrong with a policy file; `key` is its dotted path, `line` counts from 1."""

    file: str
    line: int
    key: str
    problem: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.problem}" if self.key else f"{where}: {self.problem}"


class PolicyError(Exception):
    """The policy files do not make a policy; `faults` says all that is wrong."""

    def __init__(self, faults: list[PolicyFault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


def not_one_of(word: str, known: Iterable[str]) -> str:
    """Say what would be right in the place of a word."""
    names = ", ".join(sorted(known)) or "none is declared"
    return f"{word!r} is not one of: {names}"


def syntax_fault(file: str, text: str, error: Exception) -> PolicyFault:
    """Return what is wrong with text that is no TOML."""
    where = re.search(r"line (\d+)", str(error))
    ends = "end of document" in str(error)
    line = int(where[1]) if where else text.rstrip("\n").count("\n") + 1 if ends else 1
    return PolicyFault(file, line, "", f"not TOML: {error}")


def validation_fault(file: str, text: str, message: str) -> PolicyFault:
    """Return what is wrong with a value, on the line that it stands on."""
    key, problem = keyed(message, "")
    return PolicyFault(file, line_of(text, key), key, problem)


def keyed(message: str, below: str) -> tuple[str, str]:
    """Return the dotted key, starting at `below`, and our words for the library's message."""
    plain, _, where = message.partition(" - at `")
    path = re.search(r"\$\.?([^`]*)`", where)
    unknown = re.search(r"unknown field `([^`]+)`", plain)
    parts = [below, path[1] if path else "", unknown[1] if unknown else ""]
    key = ".".join(part for part in parts if part)
    if unknown:
        return key, f"unknown key {unknown[1]!r}"
    return key, plain
