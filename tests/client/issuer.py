"""A cloud whose tokens are fetched, and who issues them, without a socket.

What the HTTP library would do is a function here: it counts exchanges, and waits where a test says.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, ClassVar

from latchgate.client.errors import Unreachable
from latchgate.client.flow import Ask, Cloud, Exchange, Flow, Identity, Issued, Step, with_token
from latchgate.client.hosts import Hosts
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.renewal import Renewal, World
from latchgate.client.secret import Secret
from latchgate.client.shell import carry_out
from latchgate.client.token import Token
from latchgate.client.token_cache import TokenCache

URL = "https://issuer.example"
TARGET = Target("https", "issuer.example", 443, "/things")
LIMIT = 30.0  # seconds that anything here may take on a slow machine


class Clock:
    """A clock that is set by hand, with chance in the middle."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def world(self) -> World:
        """Return it as renewal's world."""
        return World(clock=lambda: self.now, chance=lambda: 0.5)


class Issuer:
    """Who issues tokens: `token-1`, `token-2` …; every field may be changed meanwhile."""

    def __init__(self, *, lasts: float = 1000.0) -> None:
        self.lasts = lasts
        self.status = 201
        self.fault: BaseException | None = None
        self.rotates = False
        self.exchanges: list[Any] = []  # what each was asked with
        self.gate = threading.Event()  # an exchange is answered once it is open
        self.gate.set()

    def ask(self, request: Request) -> Response:
        """Answer an exchange, once the gate is open."""
        self.arrive(request)
        assert self.gate.wait(LIMIT)
        return self.answer(len(self.exchanges))

    def arrive(self, request: Request) -> None:
        """Note an exchange."""
        assert request.body is not None
        self.exchanges.append(json.loads(request.body))

    def answer(self, number: int) -> Response:
        """Answer the exchange of a number."""
        if self.fault is not None:
            raise self.fault
        told: dict[str, Any] = {"token": f"token-{number}", "lasts": self.lasts}
        if self.rotates:
            told["refresh"] = f"refresh-{number}"
        if self.status != 201:
            told = {"error": "no such key", "code": "GONE"}
        return Response(self.status, {}, json.dumps(told).encode())

    def unreachable(self) -> None:
        """Answer nobody from now on."""
        self.fault = Unreachable("issuer.example can't be reached: no route")


class TokenCloud(Cloud):
    """A cloud of that issuer, with a secret."""

    name: ClassVar[str] = "Issuer"
    hosts = Hosts("Issuer", names=frozenset({"issuer.example"}))

    def __init__(
        self,
        cache: TokenCache | None = None,
        clock: Clock | None = None,
        *,
        secret: str = "hunter2hunter2",
        patience: float = 120.0,
    ) -> None:
        self.url, self.source = URL, "argument"
        self._secret = Secret(secret)
        self.renewal: Renewal = Renewal(
            cache, clock.world() if clock is not None else None, patience=patience
        )

    def signed(self, target: Target) -> Flow:
        return with_token("X-Auth-Token")

    def exchange(self, token: Token | None) -> Exchange:
        refresh = token.refresh.reveal() if token is not None and token.refresh else None
        body = json.dumps({"refresh": refresh}).encode()
        response = yield Ask(Request("POST", f"{URL}/tokens", body=body))
        if response.status != 201:
            raise refused(self, response)
        told = json.loads(response.body)
        return Issued(told["token"], told["lasts"], {"user": "u"}, told.get("refresh"))

    def identify(self) -> Generator[Step, Any, Identity]:
        yield Ask(Request("POST", f"{URL}/me", body=b'"who"'))
        return Identity(self.name, "u", self.source)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (self._secret,)

    def get(self, issuer: Issuer, refused: Token | None = None, lasting: float = 0.0) -> Token:
        """Obtain the token, waiting in this thread."""
        return carry_out(self, self.renewal.obtain(self, refused, lasting=lasting), ask=issuer.ask)

    def text(self, issuer: Issuer, refused: Token | None = None) -> str:
        """Return the token's text."""
        return self.get(issuer, refused).value.reveal()


def until(holds: Callable[[], bool]) -> None:
    """Wait for something to hold."""
    ends = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < ends, "did not come to pass"
        time.sleep(0.002)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something to hold, as a task."""
    ends = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < ends, "did not come to pass"
        await asyncio.sleep(0.002)


def waiting(cloud: TokenCloud) -> int:
    """Return how many wait for whoever leads."""
    flight = cloud.renewal._flight
    return len(flight._waking or ()) if flight is not None else 0
