"""YAML, by PyYAML's safe loader (`pip install 'latchgate[yaml]'`); JSON without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from latchgate.client.errors import SourceUnreadable
from latchgate.client.sources.private_file import NotRead, PrivateFile, private_file

# `<<` multiplies what it merges: a few lines of more aliases would be a program's whole memory.
_ALIASES = 32
# What PyYAML lets through of a number, a date or a key that is none.
_OF_VALUES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_INSTALL = "pip install 'latchgate[yaml]'"


class Told(NamedTuple):
    """What a file says: its entries whose keys are texts."""

    file: PrivateFile
    entries: dict[str, Any]


def mapping(path: Path, *, given: bool) -> Told | None:
    """Return a file's mapping; None where there is no such file.

    Raises: NotRead, also where PyYAML is missing; SourceUnreadable for what is no mapping.
    """
    file = private_file(path, given=given)
    if file is None:
        return None
    text = file.text
    told, line = _json(text) if path.suffix == ".json" else _yaml(path, text)
    if line is not None:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        place = f", line {line}" if line else ""
        msg = f"{path}{place}: is no {kind}"
        raise SourceUnreadable(msg)
    if told is not None and not isinstance(told, dict):
        msg = f"{path}: is to be a mapping, NAME: VALUE"
        raise SourceUnreadable(msg)
    return Told(file, texts(told))


def texts(told: object) -> dict[str, Any]:
    """Return a mapping's entries whose keys are texts; nothing of what is no mapping."""
    if not isinstance(told, dict):
        return {}
    return {name: value for name, value in told.items() if isinstance(name, str)}


# Each returns what was read, and the line that is wrong: 0 where nobody knows, None where none is.
# Their errors quote what they could not read, so nothing is raised from within one's handler.


def _json(text: str) -> tuple[object, int | None]:
    try:
        return json.loads(text), None
    except json.JSONDecodeError as error:
        return None, error.lineno
    except (ValueError, RecursionError):
        return None, 0


def _yaml(path: Path, text: str) -> tuple[object, int | None]:
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        msg = f"is there, and PyYAML, which reads it, is not: {_INSTALL}"
        raise NotRead(msg, path) from None
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        if sum(isinstance(event, yaml.AliasEvent) for event in events) > _ALIASES:
            return None, 0
        return yaml.safe_load(text), None
    except yaml.MarkedYAMLError as error:
        return None, error.problem_mark.line + 1 if error.problem_mark is not None else 0
    except (yaml.YAMLError, *_OF_VALUES, RecursionError):
        return None, 0
