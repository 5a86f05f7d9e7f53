"""Redirect URIs of OAuth2 clients: what may be registered, and what then counts as registered.

Rule of this file: a URI is compared as it is spelled, never mended; only the port of one on the
loopback interface is free, because the system chooses it there. Sources: RFC 9700 §2.1 and §4.1.3,
RFC 8252 §7, RFC 6749 §3.1.2.
"""

from __future__ import annotations

import re

MAX_LENGTH = 512
_MAX_PORT = 65_535
# RFC 3986 without a fragment; what is no character of a URI can't be in one.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=]|%[0-9A-Fa-f]{2})+")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_WEB = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?]*)?(?P<query>\?.*)?"
)
# RFC 8252 §7.1: the reverse of a domain name of the app's own, and no authority.
_PRIVATE = re.compile(rf"{_LABEL}(?:\.{_LABEL})+:(?P<path>/(?!/)[^?]*)(?P<query>\?.*)?")
_LOOPBACK = frozenset({"127.0.0.1", "[::1]"})
_HERE = _LOOPBACK | {"localhost"}
_DOTS = re.compile(r"/\.{1,2}(?=/|$)")
# What the answer itself is told in: a second one of a name would be refused by the client.
_ANSWERED = re.compile(r"[?&](?:code|state|iss|error|error_description|error_uri)(?:=|&|$)")


def fault(uri: str, *, public: bool) -> str | None:
    """Say what is wrong with a redirect URI that shall be registered; None where nothing is.

    `public` says that its client has no secret: only an app on somebody's device has a scheme of
    its own.
    """
    if len(uri) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if "#" in uri:
        return f"{uri!r} has a fragment, which no redirect URI has"
    if "*" in uri:
        return f"{uri!r} has a wildcard; each URI is registered as it is sent"
    if not _CHARACTERS.fullmatch(uri):
        return f"{uri[:80]!r} is no URI; encode what is no ASCII letter, digit or mark"
    found = _WEB.fullmatch(uri) or _PRIVATE.fullmatch(uri)
    if found is None:
        return f"{uri!r} must be https://HOST/PATH, in lower case and without a user name"
    if _DOTS.search(found["path"] or "") or _ANSWERED.search(found["query"] or ""):
        return f"{uri!r} has a dot segment, or a parameter that answers have"
    if found.re is _PRIVATE:
        return None if public else f"{uri!r} has a scheme that only public clients have; use https"
    if found["port"] is not None and not 0 < int(found["port"]) <= _MAX_PORT:
        return f"{uri!r} has a port that there is not"
    if found["scheme"] == "http" and found["host"] not in _HERE:
        return f"{uri!r} is sent in the clear; use https, or http on 127.0.0.1 or [::1]"
    return None


def matches(registered: str, sent: str) -> bool:
    """Whether a URI of a request is the one that was registered, character by character.

    On 127.0.0.1 and [::1] its port may be another (RFC 8252 §7.3).
    """
    if registered == sent:
        return True
    one, other = _WEB.fullmatch(registered), _WEB.fullmatch(sent)
    if one is None or other is None or fault(sent, public=False) is not None:
        return False
    if one["scheme"] != "http" or one["host"] not in _LOOPBACK:
        return False
    return all(one[part] == other[part] for part in ("scheme", "host", "path", "query"))
