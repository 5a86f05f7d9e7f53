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
    """The addresses of an authorization server, None where it has none, by which it goes itself.

    `methods` are the ways in which clients prove themselves, `scopes` what they may ask for,
    `resources` the addresses of the APIs that it is for (RFC 9728 §4): empty where it doesn't say.
    """

    token: str
    device: str | None = None
    userinfo: str | None = None
    revocation: str | None = None
    methods: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    issuer: str | None = None


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
        said = _text(told["issuer"])
        if not _same(issuer, said):
            msg = f"{issuer} says that it is {said}: give that, letter by letter"
            raise WrongHost(msg)
        return Endpoints(
            endpoint(_text(told["token_endpoint"]), issuer),
            _named(told, "device_authorization_endpoint", issuer),
            _named(told, "userinfo_endpoint", issuer),
            _named(told, "revocation_endpoint", issuer),
            _texts(told, "token_endpoint_auth_methods_supported"),
            _texts(told, "scopes_supported"),
            _texts(told, "protected_resources"),
            said,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, CredentialInvalid):
        msg = f"{issuer} answered with what is no metadata of an OAuth2 issuer"
        raise Unreachable(msg) from None


def _same(issuer: str, said: str) -> bool:
    """Whether it is the issuer that was asked: letter by letter, but for this machine's names."""
    if issuer == said:
        return True
    one, other = Target.of(issuer), Target.of(said)
    here = {one.host, other.host} <= LOOPBACK
    return here and one._replace(host="") == other._replace(host="")


def _named(told: dict[str, Any], name: str, issuer: str) -> str | None:
    return None if told.get(name) is None else endpoint(_text(told[name]), issuer)


def _texts(told: dict[str, Any], name: str) -> tuple[str, ...]:
    listed = told.get(name)
    if not isinstance(listed, list | None):
        raise TypeError
    return tuple(_text(one) for one in listed or ())


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError
    return value
