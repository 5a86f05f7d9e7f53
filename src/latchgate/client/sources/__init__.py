"""Where a credential comes from: one file a source, each says what it lacks.

`search.py` has the order in which they are looked at, `source.py` the rules that all of them keep.
Each is loaded when it is asked for: most programs find their credential in the environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latchgate.client.sources.client_file import ClientFile
    from latchgate.client.sources.command import Command
    from latchgate.client.sources.dotenv import DotEnv
    from latchgate.client.sources.environment import Environment
    from latchgate.client.sources.inline import Inline
    from latchgate.client.sources.keyring import Keyring

__all__ = ["ClientFile", "Command", "DotEnv", "Environment", "Inline", "Keyring"]

_SOURCES = {
    "ClientFile": "client_file",
    "Command": "command",
    "DotEnv": "dotenv",
    "Environment": "environment",
    "Inline": "inline",
    "Keyring": "keyring",
}


def __getattr__(name: str) -> object:
    """Load a source when it is asked for."""
    if name in _SOURCES:
        return getattr(import_module(f"{__name__}.{_SOURCES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
