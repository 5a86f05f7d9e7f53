"""Where a credential comes from: one file a source, each says what it lacks.

`search.py` has the order in which they are looked at, `source.py` the rules that all of them keep.
"""

from __future__ import annotations

from latchgate.client.sources.client_file import ClientFile
from latchgate.client.sources.command import Command
from latchgate.client.sources.dotenv import DotEnv
from latchgate.client.sources.environment import Environment
from latchgate.client.sources.inline import Inline
from latchgate.client.sources.keyring import Keyring
from latchgate.client.sources.source import Found, Lacking, Source, Wanted

__all__ = [
    "ClientFile",
    "Command",
    "DotEnv",
    "Environment",
    "Found",
    "Inline",
    "Keyring",
    "Lacking",
    "Source",
    "Wanted",
]
