"""Client addresses and the networks a credential may be used from.

Rule of this file: one spelling for one host. IPv4-mapped IPv6 is IPv4, zone ids and octal
octets are refused, and IPv4 and IPv6 networks never match each other (`::/0` is not `0.0.0.0/0`).
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

_NETWORK = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?")
_MAPPED_PREFIX = 96
_V4_BITS = 32
_V6_BITS = 128
_MAPPED_HIGH = 0xFFFF
_PORT = re.compile(r"[0-9]{1,5}")
_FEW = 4  # entries that are looked at one by one sooner than searched

# Of each version the first and the last addresses of the spans, in order.
_Spans = dict[int, tuple[list[int], list[int]]]


class Address(NamedTuple):
    """An IP address as its version and its integer."""

    version: int
    value: int

    def __str__(self) -> str:
        kind = ipaddress.IPv4Address if self.version == 4 else ipaddress.IPv6Address  # noqa: PLR2004 - the protocol's number
        return str(kind(self.value))


@lru_cache(maxsize=8192)
def parse_address(text: str) -> Address:
    """Read one bare IP address (no port, no brackets, no zone).

    Raises ValueError naming the text when it is not one.
    """
    if "%" in text:
        msg = f"{text[:64]!r} carries a zone id; give the bare address"
        raise ValueError(msg)
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        msg = f"{text[:64]!r} is not an IPv4 or IPv6 address"
        raise ValueError(msg) from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return Address(version=found.version, value=int(found))


def parse_network(text: str) -> tuple[int, int, int]:
    """Read a single address or a CIDR as (version, network, mask); host bits are dropped.

    Raises ValueError naming the text when it is neither.
    """
    trimmed = text.strip()
    found = None
    # The library would take a zone id, and a mask in place of a length: 10.0.0.0/0.0.0.255
    # (a wildcard elsewhere) would read as /24, 10.0.0.0/0.0.0.0 as everywhere.
    if _NETWORK.fullmatch(trimmed):
        with suppress(ValueError):
            found = ipaddress.ip_network(trimmed, strict=False)
    if found is None:
        msg = f"{text[:64]!r} is not an IP address or a CIDR such as 192.0.2.0/24 or 2001:db8::/32"
        raise ValueError(msg)
    value, mask = int(found.network_address), int(found.netmask)
    mapped = value >> _V4_BITS == _MAPPED_HIGH and found.prefixlen >= _MAPPED_PREFIX
    if isinstance(found, ipaddress.IPv6Network) and mapped:
        low = (1 << _V4_BITS) - 1
        return 4, value & low, mask & low
    return found.version, value, mask


def range_networks(text: str) -> list[str]:
    """Read an address, a CIDR or a range `FIRST-LAST` as the fewest CIDRs that cover it exactly.

    ValueError names the text when it is none of these.
    """
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash:
        return Networks.of([text]).listed()
    ends = [ipaddress.ip_address(str(parse_address(end))) for end in (first, last)]
    try:
        return [str(one) for one in ipaddress.summarize_address_range(*ends)]
    except (TypeError, ValueError):
        msg = f"{text[:97]!r} does not run from an address to a later one of the same kind"
        raise ValueError(msg) from None


@dataclass(frozen=True, slots=True)
class Networks:
    """Where a credential may be used from; no entry at all means nowhere."""

    entries: tuple[tuple[int, int, int], ...]
    # Of many entries, once they were asked for: 100 then cost hardly more than one.
    _sorted: _Spans | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Networks:
        """Build from address and CIDR texts; ValueError names the first bad one."""
        return cls(entries=tuple(dict.fromkeys(parse_network(text) for text in texts)))

    def __contains__(self, address: Address) -> bool:
        version, value = address
        if len(self.entries) > _FEW:
            firsts, lasts = (self._sorted or self._sort())[version]
            at = bisect_right(firsts, value) - 1
            return at >= 0 and value <= lasts[at]
        for kind, network, mask in self.entries:
            if kind == version and value & mask == network:
                return True
        return False

    def _sort(self) -> _Spans:
        """Put the entries in an order in which one is found by halving."""
        found: _Spans = {4: ([], []), 6: ([], [])}
        for version, first, last in self._spans():
            firsts, lasts = found[version]
            firsts.append(first)
            lasts.append(last)
        object.__setattr__(self, "_sorted", found)
        return found

    def within(self, other: Networks) -> bool:
        """Whether every address of these networks is in `other`; nowhere is in everything."""
        wide = other._spans()
        return all(
            any(kind == span[0] and low >= span[1] and high <= span[2] for span in wide)
            for kind, low, high in self._spans()
        )

    def _spans(self) -> list[tuple[int, int, int]]:
        """Return (version, first, last) of the networks, merged where they touch, in order."""
        merged: list[tuple[int, int, int]] = []
        for version, network, mask in sorted(self.entries):
            full = (1 << (_V4_BITS if version == 4 else _V6_BITS)) - 1  # noqa: PLR2004 - the protocol's number
            last = network | (full & ~mask)
            if merged and merged[-1][0] == version and network <= merged[-1][2] + 1:
                merged[-1] = (version, merged[-1][1], max(last, merged[-1][2]))
            else:
                merged.append((version, network, last))
        return merged

    def listed(self) -> list[str]:
        """Return the networks as CIDR texts, in the order given."""
        out: list[str] = []
        for version, network, mask in self.entries:
            bits = _V4_BITS if version == 4 else _V6_BITS  # noqa: PLR2004 - the protocol's number
            out.append(f"{Address(version, network)}/{mask.bit_count() if bits else 0}")
        return out


def right_most_untrusted(hops: Iterable[str], trusted: Networks) -> Address:
    """Return the client's address from the values of `X-Forwarded-For`, in the order received.

    Each gateway appends the peer it saw, so only the right end is ours: walk leftwards over
    trusted gateways and stop at the first other hop. When every hop is trusted, the left-most is
    the client. Ports and brackets that some gateways add are accepted; anything else that is
    not an address raises ValueError (a skipped hop would be a skipped rule: CVE-2024-47070).
    """
    listed = [hop.strip() for value in hops for hop in value.split(",")]
    if not listed or listed == [""]:
        msg = "no client address was forwarded"
        raise ValueError(msg)
    address = None
    for hop in reversed(listed):
        address = parse_address(_without_port(hop))
        if address not in trusted:
            return address
    assert address is not None  # noqa: S101 - the list is not empty
    return address


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        inner, closed, rest = hop[1:].partition("]")
        if closed and (not rest or (rest.startswith(":") and _PORT.fullmatch(rest[1:]))):
            return inner
    elif hop.count(":") == 1:
        host, _, port = hop.partition(":")
        if _PORT.fullmatch(port):
            return host
    return hop
