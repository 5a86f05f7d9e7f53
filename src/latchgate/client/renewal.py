"""One token for everybody: fetched once, however many threads, tasks and processes ask for it.

Rule of this file: `obtain` is a generator like every flow and waits for nothing itself: it yields
what it waits for. Whoever leads fetches; everybody else joins and gets the same token or the same
error. A leader that is cancelled or dies hands over: within the process by `Renewal`, between
processes because the operating system frees a dead process's lock; one that is stuck is waited for
no longer than its `patience`. The next who asks after an error tries anew.

What becomes of a token that lives:
- From 80 to 90 % of its life on, whoever asks first renews it; all others go on with it.
- A renewal that fails leaves it in use, and is tried again later, up to its end. This holds for a
  refusal too: that the credential no longer stands does not say that its token doesn't, which the
  server judges at every request; the refusal is logged, since somebody can act before the end.
- One that is refused (401) is replaced once. If its successor is refused as well, that is the
  server's answer for 30 seconds, to whoever asks in whichever process.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from latchgate.client.errors import ClientError, CredentialInvalid, Refused, Unreachable
from latchgate.client.flow import Ask, Cloud, Exchange, Issued
from latchgate.client.spelling import fits_header
from latchgate.client.token import Token
from latchgate.client.token_cache import Slot, TokenCache

_PAUSES = (0.01, 0.1)  # seconds between looks at a lock that another process holds
_AGAIN = 0.05  # of a token's life: how long after a failed early renewal the next is tried
_AGAIN_SECONDS = (1.0, 300.0)  # … within these bounds
_FAULTS = 2  # exchanges that whoever waits sees end by a fault, until it is told


class Flight:
    """An exchange on its way: `token` or `error` is what came of it; neither, if nothing did."""

    def __init__(self, faults: int) -> None:
        self.token: Token | None = None
        self.error: ClientError | None = None
        self.faults = faults  # how many exchanges before it were ended by one, in a row
        self.steps = 0  # of the exchange: while they go on, nobody is stuck
        self.dropped = False  # whether what comes of it is wanted no more
        self.thread = threading.get_ident()  # its leader's
        self._lock = threading.RLock()
        self._waking: list[Callable[[], object]] | None = []

    def land(self) -> None:
        """Wake whoever waits."""
        with self._lock:
            waking, self._waking = self._waking or (), None
        for wake in waking:
            wake()

    def on_landing(self, wake: Callable[[], object]) -> None:
        """Call `wake` when it has landed, from any thread; at once if it has already."""
        with self._lock:
            if self._waking is not None:
                self._waking.append(wake)
                return
        wake()


class Join(NamedTuple):
    """Wait for whoever leads, for so long; answered by whether that has ended."""

    flight: Flight
    seconds: float


class Pause(NamedTuple):
    """Wait for some seconds, and for a task of the thread `holder` where one is told.

    Answered by False where that can't go on while its thread waits.
    """

    seconds: float
    holder: int | None = None


Waiting = Ask | Join | Pause


class _Wanted(NamedTuple):
    """What somebody needs: another token than one, and for how long."""

    refused: Token | None
    lasting: float

    def by(self, token: Token | None, now: float) -> bool:
        """Whether a token is what is wanted."""
        return (
            token is not None
            and token.live(now)
            and not token.same(self.refused)
            and token.ends_at - now >= self.lasting
        )


@dataclass(frozen=True, slots=True)
class World:
    """The clock (Unix seconds) and chance (in [0, 1)) that renewal goes by."""

    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random  # it spreads load, it guards nothing


class Renewal:
    """The token of one cloud object, and who fetches the next."""

    def __init__(
        self, cache: TokenCache | None, world: World | None = None, *, patience: float = 150.0
    ) -> None:
        """Keep tokens in `cache` for other processes; without one in this object alone.

        A thread or task is taken for stuck when its exchange stands still for `patience` seconds:
        more than it may wait for another process and then for the server.
        """
        self.cache = cache
        self.world = world if world is not None else World()
        self._patience = patience
        self._token: Token | None = None
        self._unkept = False  # whether the cache lacks the token
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        # Entered again by what the garbage collector closes: a leader that nobody runs any more.
        self._lock = threading.RLock()
        self._flight: Flight | None = None
        self._faults, self._fault = 0, ""

    def current(self) -> Token | None:
        """Return the token if it lives and need not be renewed: what most requests need."""
        token = self._token
        return token if token is not None and not token.due(self.world.clock()) else None

    def obtain(
        self, cloud: Cloud, refused: Token | None = None, *, lasting: float = 0.0
    ) -> Generator[Waiting, Any, Token]:
        """Return the generator that ends with a live token other than `refused`.

        Where the refused one had just replaced another that was refused, it is returned again:
        a server that takes no token is not asked for one after the other. A token with less than
        `lasting` seconds to live is renewed; CredentialInvalid says that none lasts for so long.
        """
        wanted = _Wanted(refused, lasting)
        seen: int | None = None  # faults when it began to wait
        while True:
            turn = self._turn(wanted)
            if isinstance(turn, Join):
                steps, seen = turn.flight.steps, turn.flight.faults if seen is None else seen
                landed = (yield turn) or turn.flight.steps > steps
                token = self._joined(turn.flight, wanted, landed=landed)
                if token is None:
                    self._check(cloud, seen)
                    continue
            elif isinstance(turn, Flight):
                token = yield from self._lead(cloud, turn, wanted)
            else:
                token = turn
            if token.life < lasting:
                msg = f"{cloud.name}'s tokens last {token.life:.0f} s, not {lasting:.0f}"
                raise CredentialInvalid(msg)
            return token

    @property
    def held(self) -> Token | None:
        """The token that is there now, live or not."""
        return self._token

    def forget(self, cloud: Cloud) -> None:
        """Drop the token, here and in the cache; what is being fetched is kept by nobody."""
        with self._lock:
            self._token, self._unkept = None, False
            if self._flight is not None:
                self._flight.dropped, self._flight = True, None
        if self.cache is not None:
            with self.cache.slot(cloud.slot, cloud.secrets) as slot:
                slot.remove()

    def _turn(self, wanted: _Wanted) -> Token | Join | Flight:
        """Return the token that does, else whom to wait for, else what to lead."""
        now = self.world.clock()
        with self._lock:
            token, refused = self._token, wanted.refused
            if refused is not None and refused.settled(now):
                return refused
            usable = wanted.by(token, now)
            if token is not None:
                due = token.due(now)
                if usable and (not due or refused is not None or wanted.lasting > 0):
                    return token
                if not due and not token.same(refused) and token.life < wanted.lasting:
                    return token  # as long as they come
                if usable and self._flight is not None:
                    return token
            if self._flight is not None:
                return Join(self._flight, self._patience)
            self._flight = Flight(self._faults)
            return self._flight

    def _joined(self, flight: Flight, wanted: _Wanted, *, landed: bool) -> Token | None:
        """Return what came of another's flight; None where one has to look anew.

        One that did not land within the time, nor got any further, is nobody's any more.
        """
        if not landed:
            with self._lock:
                if self._flight is flight:
                    self._flight = None
            return None
        if flight.error is not None:
            raise flight.error.again()
        # Even if it ended while this one was woken: it was fetched after it was asked for.
        token = flight.token
        return None if wanted.lasting or (token and token.same(wanted.refused)) else token

    def _check(self, cloud: Cloud, seen: int) -> None:
        """Raise where one exchange after the other ends by a fault of an adapter or of a flow.

        Whoever leads may die of something of its own, so another tries; not all, one by one.
        """
        if self._faults - seen >= _FAULTS:
            msg = f"{cloud.name}: a fault ends each exchange of a token ({self._fault})"
            raise Unreachable(msg)

    def _lead(
        self, cloud: Cloud, flight: Flight, wanted: _Wanted
    ) -> Generator[Waiting, Any, Token]:
        try:
            flight.token = yield from self._fetched(cloud, flight, wanted)
            self._faults = 0
        except ClientError as error:
            self._faults = 0
            flight.token = self._postponed(error, wanted)
            if flight.token is None:
                flight.error = error
                raise
        except Exception as error:
            self._faults += 1
            self._fault = type(error).__name__
            raise
        finally:
            # Whatever happened, cancellation included: those who joined go on.
            with self._lock:
                if self._flight is flight:
                    self._flight = None
                if flight.token is not None and not flight.dropped:
                    self._token = flight.token
            flight.land()
        return flight.token

    def _postponed(self, error: ClientError, wanted: _Wanted) -> Token | None:
        """Return the token that lives though its renewal failed, to be renewed a bit later."""
        token, now = self._token, self.world.clock()
        if token is None or not wanted.by(token, now):
            return None
        least, most = _AGAIN_SECONDS
        pause = min(max(token.life * _AGAIN, least), most) * (0.5 + self.world.chance())
        if isinstance(error, Refused):
            pause = max(pause, error.retry_after or 0.0)
            _warn(error)
        return _later(token, now + pause)

    def _fetched(
        self, cloud: Cloud, flight: Flight, wanted: _Wanted
    ) -> Generator[Waiting, Any, Token]:
        if self.cache is None:
            return (yield from self._exchanged(cloud, self._token, wanted, flight))
        with self.cache.slot(cloud.slot, cloud.secrets) as slot:
            token = yield from self._entered(slot, wanted, flight, self.cache.patience)
            if token is not None:
                return token
            kept = slot.read()  # under the lock: whatever its refresh token is, it is the newest
            before = self._token if kept is None or self._unkept else kept
            token = yield from self._exchanged(cloud, before, wanted, flight, slot)
            if not flight.dropped:
                # Whatever interrupts this: a refresh token that counts once is not lost.
                flight.token, self._unkept = token, True
                self._unkept = not slot.write(token)
            return token

    def _entered(
        self, slot: Slot, wanted: _Wanted, flight: Flight, patience: float
    ) -> Generator[Pause, Any, Token | None]:
        """Take the lock, and return None; or the token that does without an exchange."""
        waited, taken_over, sign = 0.0, False, None
        while True:
            kept = self._kept(slot, wanted)  # most find it without waiting for anybody
            if kept is not None:
                return kept
            if slot.locked():
                return self._kept(slot, wanted)
            if sign != slot.sign:
                waited, sign = 0.0, slot.sign  # its holder lives
            old, now = self._token, self.world.clock()
            if old is not None and wanted.by(old, now):
                return _later(old, now + _AGAIN_SECONDS[0])  # it does while another renews
            if waited >= patience:
                if taken_over:
                    return None  # whoever holds it now is stuck too: without a lock, then
                slot.take_over()
                waited, taken_over = 0.0, True
                continue
            pause = _PAUSES[0] + (_PAUSES[1] - _PAUSES[0]) * self.world.chance()
            waited += pause
            flight.steps += 1  # it is the other process that is waited for
            if (yield Pause(pause, slot.holder)) is False:
                return None

    def _kept(self, slot: Slot, wanted: _Wanted) -> Token | None:
        """Return what the cache has, unless it is to be renewed; then it serves meanwhile."""
        kept, now = slot.read(), self.world.clock()
        if kept is None or not wanted.by(kept, now):
            return None
        if not kept.due(now):
            self._unkept = False
            return kept
        with self._lock:
            if not wanted.by(self._token, now):
                self._token = kept
        return None

    def _exchanged(
        self,
        cloud: Cloud,
        before: Token | None,
        wanted: _Wanted,
        flight: Flight,
        slot: Slot | None = None,
    ) -> Generator[Waiting, Any, Token]:
        issued = yield from _seen(cloud.exchange(before), flight, slot)
        if not fits_header(issued.value):
            # HTTP libraries show what they refuse to send.
            msg = f"{cloud.url} gave a token that no header can hold"
            raise Unreachable(msg)
        token = Token.arrived(
            issued.value,
            now=self.world.clock(),
            lasts=issued.lasts,
            chance=self.world.chance(),
            refresh=issued.refresh,
            facts=issued.facts,
        )
        if issued.refresh is None and before is not None:
            token = replace(token, refresh=before.refresh)  # RFC 6749 §6: it may stay
        return replace(token, after_refusal=True) if wanted.refused is not None else token


def _seen(exchange: Exchange, flight: Flight, slot: Slot | None) -> Exchange:
    """Go through an exchange, giving a sign of life at each step: some wait for a person."""
    try:
        step = next(exchange)
        while True:
            flight.steps += 1
            if slot is not None:
                slot.touch()
            try:
                answer = yield step
            except BaseException as error:  # noqa: BLE001 - the exchange's to judge
                step = exchange.throw(error)
            else:
                step = exchange.send(answer)
    except StopIteration as ended:
        issued: Issued = ended.value
        return issued


def _later(token: Token, moment: float) -> Token:
    return replace(token, renew_at=min(moment, token.ends_at))


def _warn(error: Refused) -> None:
    import logging  # noqa: PLC0415 - takes a quarter of this package's time to load

    logging.getLogger("latchgate.client").warning(
        "the token can't be renewed, and is used up to its end: %s", error
    )


_all: weakref.WeakSet[Renewal] = weakref.WeakSet()


def _after_fork() -> None:
    """Forget, in a child, who led in the parent: those threads are not here."""
    for renewal in _all:
        renewal._begin()  # noqa: SLF001 - of this file


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
