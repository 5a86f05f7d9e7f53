"""HTTP as flows see it: what goes out and what came back, whichever library carries it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

Pairs = tuple[tuple[str, str], ...]

PORTS = {"https": 443, "http": 80}


class Target(NamedTuple):
    """Where a request goes: scheme and host in lower case, port as a number, the path as sent."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Read a URL; raises ValueError for what is none, or is neither http nor https."""
        parts = urlsplit(url)
        default = PORTS.get(parts.scheme)
        if default is None or not parts.hostname:
            msg = "not a URL such as https://api.example.com"
            raise ValueError(msg)
        return cls(parts.scheme, parts.hostname, parts.port or default, parts.path or "/")

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a flow makes for itself; its headers and body may hold secrets."""

    method: str
    url: str
    headers: Pairs = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: header names in lower case, several of a name joined by commas."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Response:
        """Make one of what a library gave."""
        told: dict[str, str] = {}
        for name, value in headers:
            name = name.lower()  # noqa: PLW2901 - the same name, as it is looked up
            told[name] = f"{told[name]}, {value}" if name in told else value
        return cls(status, told, body)

    @classmethod
    def unread(cls, status: int, headers: Callable[[], Iterable[tuple[str, str]]]) -> Response:
        """Make one of an answer to a caller's request: its headers are read if it is a refusal.

        Flows look at no others, and reading them takes longer than all else that is added.
        """
        return cls.of(status, headers() if status >= 400 else ())  # noqa: PLR2004 - RFC 9110 §15.5
