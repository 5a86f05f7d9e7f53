"""The authorization endpoint: what a client asks a person for, and what it is answered.

Rule of this file: nothing is sent to an address before it was found to be the client's own, letter
by letter; until then whatever is wrong is told to the person alone. Every answer names its issuer.
Sources: RFC 6749 §4.1; RFC 7636; RFC 9207; RFC 9700 §2.1 and §4; OpenID Connect Core §3.1.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

from latchgate.core import redirect_uri
from latchgate.oauth import codes
from latchgate.oauth.clients import Client, GrantType, found
from latchgate.oauth.codes import AuthorizedRequest
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.id_token import hinted
from latchgate.oauth.scopes import read_scopes, within
from latchgate.oauth.sent import Sent, UnanswerableError
from latchgate.oauth.server import AuthorizationServer
from latchgate.signin.session import Session

# Not the client's: when the person was sent to sign in, and which session they chose to go on with.
SINCE = "latchgate_since"
CHOSEN = "latchgate_session"
SINCE_SECONDS = 600.0
MAX_STATE = 2_048
MAX_NONCE = 512
_MAX_AGE = re.compile(r"[0-9]{1,9}")
_MOMENT = re.compile(r"[0-9]{1,12}\.[0-9]{1,6}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 §4.2: a SHA-256
_REFUSED = {
    "request": Code.REQUEST_NOT_SUPPORTED,
    "request_uri": Code.REQUEST_URI_NOT_SUPPORTED,
    "registration": Code.REGISTRATION_NOT_SUPPORTED,
}


class Mode(StrEnum):
    """How an answer gets to the client (OAuth 2.0 Multiple Response Types, Form Post)."""

    QUERY = "query"
    FORM_POST = "form_post"


class Prompt(StrEnum):
    """What a client wants a person to be asked (OpenID Connect Core §3.1.2.1)."""

    NONE = "none"
    LOGIN = "login"
    CONSENT = "consent"
    SELECT_ACCOUNT = "select_account"


class Step(StrEnum):
    """What a person has to do before a request can be answered."""

    SIGN_IN = "sign_in"
    PROVE_AGAIN = "prove_again"
    CHOOSE = "choose"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Back:
    """Where an answer goes to, and the client's own word that goes with it."""

    redirect_uri: str
    mode: Mode
    state: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be answered; `max_age` is seconds, `since` Unix seconds.

    `subject` is whom an ID token named that the client sent along, `chosen` the session that the
    person chose, `text` the request as it is carried through the pages.
    """

    text: str
    client: Client
    back: Back
    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    prompts: frozenset[Prompt]
    max_age: int | None
    login_hint: str
    subject: str | None
    since: float | None
    chosen: str | None

    @property
    def silent(self) -> bool:
        """Whether nobody may be asked anything."""
        return Prompt.NONE in self.prompts


class RefusedError(Exception):
    """A request that is refused to its client, at the client's address."""

    def __init__(self, error: OAuthError, back: Back) -> None:
        self.error = error
        self.back = back
        super().__init__(str(error))


def read(server: AuthorizationServer, raw: bytes) -> Asked:
    """Read a request from its query.

    UnanswerableError where it is not known to be a client's own; RefusedError where it is, and
    can't be granted. StoreError when the client can't be read.
    """
    sent = Sent.of(raw)
    client, back = _addressed(server, sent)
    try:
        return _asked(server, sent, client, back)
    except OAuthError as error:
        raise RefusedError(error, back) from error


def _addressed(server: AuthorizationServer, sent: Sent) -> tuple[Client, Back]:
    client = found(server.store, sent.once("client_id"))
    if client is None or not client.stands:
        msg = "The application that sent you here is not known, or was switched off."
        raise UnanswerableError(msg)
    uri = sent.once("redirect_uri")
    if not any(redirect_uri.matches(one, uri) for one in client.redirect_uris):
        msg = "The address to go back to (redirect_uri) is not one that the application registered."
        raise UnanswerableError(msg)
    mode = Mode.FORM_POST if sent.get("response_mode") == Mode.FORM_POST else Mode.QUERY
    state = None if "state" in sent.repeated else sent.get("state")
    if state is not None and len(state) > MAX_STATE:
        state = None
    return client, Back(uri, mode, state)


def _asked(server: AuthorizationServer, sent: Sent, client: Client, back: Back) -> Asked:
    if sent.repeated:
        raise _invalid("a parameter was sent twice")
    for name, code in _REFUSED.items():
        if sent.get(name) is not None:
            raise OAuthError(code, f"the parameter {name} is not taken here")
    if sent.get("response_type") is None:
        raise _invalid("the parameter response_type is missing")
    if sent.get("response_type") != "code":
        raise OAuthError(Code.UNSUPPORTED_RESPONSE_TYPE, "response_type must be code")
    if sent.get("response_mode") not in {None, *Mode}:
        raise _invalid("response_mode must be query or form_post")
    if back.state is None and sent.get("state") is not None:
        raise _invalid(f"state is longer than {MAX_STATE} characters")
    client.may(GrantType.AUTHORIZATION_CODE)
    scope = sent.get("scope")
    if scope is None:
        raise OAuthError(Code.INVALID_SCOPE, "the parameter scope is missing")
    nonce = sent.get("nonce")
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise _invalid(f"nonce is longer than {MAX_NONCE} characters")
    hint = sent.get("id_token_hint")
    return Asked(
        text=sent.text,
        client=client,
        back=back,
        scopes=within(read_scopes(scope), client.scopes, "the client"),
        challenge=_challenge(sent),
        nonce=nonce,
        prompts=_prompts(sent),
        max_age=_seconds(sent),
        login_hint=sent.get("login_hint") or "",
        subject=_subject(server, hint, client) if hint is not None else None,
        since=_moment(sent),
        chosen=sent.get(CHOSEN),
    )


def _challenge(sent: Sent) -> str:
    """Return PKCE's challenge, which everybody sends (RFC 9700 §2.1.1)."""
    challenge = sent.get("code_challenge")
    if challenge is None:
        raise _invalid("the parameter code_challenge is missing: PKCE is required")
    # Without a method it would be `plain` (RFC 7636 §4.3), which proves nothing.
    if sent.get("code_challenge_method") != "S256":
        raise _invalid("code_challenge_method must be S256")
    if _CHALLENGE.fullmatch(challenge) is None:
        raise _invalid("code_challenge is no SHA-256 in base64url without padding")
    return challenge


def _prompts(sent: Sent) -> frozenset[Prompt]:
    words = (sent.get("prompt") or "").split(" ") if sent.get("prompt") else []
    if any(word not in set(Prompt) for word in words):
        raise _invalid(f"prompt is made of {', '.join(Prompt)}")
    prompts = frozenset(Prompt(word) for word in words)
    if Prompt.NONE in prompts and len(prompts) > 1:
        raise _invalid("prompt=none goes with no other")
    return prompts


def _seconds(sent: Sent) -> int | None:
    text = sent.get("max_age")
    if text is None:
        return None
    if _MAX_AGE.fullmatch(text) is None:
        raise _invalid("max_age is a number of seconds")
    return int(text)


def _moment(sent: Sent) -> float | None:
    text = sent.get(SINCE)
    return float(text) if text is not None and _MOMENT.fullmatch(text) else None


def _subject(server: AuthorizationServer, hint: str, client: Client) -> str:
    claims = hinted(server, hint)
    if claims is None or claims.aud != client.id:
        raise _invalid("id_token_hint is no ID token of this server for this client")
    return claims.sub


def _invalid(description: str) -> OAuthError:
    return OAuthError(Code.INVALID_REQUEST, description)


def step(asked: Asked, session: Session | None, *, now: float) -> Step:
    """Return what a person has to do first.

    OAuthError login_required or account_selection_required where nobody may be asked.
    """
    if session is None or not _recent(asked, session, now):
        if asked.silent:
            raise OAuthError(Code.LOGIN_REQUIRED, "somebody has to sign in first")
        return Step.SIGN_IN if session is None else Step.PROVE_AGAIN
    if not fits(asked, session):
        if asked.silent and asked.subject not in {None, session.user_id}:
            raise OAuthError(Code.LOGIN_REQUIRED, "somebody else is signed in")
        if asked.silent:
            msg = "who is signed in can't use this client"
            raise OAuthError(Code.ACCOUNT_SELECTION_REQUIRED, msg)
        return Step.CHOOSE
    chosen = asked.chosen == session.id or _signed_in_for(asked, session, now)
    if Prompt.SELECT_ACCOUNT in asked.prompts and not chosen:
        return Step.CHOOSE
    return Step.READY


def fits(asked: Asked, session: Session) -> bool:
    """Whether who is signed in is whom the client means, of a tenant that it is for."""
    if asked.client.tenant_id not in {None, session.tenant_id}:
        return False
    return asked.subject in {None, session.user_id}


def _recent(asked: Asked, session: Session, now: float) -> bool:
    if _signed_in_for(asked, session, now):
        return True
    if Prompt.LOGIN in asked.prompts:
        return False
    return asked.max_age is None or now - session.auth_time <= asked.max_age


def _signed_in_for(asked: Asked, session: Session, now: float) -> bool:
    """Whether they signed in since this very request sent them to, of late."""
    since = asked.since
    return since is not None and since <= session.auth_time and now - since <= SINCE_SECONDS


def again(asked: Asked, **own: str) -> str:
    """Return a request's query with what is noted of it on its way, as it was else."""
    kept = [pair for pair in Sent.of(asked.text.encode()).pairs if pair[0] not in own]
    return urlencode([*kept, *own.items()])


def issue(server: AuthorizationServer, asked: Asked, session: Session, project_id: str) -> str:
    """Make the code that a client is answered with; StoreError when it can't be kept."""
    request = AuthorizedRequest(
        client_id=asked.client.id,
        user_id=session.user_id,
        project_id=project_id,
        redirect_uri=asked.back.redirect_uri,
        scopes=asked.scopes,
        challenge=asked.challenge,
        auth_time=session.auth_time,
        methods=session.methods,
        nonce=asked.nonce,
        session_id=session.id,
    )
    made = codes.issue(server.store, request, now=server.clock(), entropy=server.entropy)
    return made.reveal()


def answer(server: AuthorizationServer, back: Back, told: Mapping[str, str]) -> dict[str, str]:
    """Return all that a client is told: with its own state, and who tells it (RFC 9207 §2)."""
    state = {"state": back.state} if back.state is not None else {}
    return {**told, **state, "iss": server.issuer}


def refusal(error: OAuthError) -> dict[str, str]:
    """Return an error as a client is told it (RFC 6749 §4.1.2.1)."""
    return {"error": str(error.code), "error_description": error.description}


def with_query(uri: str, told: Mapping[str, str]) -> str:
    """Return an address with what it is told; a query that it has stays (RFC 6749 §3.1.2)."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(told)}" if told else uri
