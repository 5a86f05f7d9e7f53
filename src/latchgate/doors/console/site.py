"""Where browsers reach the console: its origin, and which of them can hold passkeys."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Site:
    """The console's address as people open it; on this machine it goes by several names.

    `origin` is the one that links and tokens tell, `origins` all that are the same: an address of
    this machine alone is reached by its name and by its numbers.
    """

    origin: str
    origins: frozenset[str]

    @classmethod
    def of(cls, issuer: str) -> Site:
        """Read it from the configured address, such as `https://login.example.com`."""
        parts = urlsplit(issuer)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            host = f"[{host}]"
        hosts = _LOOPBACK if host in _LOOPBACK else (host,)
        own = frozenset(_origin(parts.scheme, one, port) for one in hosts)
        return cls(_origin(parts.scheme, host, port), own)

    @property
    def scheme(self) -> str:
        """Return `https`, or `http` on this machine."""
        return self.origin.partition(":")[0]

    def reached_by(self, host: str) -> str | None:
        """Return the origin that a request's `Host` names; None where it is none of these."""
        usual = f":{_DEFAULT_PORTS[self.scheme]}"
        found = f"{self.scheme}://{host.lower().removesuffix(usual)}"
        return found if found in self.origins else None

    @property
    def with_a_name(self) -> str | None:
        """Return the origin that passkeys can be made for; None where there is none."""
        return next((one for one in sorted(self.origins) if relying_party(one)), None)

    @property
    def opened_at(self) -> str:
        """Where people open the console: by a name where it has one, for passkeys."""
        return self.with_a_name or self.origin


def relying_party(origin: str) -> str | None:
    """Return the id that passkeys of an origin are bound to; None where it has no name.

    A number is no domain, and so no relying party (WebAuthn §5.1.2).
    """
    host = urlsplit(origin).hostname or ""
    return None if not host or ":" in host or host.rpartition(".")[2].isdigit() else host


def _origin(scheme: str, host: str, port: int | None) -> str:
    return (
        f"{scheme}://{host}"
        if port in {None, _DEFAULT_PORTS[scheme]}
        else f"{scheme}://{host}:{port}"
    )
