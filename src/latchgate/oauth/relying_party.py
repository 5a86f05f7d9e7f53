"""Signing in through an external OpenID provider: the question, the answer, who it was.

Rule of this file: an answer counts for the one browser and the one provider that the question was
put to, once. State, nonce and PKCE verifier are worked out of what the browser alone holds and a
seed, so nothing that is kept would let anybody else answer. Whatever can't be checked is refused.
Source: OpenID Connect Core §3.1; RFC 7636; RFC 9207; RFC 9700 §2.1, §4.4.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from latchgate.core.assertion import header_fault, read_statement
from latchgate.core.id_assertion import Expected, id_token_fault
from latchgate.core.identity_provider import IdentityProvider
from latchgate.core.secret import Secret, same
from latchgate.signin import asking
from latchgate.signin.asking import Answer, fetched
from latchgate.signin.discovery import Discovery, Metadata
from latchgate.signin.jose import fitting, signed
from latchgate.signin.jwks import FETCH_SECONDS, FetchError, KeySets

AT_ONCE = 8  # sign-ins that a process asks providers about: a slow one doesn't keep all others
SEED_BYTES = 16
_MAX_CODE = 4_096
_WORD = re.compile(r"[a-z0-9_.-]{1,64}")


class ProviderError(Exception):
    """Nobody was signed in; says why, for the log and not for the browser."""


class UnavailableError(ProviderError):
    """The provider could not be asked, or could not answer; it may later."""


class DeclinedError(ProviderError):
    """The provider says that the person did not go through with it."""


@dataclass(frozen=True, slots=True)
class Round:
    """One question: what a browser holds, a seed that is kept meanwhile, and when it was put.

    With `again` its user must sign in anew, whatever session they have there.
    """

    browser: Secret
    seed: str
    begun_at: float
    again: bool

    @property
    def state(self) -> Secret:
        """What ties the answer to the browser."""
        return self._derived("state")

    @property
    def nonce(self) -> Secret:
        """What ties the ID token to the question."""
        return self._derived("nonce")

    @property
    def verifier(self) -> Secret:
        """What ties the code to the question (RFC 7636 §4.1)."""
        return self._derived("verifier")

    def is_answered_by(self, state: str) -> bool:
        """Whether an answer's state is this question's."""
        return same(state.encode(errors="replace"), self.state.reveal().encode())

    def _derived(self, what: str) -> Secret:
        told = f"relying-party:{what}:{self.seed}".encode()
        made = hmac.digest(self.browser.reveal().encode(), told, "sha256")
        return Secret(_spelled(made))


@dataclass(frozen=True, slots=True)
class Proven:
    """Whom a provider signed in: their subject there, and all that it says of them."""

    subject: str
    claims: Mapping[str, Any]


class RelyingParty:
    """The providers of one server, as one process asks them. Safe to use from many threads.

    `ask` sends a request to where an issuer leads (`signin.asking`), `fetch` is a GET of that;
    `ticks` never jumps, `clock` is Unix time (seconds).
    """

    def __init__(
        self,
        providers: Iterable[IdentityProvider],
        *,
        ticks: Callable[[], float],
        clock: Callable[[], float],
        ask: Callable[..., Answer] = asking.ask,
        fetch: Callable[..., bytes] = fetched,
    ) -> None:
        self._providers = {one.name: one for one in providers}
        self._clock = clock
        self._ask = ask
        self._discovery = Discovery(ticks=ticks, fetch=fetch)
        self._keys = {
            one.name: KeySets(fetch=partial(fetch, home=one.issuer), ticks=ticks)
            for one in self._providers.values()
        }
        self._places = threading.BoundedSemaphore(AT_ONCE)

    @property
    def providers(self) -> tuple[IdentityProvider, ...]:
        """Every provider, in the order of the configuration."""
        return tuple(self._providers.values())

    def knows(self, name: str) -> bool:
        """Whether people may sign in through a provider of this name."""
        return name in self._providers

    @property
    def issuers(self) -> frozenset[str]:
        """The issuers of all providers."""
        return frozenset(one.issuer for one in self._providers.values())

    def question(self, provider: IdentityProvider, asked: Round, *, redirect_uri: str) -> str:
        """Return where to send a browser; UnavailableError."""
        with self._place():
            metadata = self._metadata(provider)
        told = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(provider.scopes),
            "state": asked.state.reveal(),
            "nonce": asked.nonce.reveal(),
            "code_challenge": _spelled(hashlib.sha256(asked.verifier.reveal().encode()).digest()),
            "code_challenge_method": "S256",
        }
        if asked.again:
            told |= {"prompt": "login", "max_age": "0"}
        address = metadata.authorization_endpoint
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(told)}"

    def answer(
        self,
        provider: IdentityProvider,
        asked: Round,
        told: Mapping[str, str],
        *,
        redirect_uri: str,
    ) -> Proven:
        """Return whom a provider's answer signs in; its state was compared before.

        `told` are the fields of the answer. DeclinedError, UnavailableError, ProviderError.
        """
        with self._place():
            metadata = self._metadata(provider)
            _check_issuer(metadata, told)
            code = _code(told)
            tokens = self._redeemed(provider, metadata, asked, code, redirect_uri)
            claims = self._identified(provider, metadata, asked, code, tokens)
            if provider.claims <= set(claims):
                return Proven(claims["sub"], claims)
            more = self._userinfo(provider, metadata, claims["sub"], tokens)
            return Proven(claims["sub"], {**more, **claims})

    def close(self) -> None:
        """Let go of the threads."""
        for keys in self._keys.values():
            keys.close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise UnavailableError(f"{AT_ONCE} sign-ins ask providers already")
        try:
            yield
        finally:
            self._places.release()

    def _metadata(self, provider: IdentityProvider) -> Metadata:
        try:
            return self._discovery.metadata(provider.issuer)
        except FetchError as error:
            raise UnavailableError(f"its configuration can't be had: {error}") from error

    def _redeemed(
        self,
        provider: IdentityProvider,
        metadata: Metadata,
        asked: Round,
        code: Secret,
        redirect_uri: str,
    ) -> Mapping[str, Any]:
        """Exchange a code (RFC 6749 §4.1.3) for tokens."""
        form = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": redirect_uri,
            "code_verifier": asked.verifier.reveal(),
        }
        headers: dict[str, str] = {}
        if provider.secret_file is None:
            form["client_id"] = provider.client_id
        else:
            headers["Authorization"] = _basic(provider)
        try:
            answer = self._ask(
                "POST", metadata.token_endpoint, home=provider.issuer, headers=headers, form=form
            )
        except FetchError as error:
            raise UnavailableError(f"its token endpoint can't be asked: {error}") from error
        told = _object(answer.body)
        if answer.status >= 500:  # noqa: PLR2004 - HTTP's own number
            raise UnavailableError(f"its token endpoint answered {answer.status}")
        if answer.status != 200 or told is None:  # noqa: PLR2004 - HTTP's own number
            raise ProviderError(f"its token endpoint answered {answer.status}{_error(told)}")
        return told

    def _identified(
        self,
        provider: IdentityProvider,
        metadata: Metadata,
        asked: Round,
        code: Secret,
        tokens: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Return the claims of the ID token, proven and judged."""
        text = tokens.get("id_token")
        told = read_statement(text) if isinstance(text, str) else None
        if not isinstance(text, str) or told is None or isinstance(told, str):
            raise ProviderError(f"its answer has no ID token: {told or 'none'}")
        fault = header_fault(told.header)
        algorithm, key_id = str(told.header.get("alg")), told.header.get("kid")
        if fault is None and algorithm not in provider.algorithms:
            fault = f"the token is not signed with {' or '.join(provider.algorithms)}"
        if fault is not None:
            raise ProviderError(f"its ID token: {fault}")
        known = self._known_keys(provider, metadata, key_id)
        key = fitting(known, key_id, algorithm)
        if key is None or not signed(text, key, algorithm):
            raise ProviderError("its ID token has no signature of its keys")
        access = tokens.get("access_token")
        expected = Expected(
            issuer=provider.issuer,
            client_id=provider.client_id,
            nonce=asked.nonce,
            algorithm=algorithm,
            code=code,
            access_token=Secret(access) if isinstance(access, str) else None,
            since=asked.begun_at if asked.again else None,
        )
        fault = id_token_fault(told.claims, expected, self._clock())
        if fault is not None:
            raise ProviderError(f"its ID token: {fault}")
        return told.claims

    def _known_keys(
        self, provider: IdentityProvider, metadata: Metadata, key_id: str | None
    ) -> tuple[Any, ...]:
        keys = self._keys[provider.name]
        found = keys.find(metadata.jwks_uri, key_id)
        if isinstance(found, Future):
            try:
                found.result(2 * FETCH_SECONDS)
            except LateError as error:
                raise UnavailableError("its keys take too long") from error
            found = keys.held(metadata.jwks_uri)
        if found is None:
            raise UnavailableError("its keys can't be had")
        return found

    def _userinfo(
        self,
        provider: IdentityProvider,
        metadata: Metadata,
        subject: str,
        tokens: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Return what the provider says besides the ID token (OpenID Connect Core §5.3)."""
        access, kind = tokens.get("access_token"), tokens.get("token_type")
        bearer = isinstance(kind, str) and kind.lower() == "bearer" and isinstance(access, str)
        if metadata.userinfo_endpoint is None or not bearer:
            return {}
        headers = {"Authorization": f"Bearer {access}"}
        try:
            answer = self._ask(
                "GET", metadata.userinfo_endpoint, home=provider.issuer, headers=headers
            )
        except FetchError as error:
            raise UnavailableError(f"its userinfo endpoint can't be asked: {error}") from error
        told = _object(answer.body)
        if answer.status != 200 or told is None:  # noqa: PLR2004 - HTTP's own number
            raise UnavailableError(f"its userinfo endpoint answered {answer.status}")
        if told.get("sub") != subject:
            raise ProviderError("its userinfo is about another subject")
        return told


def _check_issuer(metadata: Metadata, told: Mapping[str, str]) -> None:
    """Refuse an answer of another provider (RFC 9207 §2.4)."""
    issuer = told.get("iss")
    if issuer is None and metadata.tells_issuer:
        raise ProviderError("its answer does not say its iss, as it announced to do")
    if issuer is not None and issuer != metadata.issuer:
        raise ProviderError("the iss of the answer is another issuer")


def _code(told: Mapping[str, str]) -> Secret:
    error, code = told.get("error"), told.get("code", "")
    if error is not None:
        if error in {"access_denied", "interaction_required", "login_required"}:
            raise DeclinedError(f"it answered {error}")
        unavailable = error in {"server_error", "temporarily_unavailable"}
        sort = UnavailableError if unavailable else ProviderError
        raise sort(f"it answered{_error(told)}")
    if not 0 < len(code) <= _MAX_CODE:
        raise ProviderError("its answer has no code")
    return Secret(code)


def _basic(provider: IdentityProvider) -> str:
    """Return what the client proves itself with (RFC 6749 §2.3.1); read anew each time."""
    if provider.secret_file is None:
        raise RuntimeError("a public client has no secret")
    try:
        secret = provider.secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError("its client_secret_file can't be read") from error
    if not secret:
        raise UnavailableError("its client_secret_file is empty")
    pair = f"{quote(provider.client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _error(told: Mapping[str, Any] | None) -> str:
    """Return an answer's error code, where it is one; nothing else of it is anybody's to log."""
    code = told.get("error") if told is not None else None
    return f" {code}" if isinstance(code, str) and _WORD.fullmatch(code) else ""


def _spelled(held: bytes) -> str:
    return base64.urlsafe_b64encode(held).decode().rstrip("=")
