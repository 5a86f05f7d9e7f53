"""Receipts: wait until nobody anywhere decides by what a change took away.

Rule of this file: ARCHITECTURE §6, rules 11 to 15. The timer starts after the commit returned, and
only then is listed who follows: once. On this machine a cache that does not answer in time is exact
all the same, for it reads the bell before its next decision; on another, its trust has run out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict

from latchgate.store.bell import Bell, Listener
from latchgate.store.source import KNOWN_SECONDS
from latchgate.store.verifiers import Following, NotedReceipt, Verifiers
from latchgate.verify.receipt import Promise, Receipt, Wait

WAIT_SECONDS = 1.0  # for caches on this machine, which need no waiting to be exact
NOTE_SECONDS = 1.0
# Whoever is to trust for longer than anybody before makes that known, and waits for longer than
# this before they begin: what was learnt since then holds for whoever can't be listed.
LEARN_SECONDS = 1.0
FORGET_SECONDS = KNOWN_SECONDS - 0.5
_BELL_SECONDS = 0.002
_LOOK_SECONDS = 0.01
_WORST_LOOK_SECONDS = 1.0
_NAP_SECONDS = 0.5  # nobody sleeps longer without a look at the clock
_PENDING = 1_000
_log = logging.getLogger(__name__)


class Receipts:
    """Gives receipts, many at once; one thread looks for all of them while any is waited for.

    `bell` is that of the caches on this machine, where there is one, `clock` gives Unix seconds,
    `ticks` a clock that never jumps (seconds).
    """

    def __init__(
        self,
        verifiers: Verifiers,
        *,
        bell: Bell | None,
        clock: Callable[[], float],
        ticks: Callable[[], float],
    ) -> None:
        self._verifiers = verifiers
        self._bell = bell
        self._clock = clock
        self._ticks = ticks
        self._promise: Promise | None = None
        self._learnt = ticks()  # not after what it says was read
        self._waits: dict[Wait, Callable[[], None]] = {}
        self._given: deque[NotedReceipt] = deque(maxlen=_PENDING)
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)

    def start(self) -> None:
        """Learn what is promised, and begin."""
        self._learn()
        self._thread.start()

    def close(self) -> None:
        """Keep what was given, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    async def wait(self, journal: int) -> Receipt:
        """Wait from now until nobody decides by what was before a change; holds no thread.

        To be called after its commit returned. StoreError when that can't be known.
        """
        begun = self._ticks()
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        one = Wait(journal, self._known(begun), begun=begun)

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.set)

        with self._changed:
            self._waits[one] = wake
            self._changed.notify()
        try:
            here, lapsed = await self._heard_here(journal, begun)
            while (left := begun + one.due() - self._ticks()) > 0:
                news.clear()
                # Not `wait_for`, which may swallow that whoever asked is gone (CPython #86296).
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, _NAP_SECONDS)):
                        await news.wait()
            one.check()
        finally:
            with self._changed:
                self._waits.pop(one, None)
        tail = one.tail
        await self._pass(tail)
        known, done, late = one.known
        given = Receipt(
            journal=journal,
            elapsed=self._ticks() - begun,
            acknowledged=here + done,
            lapsed=lapsed + late,
            known=known,
            gateway_tail=tail,
        )
        self._give(given)
        return given

    def _give(self, receipt: Receipt) -> None:
        noted = NotedReceipt(
            n=receipt.journal,
            at=self._clock(),
            elapsed=receipt.elapsed,
            acknowledged=len(receipt.acknowledged),
            verifiers=tuple(asdict(one) for one in receipt.verifiers),
        )
        with self._changed:
            self._given.append(noted)
            self._changed.notify()

    async def _pass(self, seconds: float) -> None:
        until = self._ticks() + seconds
        while (left := until - self._ticks()) > 0:  # noqa: ASYNC110 - time itself is awaited
            await asyncio.sleep(min(left, _NAP_SECONDS))

    async def _heard_here(
        self, journal: int, begun: float
    ) -> tuple[tuple[Listener, ...], tuple[Listener, ...]]:
        """Wait for the caches of this machine; one that is gone decides nothing any more.

        Returns those that dropped it, and those that did not say so in time.
        """
        listed = self._bell.listeners() if self._bell is not None else []
        wanted = {listener.incarnation for listener in listed}
        waiting: list[Listener] = []
        while self._bell is not None and wanted:
            now = {listener.incarnation: listener for listener in self._bell.listeners()}
            waiting = [
                now[name] for name in wanted if name in now and now[name].acknowledged < journal
            ]
            if not waiting or self._ticks() - begun >= WAIT_SECONDS:
                break
            await asyncio.sleep(_BELL_SECONDS)
        late = {listener.incarnation for listener in waiting}
        return tuple(one for one in listed if one.incarnation not in late), tuple(waiting)

    def _known(self, now: float) -> Promise | None:
        """Return what is promised, unless that was learnt too long ago.

        On the machine of the database nobody is ever cut off from it.
        """
        fresh = self._bell is not None or now - self._learnt <= FORGET_SECONDS
        return self._promise if fresh else None

    def _learn(self) -> Following | None:
        """Read who follows, without proof; None when that failed."""
        return self._read(self._verifiers.looked)

    def _read(self, read: Callable[[], Following]) -> Following | None:
        begun = self._ticks()
        try:
            now = read()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is to wait for ever
            _log.warning("who follows the journal could not be read: %s", error)
            return None
        self._promise, self._learnt = Promise(now.max_trust, now.gateway_tail), begun
        return now

    def _run(self) -> None:
        pause, noted = _LOOK_SECONDS, self._ticks()
        # The machine of the database has nothing to learn while nobody waits.
        idle = None if self._bell is not None else LEARN_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(self._busy, idle)
                waits, closed = dict(self._waits), self._closed
            if closed or self._ticks() - noted >= NOTE_SECONDS:
                noted = self._ticks()
                self._keep()
            if closed:
                return
            looked = self._look(waits)
            pause = self._patience(waits) if looked else min(_WORST_LOOK_SECONDS, 2 * pause)
            if not looked or any(one.open for one in waits):
                self._rest(pause, waits, hasty=looked)
            elif self._given:
                self._rest(NOTE_SECONDS, waits, hasty=True)

    def _patience(self, waits: Collection[Wait]) -> float:
        """Return how long to wait between looks: the longer, the longer nobody new has come."""
        newest = max((one.begun for one in waits if one.open), default=0.0)
        return min(_WORST_LOOK_SECONDS / 4, max(_LOOK_SECONDS, (self._ticks() - newest) / 20))

    def _busy(self) -> bool:
        return self._closed or bool(self._given) or any(one.open for one in self._waits)

    def _rest(self, seconds: float, known: Collection[Wait], *, hasty: bool) -> None:
        """Wait before the next look; a new receipt is listed at once unless that just failed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (hasty and any(one not in known for one in self._waits)),
                seconds,
            )

    def _look(self, waits: Mapping[Wait, Callable[[], None]]) -> bool:
        """Tell the waiting what there is to know; False when the database could not be read."""
        waiting = [one for one in waits if one.open]
        if not waiting and (self._bell is not None or self._ticks() - self._learnt < LEARN_SECONDS):
            return True
        unlisted = [one for one in waiting if not one.listed]
        now = self._read(self._verifiers.listed) if unlisted else self._learn()
        if now is None:
            for one in unlisted:
                one.fail()
                waits[one]()
            return False
        reached = {one.incarnation: one.acknowledged for one in now.followers}
        for one in waiting:
            if one.hear(now, reached):
                waits[one]()
        return True

    def _keep(self) -> None:
        with self._changed:
            given = list(self._given)
            self._given.clear()
        if not given:
            return
        try:
            self._verifiers.note(given)
        except Exception as error:  # noqa: BLE001 - it is for people alone, and ends nothing
            _log.warning("%d receipts were not kept for the list: %s", len(given), error)
