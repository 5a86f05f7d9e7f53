"""`[shadows.NAME]` of a policy file: read, and every fault told.

Rule of this file: what a policy file can't be trusted to say is not taken: a password in a URL, a
request in the clear over a network nobody named, a header that would pass for ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from latchgate.core.duration import parse_duration
from latchgate.core.network import Networks, parse_address
from latchgate.core.policy_entries import ShadowEntry
from latchgate.core.shadow import Shadow
from latchgate.core.timestamp import parse_rfc3339

MAX_SECONDS = 10
# The paths that Latchgate answers itself: nobody else decides there. A test compares the doors'.
OWN_PATHS = (
    "/manage/v1",
    "/healthz",
    "/readyz",
    "/metrics",
    "/leaks",
    "/1.3",
    "/api/v1/dashboard",
    "/identity",
    "/v3",
    "/v2/api",
    "/ba",
)
_URL = re.compile(r"https?://[!-~]{1,2000}")
_NAME = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
# What frames a message, tells of the gateway's own reading, or means something to a gateway.
_RESERVED = re.compile(
    r"(?:x-latchgate|x-forwarded|x-original|x-accel|proxy|content|sec|access-control)-.*"
    r"|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|host|forwarded|date"
    r"|x-real-ip|x-rewrite-url|x-http-method|x-http-method-override|x-method-override|proxy|via"
    r"|accept|accept-encoding|user-agent|range|if-.*|.*-latchgate"
)
_NOT_COPIED = re.compile(
    r"authorization|cookie|set-cookie2?|www-authenticate|location|server|age|vary|expires|pragma"
    r"|cache-control|etag|last-modified|retry-after|link|refresh|x-api-key|x-auth-token"
    r"|x-teracloud-api-key|destination|origin"
)
_FIELDS = {
    "tenant": "X-Latchgate-Tenant",
    "project": "X-Latchgate-Project",
    "user": "X-Latchgate-User",
    "credential": "X-Latchgate-Credential",
    "external_id": "X-Latchgate-External-Id",
}

_Fault = Callable[[str, str], None]


def read_shadow(name: str, entry: ShadowEntry, key: str, fault: _Fault) -> Shadow:
    """Return the old system that a table declares; `fault` is told what is wrong, by its `key`."""
    problem = _url_problem(entry, key, fault)
    if problem is not None:
        fault(f"{key}.url", problem)
    send = _names(entry.send_headers, f"{key}.send_headers", _RESERVED, fault)
    copy = _names(entry.copy_headers, f"{key}.copy_headers", _RESERVED, fault)
    for header in copy:
        if _NOT_COPIED.fullmatch(header.lower()):
            fault(f"{key}.copy_headers", f"{header} is no header that says who asks")
        elif header.lower() in {one.lower() for one in send}:
            fault(f"{key}.copy_headers", f"{header} is sent to the old system: it is the client's")
    return Shadow(
        name=name,
        url=entry.url,
        timeout=_timeout(entry, key, fault),
        send=tuple(one.lower() for one in send),
        copy=tuple(copy),
        principal=_principal(entry, key, fault),
        until=_until(entry, key, fault),
    )


def _names(
    listed: Sequence[str], key: str, reserved: re.Pattern[str], fault: _Fault
) -> Sequence[str]:
    seen: set[str] = set()
    for name in listed:
        if not _NAME.fullmatch(name):
            fault(key, f"{name!r} is not a header's name of letters, digits and single dashes")
        elif reserved.fullmatch(name.lower()):
            fault(key, f"{name} is set by Latchgate or the gateway, or frames the message")
        elif name.lower() in seen:
            fault(key, f"{name} is named twice")
        seen.add(name.lower())
    return listed


def _timeout(entry: ShadowEntry, key: str, fault: _Fault) -> float:
    try:
        seconds = parse_duration(entry.timeout)
    except ValueError as error:
        fault(f"{key}.timeout", str(error))
        return 0.0
    if seconds > MAX_SECONDS:
        fault(f"{key}.timeout", f"{entry.timeout!r} is longer than {MAX_SECONDS}s")
    return float(seconds)


def _principal(entry: ShadowEntry, key: str, fault: _Fault) -> tuple[str, str] | None:
    if entry.principal is None and entry.principal_is is None:
        return None
    if entry.principal is None or entry.principal_is is None:
        fault(f"{key}.principal", "give principal and principal_is, or neither")
        return None
    _names([entry.principal], f"{key}.principal", _RESERVED, fault)
    return entry.principal, _FIELDS[entry.principal_is]


def _until(entry: ShadowEntry, key: str, fault: _Fault) -> float | None:
    if entry.until is None:
        return None
    try:
        return parse_rfc3339(entry.until)
    except ValueError as error:
        fault(f"{key}.until", str(error))
        return None


def _url_problem(entry: ShadowEntry, key: str, fault: _Fault) -> str | None:
    """Say what is wrong with the address, without repeating it: it may hold a password."""
    if not _URL.fullmatch(entry.url) or "\\" in entry.url:
        return "must be an http:// or https:// URL of visible ASCII"
    try:
        parts = urlsplit(entry.url)
        port = parts.port
    except ValueError:
        return "is not a URL: look at its host and port"
    if "@" in parts.netloc:
        return "holds a user name or password, which would be written into logs; take it out"
    if not parts.hostname or port == 0:
        return "names no host, or port 0"
    if "#" in entry.url:
        return "has a fragment, which is never sent"
    try:
        plain = Networks.of(entry.plain_networks)
    except ValueError as error:
        fault(f"{key}.plain_networks", str(error))
        return None
    if parts.scheme == "https" or _near(parts.hostname, plain):
        return None
    return (
        "is http: only to localhost, or to an address of a private network that plain_networks"
        " names; use https"
    )


def _near(host: str, plain: Networks) -> bool:
    """Whether a question to a host may go in the clear; a name could lead anywhere tomorrow."""
    if host == "localhost":
        return True
    try:
        address = parse_address(host)
    except ValueError:
        return False
    found = ipaddress.ip_address(str(address))
    if found.is_loopback:
        return True
    return found.is_private and not found.is_link_local and address in plain
