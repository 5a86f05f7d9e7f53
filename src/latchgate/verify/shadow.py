"""The shell of shadow mode: asks an area's old system, enforces its word, notes the difference.

Rule of this file: no answer is a refusal. Nothing is remembered from one question to the next, and
no redirect, proxy or cookie is followed: two callers share a connection, never an answer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from latchgate.core.answer import identity
from latchgate.core.model import Decision, Request
from latchgate.core.reason import Reason
from latchgate.core.shadow import (
    MAX_BODY,
    Outcome,
    Shadow,
    Told,
    UnansweredError,
    compared,
    doubt,
    passed_upstream,
    question,
    read_answer,
)
from latchgate.verify.walk import Slow

if TYPE_CHECKING:
    import httpx2

MAX_CONNECTIONS = 64  # to each old system, from each process
KEPT_CONNECTIONS = 16
KEPT_SECONDS = 30.0
_MAX_TRANSPORTS = 64
_ATTEMPTS = 3
_TOLD_SECONDS = 1.0
_log = logging.getLogger(__name__)

Note = Callable[[Outcome, Decision, Request, int | None, float], None]
Reply = Told | UnansweredError | Decision


class Deciding(Protocol):
    """What decides beside the old system; `latchgate.verify.engine.Engine`."""

    @property
    def position(self) -> int:
        """The journal number that decisions are exact at."""
        ...

    def follow(self) -> None:
        """Catch up with the journal."""
        ...

    def attempt(self, request: Request) -> Decision | Slow:
        """Decide one request, or say what slow work it needs first."""
        ...

    async def decide_later(self, request: Request, need: Slow) -> Decision:
        """Decide one request when that work is done."""
        ...


class Waiting(Deciding, Protocol):
    """One that a thread may wait for."""

    def decide(self, request: Request) -> Decision:
        """Decide one request, however long it takes."""
        ...


@dataclass(frozen=True, slots=True)
class Settled:
    """What is enforced: what the old system `told`, or the decision itself where that is None.

    `passed` are the identity headers of an allowed request.
    """

    decision: Decision
    told: Told | None
    passed: tuple[tuple[str, str], ...]

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.told.allowed if self.told is not None else self.decision.allowed


class Shadows:
    """What the decisions of one process are compared by.

    `note` is told each comparison, `on_decision` each refusal that is made here; `entropy` gives n
    random bytes, `clock` Unix seconds, `ticks` a clock that never jumps.
    """

    def __init__(
        self,
        *,
        note: Note,
        on_decision: Callable[[Decision, Request, float], None],
        entropy: Callable[[int], bytes],
        clock: Callable[[], float],
        ticks: Callable[[], float],
    ) -> None:
        self._note = note
        self._on_decision = on_decision
        self._entropy = entropy
        self._clock = clock
        self._ticks = ticks
        self._logged: dict[str, float] = {}
        self._asker = Asker()
        self._thread: _LoopThread | None = None
        self._starting = threading.Lock()

    async def settle(self, engine: Deciding, request: Request, decision: Decision) -> Settled:
        """Ask the old system of a decision's area and say what is enforced."""
        steps = self._steps(engine, request, decision)
        try:
            due = next(steps)
            while True:
                if isinstance(due, Shadow):
                    due = steps.send(await self._asker.answer(due, request))
                else:
                    due = steps.send(await engine.decide_later(request, due))
        except StopIteration as done:
            settled: Settled = done.value
            return settled

    def settle_here(self, engine: Waiting, request: Request, decision: Decision) -> Settled:
        """Do the same from a thread, which waits."""
        steps = self._steps(engine, request, decision)
        try:
            due = next(steps)
            while True:
                if isinstance(due, Shadow):
                    due = steps.send(self._loop_thread().answer(due, request))
                else:
                    due = steps.send(engine.decide(request))
        except StopIteration as done:
            settled: Settled = done.value
            return settled

    def _steps(
        self, engine: Deciding, request: Request, decision: Decision
    ) -> Generator[Shadow | Slow, Reply, Settled]:
        for _ in range(_ATTEMPTS):
            shadow = _shadow_of(decision)
            if shadow is None:
                return Settled(decision, None, identity(decision) if decision.allowed else ())
            reason = doubt(decision, request, shadow)
            if reason is not None:
                return Settled(self._refused(decision, request, reason), None, ())
            before = engine.position
            told = yield shadow
            assert not isinstance(told, Decision)  # noqa: S101 - the shells answer in kind
            engine.follow()
            if engine.position != before:
                # What changed meanwhile may have taken the rights that our identity stands for.
                fresh = engine.attempt(request)
                if not isinstance(fresh, Decision):
                    settled = yield fresh
                    assert isinstance(settled, Decision)  # noqa: S101 - as above
                    fresh = settled
                decision = fresh
                if _shadow_of(decision) != shadow or doubt(decision, request, shadow) is not None:
                    continue
            return self._judged(decision, request, shadow, told)
        return Settled(self._refused(decision, request, Reason.FAULT), None, ())

    def _judged(
        self, decision: Decision, request: Request, shadow: Shadow, told: Told | UnansweredError
    ) -> Settled:
        now = self._clock()
        if isinstance(told, UnansweredError):
            self._tell(shadow, told)
            self._note(Outcome.UNANSWERED, decision, request, None, now)
            return Settled(self._refused(decision, request, Reason.SHADOW_UNANSWERED), None, ())
        ours = dict(identity(decision)) if decision.allowed else {}
        outcome = compared(decision, told, shadow, ours)
        self._note(outcome, decision, request, told.status, now)
        passed = passed_upstream(told, outcome, shadow, ours) if told.allowed else ()
        return Settled(decision, told, passed)

    def _refused(self, decision: Decision, request: Request, reason: Reason) -> Decision:
        """Return a decision as refused for this reason, kept so that it can be explained."""
        if decision.reason is reason:
            return decision
        refused = msgspec.structs.replace(
            decision, id=self._entropy(10).hex(), reason=reason, grant=None
        )
        self._on_decision(refused, request, self._clock())
        return refused

    def _tell(self, shadow: Shadow, why: UnansweredError) -> None:
        """Log once a second at most for each: an outage must not fill a disk."""
        now = self._ticks()
        if now - self._logged.get(shadow.name, float("-inf")) >= _TOLD_SECONDS:
            self._logged[shadow.name] = now
            _log.error(
                "the old system %s gave no answer, so requests are refused: %s", shadow.name, why
            )

    def _loop_thread(self) -> _LoopThread:
        with self._starting:
            if self._thread is None:
                self._thread = _LoopThread()
            return self._thread

    async def aclose(self) -> None:
        """Close the connections of the event loop."""
        await self._asker.aclose()

    def close(self) -> None:
        """End the thread that asks for other threads, if there is one."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()


def _shadow_of(decision: Decision) -> Shadow | None:
    return decision.area.shadow if decision.area is not None else None


class Asker:
    """Asks old systems from one event loop, over bounded pools of kept connections."""

    def __init__(self) -> None:
        self._transports: dict[str, httpx2.AsyncHTTPTransport] = {}

    async def answer(self, shadow: Shadow, request: Request) -> Told | UnansweredError:
        """Return what the old system told, or why it told nothing that counts."""
        try:
            import httpx2  # noqa: F401, PLC0415 - before the time counts: it may take a while

            async with asyncio.timeout(shadow.timeout):
                return await self._ask(shadow, request)
        except UnansweredError as error:
            return error
        except TimeoutError:
            return UnansweredError(f"none within {shadow.timeout:.0f} s")
        except ModuleNotFoundError:
            return UnansweredError("this installation can't ask: install latchgate[server]")
        except Exception as error:  # noqa: BLE001 - whatever fails is a refusal
            return UnansweredError(type(error).__name__)  # its text may repeat what was sent

    async def _ask(self, shadow: Shadow, request: Request) -> Told:
        import httpx2  # noqa: PLC0415 - not in the base install

        broken = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
        try:
            return await self._ask_once(shadow, request)
        except broken:
            # A kept connection may end just as it is used again; a question can be repeated.
            return await self._ask_once(shadow, request)

    async def _ask_once(self, shadow: Shadow, request: Request) -> Told:
        import httpx2  # noqa: PLC0415 - as above

        # A bare transport: a client would keep the cookies of one answer for the next question.
        asked = httpx2.Request(
            "GET",
            shadow.url,
            headers=question(shadow, request),
            extensions={"timeout": dict.fromkeys(_TIMEOUTS, shadow.timeout)},
        )
        answer = await self._transport(shadow).handle_async_request(asked)
        held = bytearray()
        try:
            async for chunk in answer.aiter_raw():
                held += chunk
                if len(held) > MAX_BODY:
                    raise UnansweredError(f"it is longer than {MAX_BODY} bytes")
        finally:
            await answer.aclose()
        return read_answer(shadow, answer.status_code, answer.headers.raw, bytes(held))

    def _transport(self, shadow: Shadow) -> httpx2.AsyncHTTPTransport:
        found = self._transports.get(shadow.url)
        if found is None:
            import httpx2  # noqa: PLC0415 - as above

            if len(self._transports) >= _MAX_TRANSPORTS:
                self._transports.clear()
            found = self._transports[shadow.url] = httpx2.AsyncHTTPTransport(
                trust_env=False,
                limits=httpx2.Limits(
                    max_connections=MAX_CONNECTIONS,
                    max_keepalive_connections=KEPT_CONNECTIONS,
                    keepalive_expiry=KEPT_SECONDS,
                ),
            )
        return found

    async def aclose(self) -> None:
        """Close every connection."""
        transports, self._transports = list(self._transports.values()), {}
        for one in transports:
            await one.aclose()


_TIMEOUTS = ("connect", "read", "write", "pool")


class _LoopThread:
    """An event loop of its own, for callers that have none: the whole time-out holds there too."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._asker = Asker()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="latchgate-shadow", daemon=True
        )
        self._thread.start()

    def answer(self, shadow: Shadow, request: Request) -> Told | UnansweredError:
        asked = asyncio.run_coroutine_threadsafe(self._asker.answer(shadow, request), self._loop)
        return asked.result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._asker.aclose()
