"""How each family of gateways tells of the original request.

Rule of this file: a family reads its own headers only, each exactly once, so that what a client
smuggles past one gateway in another's headers means nothing (ATTACKS D1.6). What a family needs
and does not get is a fault of the gateway, and refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from latchgate.core.model import Request
from latchgate.core.network import Networks, parse_address, right_most_untrusted
from latchgate.core.reason import Reason

Headers = dict[str, str]
Family = Callable[[str, str, Headers, frozenset[str], Networks], Request]

_NGINX = (
    "x-original-method",
    "x-original-uri",
    "x-original-host",
    "x-original-scheme",
    "x-real-ip",
)
_FORWARDED = (
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-for",
)
_ENVOY = ("host", "x-forwarded-proto", "x-forwarded-for")
_MANY = frozenset({"x-forwarded-for"})  # may be a list, so its lines may be several


def nginx(
    _method: str, _url: str, headers: Headers, repeated: frozenset[str], _trusted: Networks
) -> Request:
    """Read nginx's `auth_request`: `X-Original-*` and `X-Real-IP`, set by our configuration."""
    method = headers.get("x-original-method")
    target = headers.get("x-original-uri")
    host = headers.get("x-original-host")
    scheme = headers.get("x-original-scheme")
    address = headers.get("x-real-ip")
    if not (method and target and host and scheme and address) or repeated:
        told = _told(headers, repeated, _NGINX)
        if isinstance(told, str):
            return _incomplete(headers, repeated, told)
        method, target, host, scheme, address = told
    try:
        client = parse_address(address)
    except ValueError as error:
        return _unreadable(method, host, target, headers, repeated, error)
    return Request(method, host, target, headers, repeated, client, scheme == "https")


def forwarded(
    _method: str, _url: str, headers: Headers, repeated: frozenset[str], trusted: Networks
) -> Request:
    """Read Caddy's and Traefik's forward auth: `X-Forwarded-*`."""
    told = _told(headers, repeated, _FORWARDED)
    if isinstance(told, str):
        return _incomplete(headers, repeated, told)
    method, target, host, scheme, hops = told
    return _behind_hops(method, host, target, headers, repeated, (scheme, hops), trusted)


def envoy(
    method: str, url: str, headers: Headers, repeated: frozenset[str], trusted: Networks
) -> Request:
    """Read Envoy's HTTP ext_authz with `path_prefix: /envoy`: the request's own method and path."""
    told = _told(headers, repeated, _ENVOY)
    target = url[len("/envoy") :]
    if isinstance(told, str):
        return _incomplete(headers, repeated, told)
    host, scheme, hops = told
    return _behind_hops(method, host, target, headers, repeated, (scheme, hops), trusted)


def _told(
    headers: Headers, repeated: frozenset[str], names: tuple[str, ...]
) -> tuple[str, ...] | str:
    """Return the values in order, or which header is missing or came twice."""
    values: list[str] = []
    for name in names:
        value = headers.get(name)
        if not value:
            return f"the gateway did not send {name}"
        if name in repeated and name not in _MANY:
            return f"{name} arrived more than once"
        values.append(value)
    return tuple(values)


def _behind_hops(
    method: str,
    host: str,
    target: str,
    headers: Headers,
    repeated: frozenset[str],
    told: tuple[str, str],
    trusted: Networks,
) -> Request:
    scheme, hops = told
    try:
        client = right_most_untrusted([hops], trusted)
    except ValueError as error:
        return _unreadable(method, host, target, headers, repeated, error)
    return Request(method, host, target, headers, repeated, client, scheme == "https")


def _incomplete(headers: Headers, repeated: frozenset[str], why: str) -> Request:
    fault = (Reason.GATEWAY_INCOMPLETE, why)
    target = next(
        (headers[name] for name in ("x-original-uri", "x-forwarded-uri") if name in headers), "/"
    )
    return Request("GET", "", target, headers, repeated, None, tls=False, fault=fault)


def _unreadable(
    method: str,
    host: str,
    target: str,
    headers: Headers,
    repeated: frozenset[str],
    error: ValueError,
) -> Request:
    fault = (Reason.CLIENT_ADDRESS_INVALID, str(error))
    return Request(method, host, target, headers, repeated, None, tls=False, fault=fault)


# Below /nginx/ who is asking is told in names that nginx finds sooner (`wording.passed`).
FAMILIES: Mapping[str, Family] = {
    "/nginx": nginx,
    "/nginx/short": nginx,
    "/forwarded": forwarded,
}
