"""One token for everybody: fetched once, however many threads, tasks and processes ask for it.

Rule of this file: `obtain` is a generator like every flow and waits for nothing itself: it yields
what it waits for. Whoever leads fetches; everybody else joins and gets the same token or the same
error. A leader that is cancelled or dies hands over: within the process by `Renewal`, between
processes because the operating system frees a dead process's lock.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from latchgate.client.errors import ClientError, Refused
from latchgate.client.flow import Ask, Cloud
from latchgate.client.token import Token
from latchgate.client.token_cache import TokenCache

_PAUSES = (0.01, 0.1)  # seconds between looks at a lock that another process holds
_HELD = 20.0  # seconds after which a lock's holder is taken for stuck
_AGAIN = 0.05  # of a token's life: how long after a failed early renewal the next is tried


class Flight:
    """An exchange on its way: `landed` ends with it, and `error` is why it brought nothing."""

    __slots__ = ("error", "landed")

    def __init__(self) -> None:
        self.landed: Future[None] = Future()
        # Running, it can't be cancelled: one of those who wait must not end it for the others.
        self.landed.set_running_or_notify_cancel()
        self.error: ClientError | None = None


class Join(NamedTuple):
    """Wait for whoever leads; answered by nothing, raises nothing."""

    flight: Flight


class Pause(NamedTuple):
    """Wait for some seconds."""

    seconds: float


Waiting = Ask | Join | Pause


class _Lead(NamedTuple):
    flight: Flight


@dataclass(frozen=True, slots=True)
class World:
    """The clock (Unix seconds) and chance (in [0, 1)) that renewal goes by."""

    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random  # it spreads load, it guards nothing


class Renewal:
    """The token of one cloud object, and who fetches the next."""

    def __init__(self, cache: TokenCache | None, world: World | None = None) -> None:
        """Keep tokens in `cache` for other processes; without one in this object alone."""
        self.cache = cache
        self.world = world if world is not None else World()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._flight: Flight | None = None
        self._process = os.getpid()
        if not hasattr(self, "_token"):
            self._token: Token | None = None

    def obtain(self, cloud: Cloud, refused: Token | None = None) -> Generator[Waiting, Any, Token]:
        """Return the generator that ends with a live token other than `refused`.

        Where the refused one had just replaced another that was refused, it is returned again:
        a server that takes no token is not asked for one after the other.
        """
        while True:
            turn = self._turn(refused)
            if isinstance(turn, Token):
                return turn
            if isinstance(turn, Join):
                yield turn
                if turn.flight.error is not None:
                    raise turn.flight.error.again()
                continue
            return (yield from self._lead(cloud, turn, refused))

    @property
    def held(self) -> Token | None:
        """The token that is there now, live or not."""
        return self._token

    def forget(self) -> None:
        """Drop the token, so that the next request fetches one."""
        with self._lock:
            self._token = None

    def _turn(self, refused: Token | None) -> Token | Join | _Lead:
        if self._process != os.getpid():
            # After a fork: who led was a thread of the parent, and may have held the lock.
            self._begin()
        now = self.world.clock()
        token = self._token
        if refused is None and token is not None and not token.due(now):
            return token
        with self._lock:
            token = self._token
            usable = token is not None and token.live(now) and token is not refused
            if refused is not None and refused.settled(now):
                return refused
            if token is not None and usable and (refused is not None or not token.due(now)):
                return token
            if self._flight is not None:
                # Until its end the old one does, while somebody else fetches the next.
                return token if token is not None and usable else Join(self._flight)
            self._flight = Flight()
            return _Lead(self._flight)

    def _lead(
        self, cloud: Cloud, turn: _Lead, refused: Token | None
    ) -> Generator[Waiting, Any, Token]:
        token: Token | None = None
        error: ClientError | None = None
        try:
            token = yield from self._fetched(cloud, refused)
        except ClientError as caught:
            error = caught
            token = self._postponed(caught, refused)
            if token is None:
                raise
        finally:
            # Whatever happened, cancellation included: those who joined go on.
            with self._lock:
                self._flight = None
                if token is not None:
                    self._token = token
                elif error is not None:
                    turn.flight.error = error
            turn.flight.landed.set_result(None)
        return token

    def _postponed(self, error: ClientError, refused: Token | None) -> Token | None:
        """Return the token that lives though its renewal failed, to be renewed a bit later."""
        token, now = self._token, self.world.clock()
        if token is None or token is refused or not token.live(now) or isinstance(error, Refused):
            return None
        later = now + (token.ends_at - token.got_at) * _AGAIN
        return replace(token, renew_at=min(later, token.ends_at))

    def _fetched(self, cloud: Cloud, refused: Token | None) -> Generator[Waiting, Any, Token]:
        if self.cache is None:
            return (yield from self._exchanged(cloud, self._token, refused))
        with self.cache.slot(cloud.slot, cloud.secrets) as slot:
            waited = 0.0
            while not slot.locked() and waited < _HELD:
                pause = _PAUSES[0] + (_PAUSES[1] - _PAUSES[0]) * self.world.chance()
                waited += pause
                yield Pause(pause)
            kept = slot.read()
            now = self.world.clock()
            if kept is not None and not kept.due(now) and not _same(kept, refused):
                return kept
            token = yield from self._exchanged(cloud, kept or self._token, refused)
            slot.write(token)
            return token

    def _exchanged(
        self, cloud: Cloud, before: Token | None, refused: Token | None
    ) -> Generator[Waiting, Any, Token]:
        issued = yield from cloud.exchange(before)
        token = Token.arrived(
            issued.value,
            now=self.world.clock(),
            lasts=issued.lasts,
            chance=self.world.chance(),
            refresh=issued.refresh,
            facts=issued.facts,
        )
        return replace(token, after_refusal=True) if refused is not None else token


def _same(one: Token, other: Token | None) -> bool:
    return other is not None and one.value == other.value
