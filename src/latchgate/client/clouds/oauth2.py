"""OAuth2: a Bearer token by client credentials, by a person's device code, or refreshed.

Rule of this file: the client's secret, codes and refresh tokens go to the server's own endpoints
and nowhere else, tokens to the origins that were named. Source: RFC 6749, RFC 6750, RFC 8628.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote_plus, urlencode

from latchgate.client.authorization_answers import (
    LASTS,
    Begun,
    DeviceCode,
    begun,
    error_code,
    issued,
)
from latchgate.client.errors import (
    AuthenticationFailed,
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
from latchgate.client.secret import Secret
from latchgate.client.secret import secret as wrapped
from latchgate.client.sources.search import search
from latchgate.client.sources.source import Found, Source, Wanted
from latchgate.client.spelling import basic
from latchgate.client.token_cache import USER_CACHE, TokenCache

if TYPE_CHECKING:
    from latchgate.client.token import Token

__all__ = ["LASTS", "DeviceCode", "OAuth2"]

WANTED = Wanted(
    cloud="OAuth2",
    sets=(("client_id", "client_secret"), ("client_id", "refresh_token"), ("client_id",)),
    variables={
        "client_id": "OAUTH2_CLIENT_ID",
        "client_secret": "OAUTH2_CLIENT_SECRET",
        "refresh_token": "OAUTH2_REFRESH_TOKEN",
        "issuer": "OAUTH2_ISSUER",
        "token_url": "OAUTH2_TOKEN_URL",
        "url": "OAUTH2_API_URL",
    },
    optional=("client_secret", "refresh_token", "issuer", "token_url", "url"),
)
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER = 5.0  # RFC 8628 §3.5
_LONGEST = 60.0
_TOO_MANY, _BROKEN = 429, 500
_READ: dict[str | None, tuple[type[Refused], str]] = {
    "invalid_client": (AuthenticationFailed, "the client is not known, or its secret is wrong"),
    "invalid_grant": (SignInEnded, "the sign-in has ended or was withdrawn: sign in again"),
    "expired_token": (SignInEnded, "nobody allowed it in time: sign in again"),
    "access_denied": (PermissionDenied, "the person who was asked said no"),
    "unauthorized_client": (PermissionDenied, "the client may not get tokens in this way"),
    "invalid_scope": (PermissionDenied, "the client may not have these scopes"),
    "invalid_target": (PermissionDenied, "the client may not have tokens for that resource"),
}
_ADDRESSES = ("issuer", "token_url", "url")
_PROOFS = {"basic": "client_secret_basic", "post": "client_secret_post", "none": "none"}
_GRANTS = ("client_credentials", "device", "refresh")


class OAuth2(Cloud):
    """A program's or a person's token of an OAuth2 authorization server.

    The server is `issuer`, which says where everything is (RFC 8414), or `token_url` and, for
    device codes, `device_url`. `grant` is how the first token is got: "client_credentials" with the
    client's secret; "device", where `prompt` shows a person the DeviceCode; "refresh" with
    `refresh_token`. Whatever refresh token comes along is used from then on, and kept in `cache`
    with the token: where each counts once, the newest is lost without a cache, and by `forget()`,
    and with it the sign-in.

    `auth` is how the client proves itself: "basic", "post" or "none"; unless it is given, as the
    server says, Basic where it says nothing, and none where there is no secret. `resource` and
    `audience` say for whom the token shall be. It is sent to the API at `url` and to `origins`
    alone, and taken to last 300 seconds where the server doesn't say. Without `client_id` the first
    source that has one counts, with what else it has: secret, refresh token, addresses.
    Raises: CredentialMissing, CredentialInvalid, InsecureTransport.
    """

    name: ClassVar[str] = "OAuth2"

    def __init__(  # noqa: PLR0913 - the parameters are the standards' own
        self,
        client_id: str | None = None,
        client_secret: str | Secret | None = None,
        *,
        url: str | None = None,
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
        sources: Iterable[Source] | None = None,
        cache: TokenCache | None = USER_CACHE,
    ) -> None:
        """Take a client, and where its tokens come from and may go."""
        fields = {"client_secret": client_secret, "refresh_token": refresh_token}
        told, self.source = _told(client_id, fields, sources)
        addresses = {name: told[name].reveal() for name in _ADDRESSES if name in told}
        if issuer is None and token_url is None:
            issuer, token_url = addresses.get("issuer"), addresses.get("token_url")
        self._issuer, self._endpoints = _server(issuer, token_url, device_url)
        self._server = issuer or token_url or ""
        self.client_id = told["client_id"].reveal()
        self._secret, self._refresh = told.get("client_secret"), told.get("refresh_token")
        self._grant, self._auth, self._prompt = grant, auth, prompt
        self._scope = scope if isinstance(scope, str) else " ".join(scope)
        self._resources = (resource,) if isinstance(resource, str) else tuple(resource)
        self._audience = audience
        api = url or addresses.get("url")
        places = [base(one, self.name) for one in ([api] if api else []) + list(origins)]
        self.url = places[0] if places else self._server
        self.hosts = Hosts(self.name, more=frozenset(Target.of(one).origin for one in places))
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
        return self._issued((yield Ask(self._asking(at, told, scope=self._scope))))

    def identify(self) -> Generator[Step, Any, Identity]:
        """Return whose token it is: a person's, where the server tells (`openid`), or the client's.

        Raises: what `exchange` raises, AuthenticationFailed.
        """
        token: Token = yield Obtain(of=self)
        principal, told = self.client_id, {"client_id": self.client_id}
        scopes = token.facts.get("scope", self._scope).split()
        if "openid" in scopes:
            at = yield from self._found()
            if at.userinfo is not None:
                principal = yield from self._subject(at.userinfo, token)
        rights = tuple(scopes) if scopes else None
        return Identity(self.name, principal, self.source, rights, token.ends_at, told)

    def revoke(self, token: str | Secret) -> Generator[Ask, Response, None]:
        """Return the flow that ends a sign-in by one of its tokens, the refresh token best.

        Source: RFC 7009. Raises: what the server answers, CredentialInvalid where it can't.
        """
        at = yield from self._found()
        if at.revocation is None:
            msg = f"OAuth2: {self._server} names no place to revoke tokens"
            raise CredentialInvalid(msg)
        one = wrapped(token)
        told = {"token": one.reveal()}
        response = yield Ask(self._asking(at, told, to=at.revocation))
        if response.status != 200:  # noqa: PLR2004 - RFC 7009 §2.2
            raise self._failed(response, one)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The client's secret, and the refresh token that was given."""
        return tuple(one for one in (self._secret, self._refresh) if one is not None)

    @property
    def slot(self) -> tuple[str, ...]:
        """The server, the client, and what is asked for."""
        asked = (self._grant, self._scope, self._audience or "", *self._resources)
        return (self.name, self._server, self.client_id, *asked)

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
        # RFC 6749 §6: what a person allowed may be less than was asked for, and is not asked again.
        scope = self._scope if self._grant == "refresh" else ""
        return self._issued((yield Ask(self._asking(at, told, scope=scope))), known)

    def _by_device(self, at: Endpoints) -> Exchange:
        if self._prompt is None or at.device is None:
            lacks = "prompt=" if self._prompt is None else "a server with device codes"
            msg = f"OAuth2: nobody has signed in, and that takes {lacks}"
            raise CredentialMissing(msg)
        made = self._begun((yield Ask(self._asking(at, {}, to=at.device, scope=self._scope))))
        self._prompt(made.shown)
        told = {"grant_type": _DEVICE, "device_code": made.code.reveal()}
        interval, waited = made.interval, 0.0
        while waited < made.shown.expires_in:
            yield Pause(interval)
            waited += interval
            try:
                response: Response | None = yield Ask(self._asking(at, told))
            except Unreachable:
                response = None
            if response is None or response.status >= _BROKEN:
                # RFC 8628 §3.5: whoever can't be reached is asked ever more seldom.
                interval = min(interval * 2.0, _LONGEST)
                continue
            code = error_code(response)
            if code == "slow_down" or response.status == _TOO_MANY:
                interval += _SLOWER
            elif code != "authorization_pending":
                given = self._issued(response, made.code)
                # Without a refresh token of its own it is not to be renewed by an older one.
                return given._replace(refresh=given.refresh or "")
        msg = "nobody allowed it in time: sign in again"
        raise SignInEnded(msg, status=400, code="expired_token", cloud=self.name)

    def _asking(
        self,
        at: Endpoints,
        told: dict[str, str],
        *,
        to: str | None = None,
        scope: str | None = None,
    ) -> Request:
        """Return a request of the client's; with a `scope`, "" too, it says what token it wants."""
        pairs = list(told.items())
        if scope is not None:
            pairs += [("scope", scope)] if scope else []
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
        made = issued(response, self._scope)
        if made is None:
            raise self._unknown(response)
        return made

    def _begun(self, response: Response) -> Begun:
        if response.status != 200:  # noqa: PLR2004 - RFC 8628 §3.2
            raise self._failed(response)
        made = begun(response)
        if made is None:
            raise self._unknown(response)
        return made

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
        return refused(self, response, read=_READ.get(error_code(response)), also=sent)

    def _unknown(self, response: Response) -> Unreachable:
        msg = f"{self._server} answered {response.status} with what is no answer of OAuth2"
        return Unreachable(msg)


def _told(
    client_id: str | None,
    secrets: Mapping[str, str | Secret | None],
    sources: Iterable[Source] | None,
) -> Found:
    given = {name: wrapped(value) for name, value in secrets.items() if value is not None}
    if client_id is not None:
        return Found({"client_id": Secret(client_id), **given}, "argument")
    if given:
        msg = f"OAuth2: give client_id beside {' and '.join(given)}"
        raise CredentialInvalid(msg)
    return search(WANTED, sources)


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
