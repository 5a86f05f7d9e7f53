"""The caller's side: credentials for programs that call these clouds.

Needs nothing but Python. The clouds say what goes into a request, `adapters` puts it there with the
HTTP library that a program uses: httpx, httpx2, requests, aiohttp or urllib. Rule of this package:
nothing of the server is imported.
"""

from __future__ import annotations

from importlib import import_module

from latchgate.client.errors import (
    AddressUnused,
    AuthenticationFailed,
    ClientError,
    CredentialInvalid,
    CredentialMissing,
    InsecureTransport,
    KeyExpired,
    KeyRevoked,
    NotReady,
    PermissionDenied,
    RateLimited,
    Refused,
    SignInEnded,
    SourceExposed,
    SourceUnreadable,
    Unreachable,
    WrongHost,
)
from latchgate.client.secret import Secret

TYPE_CHECKING = False  # as typing's, whose import takes longer than all of this
if TYPE_CHECKING:  # each is loaded when it is asked for
    from latchgate.client.clouds.kakaocloud import KakaoCloud
    from latchgate.client.clouds.latchgate import Latchgate
    from latchgate.client.clouds.oauth2 import OAuth2
    from latchgate.client.clouds.teracloud import TeraCloud
    from latchgate.client.clouds.upcloud import UpCloud
    from latchgate.client.clouds.wayscloud import WaysCloud
    from latchgate.client.profiles import profile

__all__ = [
    "AddressUnused",
    "AuthenticationFailed",
    "ClientError",
    "CredentialInvalid",
    "CredentialMissing",
    "InsecureTransport",
    "KakaoCloud",
    "KeyExpired",
    "KeyRevoked",
    "Latchgate",
    "NotReady",
    "OAuth2",
    "PermissionDenied",
    "RateLimited",
    "Refused",
    "Secret",
    "SignInEnded",
    "SourceExposed",
    "SourceUnreadable",
    "TeraCloud",
    "Unreachable",
    "UpCloud",
    "WaysCloud",
    "WrongHost",
    "profile",
]

_CLOUDS = {
    "KakaoCloud": "kakaocloud",
    "Latchgate": "latchgate",
    "OAuth2": "oauth2",
    "TeraCloud": "teracloud",
    "UpCloud": "upcloud",
    "WaysCloud": "wayscloud",
}


def __getattr__(name: str) -> object:
    """Load a cloud when it is asked for."""
    if name in _CLOUDS:
        return getattr(import_module(f"latchgate.client.clouds.{_CLOUDS[name]}"), name)
    if name == "profile":
        return import_module("latchgate.client.profiles").profile
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
