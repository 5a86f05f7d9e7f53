"""OAuth2: a Bearer token by client credentials, by a person's device code, or refreshed.

Rule of this file: the client's secret, codes and refresh tokens go to the server's own endpoints
and nowhere else, tokens to the origins that were named. Source: RFC 6749, RFC 6750, RFC 8628.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote_plus, urlencode

from latchgate.client.errors import (
    AuthenticationFailed,
    ClientError,
    CredentialInvalid,
    CredentialMissing,
    PermissionDenied,
    Refused,
    SignInEnded,
    Unreachable,
)
from latchgate.client.flow import (
    Ask,
    Cloud,
    Exchange,
    Flow,
    Identity,
    Issued,
    Obtain,
    Step,
    with_token,
)
from latchgate.client.hosts import Hosts, base
from latchgate.client.issuer import Endpoints, discover, endpoint
from latchgate.client.message import Pairs, Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.renewal import Pause, Renewal
from latchgate.client.secret import MASK, Secret
from latchgate.client.secret import secret as wrapped
from latchgate.client.spelling import basic, one_word
from latchgate.client.token_cache import USER_CACHE, TokenCache

if TYPE_CHECKING:
    from latchgate.client.token import Token

LASTS = 300.0  # seconds that a token is taken to last where the server doesn't say (RFC 6749 §5.1)
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL = 5.0  # seconds (RFC 8628 §3.2)
_SLOWER = 5.0  # RFC 8628 §3.5
_LONGEST = 60.0
_KINDS: dict[str, type[Refused]] = {
    "invalid_client": AuthenticationFailed,
    "invalid_grant": SignInEnded,
    "expired_token": SignInEnded,
    "access_denied": PermissionDenied,
    "unauthorized_client": PermissionDenied,
    "invalid_scope": PermissionDenied,
    "invalid_target": PermissionDenied,
}
_PROOFS = {"basic": "client_secret_basic", "post": "client_secret_post", "none": "none"}
_GRANTS = ("client_credentials", "device", "refresh")


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person is told who shall allow it: the code, where to type it, seconds to do so.

    `link` is the address with the code in it, the one without where there is none.
    """

    user_code: str
    verification_uri: str
    link: str
    expires_in: float


class OAuth2(Cloud):
    """A program's or a person's token of an OAuth2 authorization server.

    The server is `issuer`, which says where everything is (RFC 8414), or `token_url` and, for
    device codes, `device_url`. `grant` is how the first token is got: "client_credentials" with the
    client's secret; "device", where `prompt` shows a person the DeviceCode; "refresh" with
    `refresh_token`. Whatever refresh token comes along is used from then on, and kept in `cache`,
    with the token. `auth` is how the client proves itself: "basic", "post" or "none"; unless it is
    given, as the server says, Basic where it says nothing, and none where there is no secret.
    `resource` and `audience` say for whom the token shall be. It is sent to `origins` alone, and
    taken to last 300 seconds where the server doesn't say.
    Raises: CredentialInvalid, InsecureTransport.
    """

    name: ClassVar[str] = "OAuth2"

    def __init__(  # noqa: PLR0913 - the parameters are the standards' own
        self,
        client_id: str,
        client_secret: str | Secret | None = None,
        *,
        issuer: str | None = None,
        token_url: str | None = None,
        device_url: str | None = None,
        grant: Literal["client_credentials", "device", "refresh"] = "client_credentials",
        scope: str | Iterable[str] = (),
        resource: str | Iterable[str] = (),
        audience: str | None = None,
        auth: Literal["basic", "post", "none"] | None = None,
        refresh_token: str | Secret | None = None,
        prompt: Callable[[DeviceCode], object] | None = None,
        origins: Iterable[str] = (),
        cache: TokenCache | None = USER_CACHE,
    ) -> None:
        """Take a client, and where its tokens come from and may go."""
        self.source = "argument"
        self.client_id, self._grant, self._auth, self._prompt = client_id, grant, auth, prompt
        self._secret = wrapped(client_secret) if client_secret is not None else None
        self._refresh = wrapped(refresh_token) if refresh_token is not None else None
        self._issuer, self._endpoints = _server(issuer, token_url, device_url)
        self.url = issuer or token_url or ""
        self._scope = scope if isinstance(scope, str) else " ".join(scope)
        self._resources = (resource,) if isinstance(resource, str) else tuple(resource)
        self._audience = audience
        more = frozenset(Target.of(base(one, self.name)).origin for one in origins)
        self.hosts = Hosts(self.name, more=more)
        self.renewal = Renewal(cache)
        self._checked()

    def signed(self, target: Target) -> Flow:  # noqa: ARG002 - every path takes the same header
        """Send with the token."""
        return with_token("Authorization", "Bearer ")

    def exchange(self, token: Token | None) -> Exchange:
        """Get a token: with the refresh token where there is one, else by the grant.

        Raises: AuthenticationFailed (the client), SignInEnded, PermissionDenied, Unreachable.
        """
        at = yield from self._found()
        known = token.refresh if token is not None and token.refresh is not None else self._refresh
        if known is not None and self._grant != "client_credentials":
            try:
                return (yield from self._refreshed(at, known))
            except SignInEnded:
                if self._grant != "device" or self._prompt is None:
                    raise
        if self._grant == "device":
            return (yield from self._by_device(at))
        told = {"grant_type": "client_credentials"}
        return self._issued((yield Ask(self._asking(at, told))))

    def identify(self) -> Generator[Step, Any, Identity]:
        """Return whose token it is: a person's, where the server tells (`openid`), or the client's.

        Raises: what `exchange` raises, AuthenticationFailed.
        """
        token: Token = yield Obtain()
        principal, told = self.client_id, {"client_id": self.client_id}
        scopes = token.facts.get("scope", self._scope).split()
        if "openid" in scopes:
            at = yield from self._found()
            if at.userinfo is not None:
                principal = yield from self._subject(at.userinfo, token)
        rights = tuple(scopes) if scopes else None
        return Identity(self.name, principal, self.source, rights, token.ends_at, told)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The client's secret, and the refresh token that was given."""
        return tuple(one for one in (self._secret, self._refresh) if one is not None)

    @property
    def slot(self) -> tuple[str, ...]:
        """The server, the client, and what is asked for."""
        asked = (self._grant, self._scope, self._audience or "", *self._resources)
        return (self.name, self.url, self.client_id, *asked)

    def _checked(self) -> None:
        wrong = None
        if self._grant not in _GRANTS:
            wrong = f"the grant is one of {', '.join(_GRANTS)}, not {self._grant!r}"
        elif self._auth is not None and self._auth not in _PROOFS:
            wrong = f"auth is one of {', '.join(_PROOFS)}, not {self._auth!r}"
        elif (self._secret is None) != (self._auth == "none") and self._auth is not None:
            wrong = (
                f"auth={self._auth!r} goes {'with' if self._secret is None else 'without'} a secret"
            )
        elif self._grant == "client_credentials" and self._secret is None:
            wrong = "client credentials are a client_id and its client_secret (RFC 6749 §4.4)"
        elif self._grant == "client_credentials" and self._refresh is not None:
            wrong = 'a refresh token goes with grant="refresh" or "device"'
        elif self._grant == "refresh" and self._refresh is None:
            wrong = 'grant="refresh" takes refresh_token'
        elif self._grant == "device" and not self._issuer and self._endpoints.device is None:
            wrong = "device codes take issuer, or token_url and device_url"
        if wrong is not None:
            msg = f"OAuth2: {wrong}"
            raise CredentialInvalid(msg)

    def _found(self) -> Generator[Ask, Response, Endpoints]:
        # Asked anew each time: a server that moves its endpoints is followed, and nothing is kept.
        return (yield from discover(self._issuer)) if self._issuer else self._endpoints

    def _refreshed(self, at: Endpoints, known: Secret) -> Generator[Ask, Response, Issued]:
        told = {"grant_type": "refresh_token", "refresh_token": known.reveal()}
        issued = self._issued((yield Ask(self._asking(at, told))), known)
        # RFC 6749 §6: without a new one the old one stays.
        return issued if issued.refresh is not None else issued._replace(refresh=known.reveal())

    def _by_device(self, at: Endpoints) -> Exchange:
        if self._prompt is None or at.device is None:
            lacks = "prompt=" if self._prompt is None else "a server with device codes"
            msg = f"OAuth2: nobody has signed in, and that takes {lacks}"
            raise CredentialMissing(msg)
        begun = self._begun((yield Ask(self._asking(at, {}, to=at.device))))
        self._prompt(begun.shown)
        told = {"grant_type": _DEVICE, "device_code": begun.code.reveal()}
        interval, waited = begun.interval, 0.0
        while waited < begun.shown.expires_in:
            yield Pause(interval)
            waited += interval
            try:
                response: Response = yield Ask(self._asking(at, told, asks=False))
            except Unreachable:
                # RFC 8628 §3.5: whoever can't be reached is asked ever more seldom.
                interval = min(interval * 2.0, _LONGEST)
                continue
            code = _code(response)
            if code == "slow_down":
                interval += _SLOWER
            elif code != "authorization_pending":
                return self._issued(response, begun.code)
        msg = "nobody allowed it in time: sign in again"
        raise SignInEnded(msg, status=400, code="expired_token", cloud=self.name)

    def _asking(
        self, at: Endpoints, told: dict[str, str], *, to: str | None = None, asks: bool = True
    ) -> Request:
        """Return a request of the client's; `asks` where it says which token it wants."""
        pairs = list(told.items())
        if asks:
            pairs += [("scope", self._scope)] if self._scope else []
            pairs += [("resource", one) for one in self._resources]
            pairs += [("audience", self._audience)] if self._audience else []
        headers: Pairs = (
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
        )
        proof = self._proof(at)
        if self._secret is not None and proof == "basic":
            # RFC 6749 §2.3.1: both are form-encoded first.
            text = Secret(quote_plus(self._secret.reveal()))
            headers += (("Authorization", basic(quote_plus(self.client_id), text, self.name)),)
        else:
            pairs.append(("client_id", self.client_id))
            if self._secret is not None:
                pairs.append(("client_secret", self._secret.reveal()))
        return Request("POST", to or at.token, headers, urlencode(pairs).encode())

    def _proof(self, at: Endpoints) -> str:
        if self._auth is not None or self._secret is None:
            return self._auth or "none"
        post_alone = _PROOFS["basic"] not in at.methods and _PROOFS["post"] in at.methods
        return "post" if post_alone else "basic"

    def _issued(self, response: Response, *sent: Secret) -> Issued:
        if response.status != 200:  # noqa: PLR2004 - RFC 6749 §5.1
            raise self._failed(response, *sent)
        try:
            told: Any = json.loads(response.body)
            value = one_word(Secret(told["access_token"]), self.name)
            bearer = told["token_type"].lower() == "bearer"
            lasts = _seconds(told.get("expires_in"), LASTS)
            refresh, scope = told.get("refresh_token"), told.get("scope", self._scope)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, CredentialInvalid):
            raise self._unknown(response) from None
        if not bearer or not isinstance(refresh, str | None) or not isinstance(scope, str):
            raise self._unknown(response)
        return Issued(value.reveal(), lasts, {"scope": scope}, refresh)

    def _begun(self, response: Response) -> _Begun:
        if response.status != 200:  # noqa: PLR2004 - RFC 8628 §3.2
            raise self._failed(response)
        try:
            told: Any = json.loads(response.body)
            code = one_word(Secret(told["device_code"]), self.name)
            where = endpoint(_printable(told["verification_uri"]))
            link = endpoint(_printable(told.get("verification_uri_complete") or where))
            lasts = _seconds(told["expires_in"], LASTS)
            shown = DeviceCode(_printable(told["user_code"]), where, link, lasts)
            interval = _seconds(told.get("interval"), _INTERVAL)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ClientError):
            raise self._unknown(response) from None
        return _Begun(code, interval, shown)

    def _subject(self, userinfo: str, token: Token) -> Generator[Ask, Response, str]:
        headers = (("Authorization", f"Bearer {token.value.reveal()}"),)
        response = yield Ask(Request("GET", userinfo, headers))
        if response.status != 200:  # noqa: PLR2004 - OpenID Connect Core §5.3.2
            raise self._failed(response, token.value)
        try:
            return str(json.loads(response.body)["sub"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._unknown(response) from None

    def _failed(self, response: Response, *sent: Secret) -> Refused:
        """Return what a refusal means; what was `sent` beside the client's own is masked in it."""
        body = response.body
        for one in sent:
            body = body.replace(one.reveal().encode(), MASK.encode())
        told = refused(self, replace(response, body=body))
        kind = _KINDS.get(_code(response) or "", type(told))
        message = told.message
        if kind is SignInEnded:
            message = f"the sign-in has ended or was withdrawn, sign in again: {message}"
        return kind(
            message,
            status=told.status,
            code=told.code,
            cloud=told.cloud,
            decision=told.decision,
            retry_after=told.retry_after,
        )

    def _unknown(self, response: Response) -> Unreachable:
        msg = f"{self.url} answered {response.status} with what is no answer of OAuth2"
        return Unreachable(msg)


@dataclass(frozen=True, slots=True)
class _Begun:
    code: Secret
    interval: float
    shown: DeviceCode


def _server(
    issuer: str | None, token_url: str | None, device_url: str | None
) -> tuple[str | None, Endpoints]:
    if (issuer is None) == (token_url is None):
        msg = "OAuth2: give either issuer, or token_url"
        raise CredentialInvalid(msg)
    if token_url is not None:
        device = None if device_url is None else endpoint(device_url)
        return None, Endpoints(endpoint(token_url), device)
    endpoint(issuer or "")
    if "?" in str(issuer) or "#" in str(issuer) or device_url is not None:
        msg = "OAuth2: an issuer has neither query nor fragment, and names its own device_url"
        raise CredentialInvalid(msg)
    return issuer, Endpoints("")


def _code(response: Response) -> str | None:
    """Return an error's code (RFC 6749 §5.2), None for what is no error."""
    if response.status == 200:  # noqa: PLR2004 - RFC 6749 §5.1
        return None
    try:
        code = json.loads(response.body)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return code if isinstance(code, str) else None


def _printable(text: object) -> str:
    """Take what a terminal takes no orders from; raises ValueError for the rest."""
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError
    return text


def _seconds(told: object, unless: float) -> float:
    """Read seconds, which some servers write as a text; raises ValueError, TypeError for others."""
    if told is None:
        return unless
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        raise TypeError
    seconds = float(told)
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError
    return seconds
