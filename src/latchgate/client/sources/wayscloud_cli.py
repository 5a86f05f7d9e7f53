"""`~/.wayscloud/credentials`, where WAYSCloud's command `cloud login` keeps a token."""

from __future__ import annotations

import json
from pathlib import Path

from latchgate.client.errors import SourceUnreadable
from latchgate.client.sources.private_file import home, private_file
from latchgate.client.sources.source import Found, Lacking, Wanted

_NAME = "~/.wayscloud/credentials"


def look(wanted: Wanted, path: Path | None, entry: str | None) -> Found | Lacking:
    """Return the token that the file holds; raises SourceUnreadable for a broken one."""
    if entry is not None:
        return Lacking(_NAME, "has no entries: leave the entry's name out", unreadable=True)
    own = home()
    if path is None and own is None:
        return Lacking(_NAME, "there is no home folder")
    where = path if path is not None else (own or Path()) / ".wayscloud" / "credentials"
    file = private_file(where, given=path is not None)
    if file is None:
        return Lacking(str(where), "no such file", unreadable=path is not None)
    token = _token(file.text)
    if token is None:
        msg = f'{where} is to be a JSON object with a text "token"; `cloud login` writes it anew'
        raise SourceUnreadable(msg)
    return file.warned(wanted.found({"token": token}, str(where)))


def _token(text: str) -> str | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    token = told.get("token") if isinstance(told, dict) else None
    return token if isinstance(token, str) else None
