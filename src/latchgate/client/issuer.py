"""Where an authorization server answers, as it says itself.

Rule of this file: it is believed only about itself, and a secret goes over TLS to the addresses
that it names; none that it names on this machine, unless it is here too. Source: RFC 8414.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from latchgate.client.errors import CredentialInvalid, Unreachable, WrongHost
from latchgate.client.flow import Ask
from latchgate.client.hosts import LOOPBACK, base
from latchgate.client.message import Request, Response, Target

_WELL_KNOWN = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"
_NAME = "OAuth2"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of an authorization server, None where it has none.

    `methods` are the ways in which clients prove themselves, empty where it doesn't say.
    """

    token: str
    device: str | None = None
    userinfo: str | None = None
    methods: tuple[str, ...] = ()


def discover(issuer: str) -> Generator[Ask, Response, Endpoints]:
    """Return the flow that reads an issuer's metadata.

    Raises: Unreachable where there is none, WrongHost where it is another's (RFC 8414 §3.3).
    """
    target = Target.of(issuer)
    path = target.path.rstrip("/")
    # RFC 8414 §3.1 puts it before the path, OpenID Connect Discovery §4 behind.
    place = target.origin + _WELL_KNOWN + path
    response = yield _asking(place)
    if response.status == 404:  # noqa: PLR2004 - RFC 9110 §15.5.5
        place = target.origin + path + _OPENID
        response = yield _asking(place)
    if response.status != 200:  # noqa: PLR2004 - RFC 8414 §3.2
        msg = f"{issuer} is no OAuth2 issuer: {place} answered {response.status}"
        raise Unreachable(msg)
    return _read(issuer, response)


def endpoint(url: str, issuer: str | None = None) -> str:
    """Return an address that a secret may go to; `issuer` is who named it.

    Raises: CredentialInvalid, InsecureTransport, WrongHost.
    """
    base(url, _NAME)
    here = issuer is None or Target.of(issuer).host in LOOPBACK
    if Target.of(url).host in LOOPBACK and not here:
        msg = f"{issuer} says that its endpoint is {url}, which is this machine; nothing was sent"
        raise WrongHost(msg)
    return url


def _asking(place: str) -> Ask:
    return Ask(Request("GET", place, (("Accept", "application/json"),)))


def _read(issuer: str, response: Response) -> Endpoints:
    try:
        told: Any = json.loads(response.body)
        said, token = told["issuer"], told["token_endpoint"]
        device, userinfo = told.get("device_authorization_endpoint"), told.get("userinfo_endpoint")
        methods = tuple(told.get("token_endpoint_auth_methods_supported") or ())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _unknown(issuer) from None
    if not all(isinstance(one, str | None) for one in (device, userinfo, *methods)):
        raise _unknown(issuer)
    if not isinstance(said, str) or not isinstance(token, str):
        raise _unknown(issuer)
    if said != issuer:
        msg = f"{issuer} says that its issuer is {said!r}: give that, letter by letter"
        raise WrongHost(msg)
    try:
        named = [one if one is None else endpoint(one, issuer) for one in (device, userinfo)]
        return Endpoints(endpoint(token, issuer), named[0], named[1], methods)
    except CredentialInvalid:
        raise _unknown(issuer) from None


def _unknown(issuer: str) -> Unreachable:
    return Unreachable(f"{issuer} answered with what is no metadata of an OAuth2 issuer")
