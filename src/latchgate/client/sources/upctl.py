"""`upctl.yaml`, where UpCloud's command keeps a token, or a name and a password.

It lies in the user's configuration alone; another one is named by `path`, as by that command's
`--config`, for which there is no variable.
"""

from __future__ import annotations

from pathlib import Path

from latchgate.client.errors import SourceUnreadable
from latchgate.client.sources.private_file import config_homes
from latchgate.client.sources.source import Found, Lacking, Wanted
from latchgate.client.sources.yaml_file import mapping

_FIELDS = ("token", "username", "password")


def look(wanted: Wanted, path: Path | None, entry: str | None) -> Found | Lacking:
    """Return what the first `upctl.yaml` holds; raises SourceUnreadable, CredentialInvalid."""
    if entry is not None:
        return Lacking("upctl.yaml", "has no entries: leave the entry's name out", unreadable=True)
    tried = [home / "upctl.yaml" for home in config_homes()] if path is None else [path]
    for one in tried:
        told = mapping(one, given=path is not None)
        if told is not None:
            # Its reader takes names of keys in any case.
            values = {name.lower(): value for name, value in told.entries.items()}
            fields = {name: values.get(name) or "" for name in _FIELDS}
            texts = {name: value for name, value in fields.items() if isinstance(value, str)}
            if len(texts) != len(fields):
                wrong = ", ".join(name for name in fields if name not in texts)
                msg = f"{one}: {wrong} is to be a text, in quotes"
                raise SourceUnreadable(msg)
            return told.file.warned(wanted.found(texts, str(one)))
    where = ", ".join(str(one) for one in tried) or "upctl.yaml"
    return Lacking(where, "no such file", unreadable=path is not None)
