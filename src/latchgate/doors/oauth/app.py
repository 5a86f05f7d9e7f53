"""The OAuth2 endpoints, each an ASGI application by its exact path on the console's address.

Rule of this folder: a handler reads strictly, calls one function of `oauth` and words what it
returns; whatever fails is an error of RFC 6749 §5.2, and a fault of ours never a success. Plain
ASGI, because tokens are given out and looked at by the thousand.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from latchgate.doors.asgi import read_request
from latchgate.doors.door import Door
from latchgate.doors.oauth import documents, tokens
from latchgate.doors.oauth.answers import (
    BROWSERS,
    Answer,
    not_allowed,
    preflight,
    refused,
    send_answer,
)
from latchgate.doors.oauth.call import Call, Desk, TooManyError, unavailable
from latchgate.doors.oauth.reading import Form, question_of, read_body, read_form
from latchgate.doors.oauth.token import token
from latchgate.keyring.errors import KeyringError
from latchgate.oauth import discovery
from latchgate.oauth.errors import Code, OAuthError
from latchgate.store.errors import StoreError, UnstorableError

_LATER = 1
_NO_FORM = Form({})
_log = logging.getLogger(__name__)
Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address: what it takes, whether as a form, and whether pages of others may ask it.

    `remembered` says that the same question is asked again and again, by those who were told.
    """

    handler: Handler
    methods: tuple[str, ...]
    form: bool
    browsers: bool
    remembered: bool = False


_TOLD = Endpoint(documents.metadata, ("GET", "HEAD"), form=False, browsers=True)
ENDPOINTS: Mapping[str, Endpoint] = {
    discovery.OPENID_CONFIGURATION: _TOLD,
    discovery.METADATA: _TOLD,
    discovery.JWKS: Endpoint(documents.keys, ("GET", "HEAD"), form=False, browsers=True),
    discovery.USERINFO: Endpoint(documents.userinfo, ("GET", "POST"), form=False, browsers=True),
    discovery.TOKEN: Endpoint(token, ("POST",), form=True, browsers=True),
    discovery.REVOKE: Endpoint(tokens.revoke, ("POST",), form=True, browsers=True),
    discovery.INTROSPECT: Endpoint(
        tokens.introspect, ("POST",), form=True, browsers=False, remembered=True
    ),
    discovery.DEVICE: Endpoint(tokens.authorize_device, ("POST",), form=True, browsers=False),
}


def endpoints(door: Door) -> dict[str, ASGIApp]:
    """Return the ASGI applications of all endpoints, by path."""
    desk = Desk.of(door)
    return {path: _application(desk, endpoint) for path, endpoint in ENDPOINTS.items()}


def _application(desk: Desk, endpoint: Endpoint) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        told = await _answered(desk, endpoint, scope, receive)
        if endpoint.browsers and scope["method"] != "OPTIONS":
            told = Answer(told.status, told.body, (*told.headers, *BROWSERS))
        await send_answer(told, scope, send)

    return answer


async def _answered(desk: Desk, endpoint: Endpoint, scope: Scope, receive: Receive) -> Answer:
    method = scope["method"]
    if method == "OPTIONS" and endpoint.browsers:
        return preflight(endpoint.methods)
    if method not in endpoint.methods:
        return not_allowed(endpoint.methods)
    try:
        body = await read_body(receive) if endpoint.form else b""
        question = question_of(scope, body) if endpoint.remembered else b""
        if endpoint.remembered:
            known = desk.introspected.recall(question, desk.server.moment(), desk.door.clock())
            if known is not None:
                return Answer(200, known)
        request = read_request(scope, desk.door.trusted)
        form = read_form(scope, body, request) if endpoint.form else _NO_FORM
        return await endpoint.handler(Call(desk, request, form, question))
    except OAuthError as error:
        return _worded(desk, scope, error)
    except UnstorableError as error:
        return _worded(desk, scope, OAuthError(Code.INVALID_REQUEST, error.detail))
    except (StoreError, KeyringError):
        _log.exception("an OAuth2 request could not be answered")
        return _worded(desk, scope, unavailable())
    except Exception:  # noqa: BLE001 - whatever fails is answered, and never as a success
        _log.exception("an OAuth2 request failed")
        return refused(OAuthError(Code.SERVER_ERROR, "the server failed to answer", 500))


def _worded(desk: Desk, scope: Scope, error: OAuthError) -> Answer:
    """Word a refusal; whoever tried Basic is challenged with it (RFC 6749 §5.2)."""
    challenge = None
    tried = any(name.lower() == b"authorization" for name, _ in scope["headers"])
    if error.code is Code.INVALID_CLIENT and tried:
        challenge = f'Basic realm="{desk.server.issuer}", charset="UTF-8"'
    wait = error.wait if isinstance(error, TooManyError) else None
    if error.code is Code.TEMPORARILY_UNAVAILABLE:
        wait = _LATER
    return refused(error, challenge, wait)
