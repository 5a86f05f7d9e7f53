"""The shells that carry flows out: one that waits, one for asyncio, over any HTTP library.

Rule of this file: nothing is decided here. A shell is made of two functions of an adapter: `ask`
makes a request of the library's own and reads the answer, `send` sends the caller's request with
what was added to it. What either raises is thrown into the flow, so that whoever led hands over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from latchgate.client.errors import CredentialInvalid
from latchgate.client.flow import Ask, Cloud, Obtain, Send, Step
from latchgate.client.message import Request, Response
from latchgate.client.renewal import Join, Pause, Waiting
from latchgate.client.token import Token

_T = TypeVar("_T")


def carry_out(
    cloud: Cloud,
    flow: Generator[Step | Waiting, Any, _T],
    *,
    ask: Callable[[Request], Response],
    send: Callable[[Send], Response | None] | None = None,
) -> _T:
    """Carry a flow out, waiting in this thread; returns what the flow returns."""
    answer: Any = None
    error: BaseException | None = None
    try:
        while True:
            step = flow.send(answer) if error is None else flow.throw(error)
            answer, error = None, None
            try:
                if isinstance(step, Send):
                    answer = _sender(send)(step)
                elif isinstance(step, Obtain):
                    answer = _at_hand(cloud, step) or carry_out(
                        cloud, _obtaining(cloud, step), ask=ask
                    )
                elif isinstance(step, Ask):
                    answer = ask(step.request)
                elif isinstance(step, Join):
                    answer = _wait(step)
                elif step.holder == threading.get_ident():
                    answer = False
                else:
                    time.sleep(step.seconds)
            except BaseException as caught:  # noqa: BLE001 - thrown in above, and out from there
                error = caught
    except StopIteration as ended:
        result: _T = ended.value
        return result
    finally:
        del error  # whose traceback holds this frame, and what is in it


async def carry_out_async(
    cloud: Cloud,
    flow: Generator[Step | Waiting, Any, _T],
    *,
    ask: Callable[[Request], Awaitable[Response]],
    send: Callable[[Send], Awaitable[Response | None]] | None = None,
) -> _T:
    """Carry a flow out in an asyncio task; returns what the flow returns."""
    answer: Any = None
    error: BaseException | None = None
    try:
        while True:
            step = flow.send(answer) if error is None else flow.throw(error)
            answer, error = None, None
            try:
                if isinstance(step, Send):
                    answer = await _sender(send)(step)
                elif isinstance(step, Obtain):
                    answer = _at_hand(cloud, step) or await carry_out_async(
                        cloud, _obtaining(cloud, step), ask=ask
                    )
                elif isinstance(step, Ask):
                    answer = await ask(step.request)
                else:
                    answer = await _wait_async(step)
            except BaseException as caught:  # noqa: BLE001 - thrown in above, and out from there
                error = caught
    except StopIteration as ended:
        result: _T = ended.value
        return result
    finally:
        del error  # whose traceback holds this frame, and what is in it


def _at_hand(cloud: Cloud, step: Obtain) -> Token | None:
    renewal = (step.of or cloud).renewal
    if renewal is None or step.refused is not None or step.lasting > 0:
        return None
    return renewal.current()


def _obtaining(cloud: Cloud, step: Obtain) -> Generator[Waiting, Any, Any]:
    of = step.of or cloud
    if of.renewal is None:
        return of.exchange(None)  # which says that there is none
    return of.renewal.obtain(of, step.refused, lasting=step.lasting)


def _wait(step: Join) -> bool:
    """Wait for whoever leads; a task of this very thread can't go on while it waits."""
    if step.flight.thread == threading.get_ident():
        return False
    landed = threading.Event()
    step.flight.on_landing(landed.set)
    return landed.wait(step.seconds)


async def _wait_async(step: Join | Pause) -> bool:
    import asyncio  # noqa: PLC0415 - programs that wait in threads need not load it

    if not isinstance(step, Join):
        await asyncio.sleep(step.seconds)
        return True
    loop = asyncio.get_running_loop()
    landed = asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(landed.set)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits
            return

    step.flight.on_landing(wake)
    try:
        async with asyncio.timeout(step.seconds):
            await landed.wait()
    except TimeoutError:
        return False
    return True


_S = TypeVar("_S")


def _sender(send: _S | None) -> _S:
    if send is None:
        msg = "this flow sends a request of the caller's, and there is none"
        raise CredentialInvalid(msg)
    return send
