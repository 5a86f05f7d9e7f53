"""One request of an OAuth2 endpoint: what every handler is given."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Decision, Request
from latchgate.doors.door import Door
from latchgate.doors.oauth.reading import Credentials, Form, read_credentials
from latchgate.oauth.clients import Client, Proven
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.introspection import Known
from latchgate.oauth.known_clients import KnownClients
from latchgate.oauth.server import AuthorizationServer
from latchgate.signin.quota import Quota
from latchgate.signin.throttle import Throttle, site_of
from latchgate.verify.walk import Claim

_WAIT = 900
DEVICES = 30  # that one address may begin to authorize, of each worker: each is a row
DEVICE_SECONDS = 60.0
DOWN = frozenset(reason for reason, told in TABLE.items() if told["problem"].status == 503)  # noqa: PLR2004 - RFC 9110 §15.6.4


class TooManyError(OAuthError):
    """Something was asked too often of late; `wait` is how many seconds to wait."""

    def __init__(self, code: Code, description: str, wait: int) -> None:
        self.wait = wait
        super().__init__(code, description, 429)


@dataclass(frozen=True, slots=True)
class Desk:
    """What all requests share; built once for a worker's event loop."""

    door: Door
    server: AuthorizationServer
    clients: KnownClients
    throttle: Throttle = field(default_factory=Throttle)
    introspected: Known = field(default_factory=Known)
    devices: Quota = field(default_factory=lambda: Quota(DEVICES, DEVICE_SECONDS))

    @classmethod
    def of(cls, door: Door) -> Desk:
        """Put it together."""
        server = AuthorizationServer(
            door.store, door.engine, door.jwt_signers, door.clock, door.entropy
        )
        return cls(door, server, KnownClients(server))


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its form; `question` is a digest of all that was read of it."""

    desk: Desk
    request: Request
    form: Form
    question: bytes = b""

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server."""
        return self.desk.server

    @property
    def address(self) -> str | None:
        """Where it came from, for the journal."""
        return str(self.request.client) if self.request.client is not None else None

    async def client(self) -> Client:
        """Return the client that asks; OAuthError invalid_client when it proved nothing."""
        return (await self.proven()).client

    async def proven(self) -> Proven:
        """Return the client that asks, and until when it has proven that; see `client`."""
        found = await self.proven_if_any()
        if found is None:
            msg = "say which client asks: by Authorization, or client_id in the body"
            raise OAuthError(Code.INVALID_CLIENT, msg, 401)
        return found

    async def proven_if_any(self) -> Proven | None:
        """Return the client that asks, None when it says nothing of itself."""
        told = read_credentials(self.request, self.form)
        if told is None:
            return None
        known = self.desk.clients.recall(told.client_id, told.secret)
        return known if known is not None else await self._proven(told)

    async def _proven(self, told: Credentials) -> Proven:
        """Look a client up; wrong secrets are counted by client and address together.

        Not by client alone: else whoever knows its id, which is public, could lock it out.
        """
        desk, origin = self.desk, self.request.client
        account, now = f"{told.client_id[:255]} {site_of(origin)}", desk.door.ticks()
        if not desk.throttle.allows(account, origin, now):
            msg = "too many wrong secrets of late for this client from this address"
            raise TooManyError(Code.INVALID_CLIENT, f"{msg}; try again later", _WAIT)
        try:
            return await asyncio.to_thread(desk.clients.authenticated, told.client_id, told.secret)
        except OAuthError:
            desk.throttle.guessed(account, origin, now)
            raise

    async def decide(self, claim: Claim) -> Decision:
        """Decide whether a credential stands that the request claims; OAuthError 503."""
        engine = self.desk.door.engine
        found = engine.attempt(self.request, None, claim)
        if not isinstance(found, Decision):
            found = await engine.decide_later(self.request, found, claim)
        if found.reason in DOWN:
            raise unavailable()
        return found


def unavailable() -> OAuthError:
    """Return what is answered when it can't be known what is right."""
    msg = "the server can't answer just now; try again later"
    return OAuthError(Code.TEMPORARILY_UNAVAILABLE, msg, 503)
