"""Where a tenant may have something sent: never into the operator's own network (ATTACKS D6.56).

Rule of this file: what can be told from a URL is told here, what a name leads to is looked at
again, address by address, at each delivery. Exceptions are the operator's, by network.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from latchgate.core.network import Address, Networks, parse_address

MAX_URL = 2_048
_LABEL = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_VISIBLE = re.compile(r"[!-~]+")
_PORTS = {"https": 443, "http": 80}
_MAX_PORT = 65_535
_UNICAST = Networks.of(["2000::/3"])  # RFC 4291 §2.4: what the registries give out of IPv6
# Global by their registries, and yet ways to an IPv4 address that need not be.
_TRANSLATED = Networks.of(["64:ff9b::/96", "2002::/16", "192.88.99.0/24"])
# Of the protocols' own and of documentation, which Python's releases tell apart differently.
_ASSIGNED = Networks.of(["192.0.0.0/24", "2001::/23", "3fff::/20"])


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that was read; `address` where its host is one, `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str
    address: Address | None

    @property
    def authority(self) -> str:
        """What goes into `Host`: the port only where it isn't the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def at(self, address: Address) -> str:
        """Return the URL with an address in the place of its name."""
        host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - the protocol's number
        return f"{self.scheme}://{host}:{self.port}{self.target}"

    def takes(self, address: Address, allowed: Networks) -> bool:
        """Whether it may be sent to at an address: in the clear only where the operator said so."""
        return address in allowed or (self.scheme == "https" and is_public(address))


def is_public(address: Address) -> bool:
    """Whether an address is one of the Internet's, told apart from every special one (RFC 6890)."""
    outside = address.version == 6 and address not in _UNICAST  # noqa: PLR2004 - the protocol's number
    if outside or address in _TRANSLATED or address in _ASSIGNED:
        return False
    found = ipaddress.ip_address(str(address))
    special = found.is_multicast or found.is_reserved or found.is_unspecified
    return found.is_global and not special


def read_destination(text: str, allowed: Networks) -> Destination:
    """Read a URL that something may be sent to; ValueError says what would be right."""
    if len(text) > MAX_URL or not _VISIBLE.fullmatch(text):
        msg = f"must be up to {MAX_URL} visible ASCII characters"
        raise ValueError(msg)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in _PORTS or not host:
        msg = "must be a URL such as https://hooks.example.com/latchgate"
        raise ValueError(msg)
    if parts.username is not None or parts.password is not None or "#" in text or "\\" in text:
        msg = "takes neither a user, a password, a fragment nor a backslash"
        raise ValueError(msg)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = _PORTS[parts.scheme] if port is None else port
    if not 1 <= port <= _MAX_PORT:
        msg = "must have a port from 1 to 65535, or none"
        raise ValueError(msg)
    found = Destination(parts.scheme, host, port, target, _literal(host))
    if found.address is not None and not found.takes(found.address, allowed):
        msg = f"{found.address} is no public address reached over https"
        raise ValueError(msg)
    if found.scheme == "http" and not allowed.entries:
        msg = "must begin with https://"
        raise ValueError(msg)
    return found


def _literal(host: str) -> Address | None:
    """Return the address that a host is, None for a name; ValueError for what is neither."""
    try:
        return parse_address(host)
    except ValueError:
        # 127.1 and 0x7f000001 are addresses to some resolvers, so they are names to nobody.
        last = host.rstrip(".").rpartition(".")[2]
        if not _NAME.fullmatch(host) or last.isdigit() or last.startswith("0x"):
            msg = f"{host[:64]!r} is neither a host name nor an address"
            raise ValueError(msg) from None
    return None
