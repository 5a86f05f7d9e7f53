"""Where a database is: a SQLite file, or a PostgreSQL database by its URI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from latchgate.core.secret import Secret

SCHEMES = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL database; `uri` is libpq's connection URI, which may hold a password."""

    uri: Secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Postgres) and self.uri.reveal() == other.uri.reveal()

    def __hash__(self) -> int:
        return hash(self.uri.reveal())

    def __str__(self) -> str:
        """Show it without its password and its parameters."""
        parts = urlsplit(self.uri.reveal())
        user = f"{parts.username}@" if parts.username else ""
        where = parts.netloc.rpartition("@")[2]
        return f"postgresql://{user}{where}{parts.path}"


Location = Path | Postgres


def parse_location(text: str, folder: Path) -> Location:
    """Read a database's place: a URI, or the path of a file, relative to `folder`.

    ValueError says what is wrong with a URI; whether anybody answers there is not looked at.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        return folder / text
    if scheme not in SCHEMES:
        msg = f"{scheme}:// is no database known here: a file's path, or postgresql://…"
        raise ValueError(msg)
    parts = urlsplit(text)
    named = parts.path.strip("/") or dict(parse_qsl(parts.query)).get("dbname")
    if not named:
        msg = "the URI names no database: postgresql://user@host:5432/name"
        raise ValueError(msg)
    return Postgres(Secret(text))
