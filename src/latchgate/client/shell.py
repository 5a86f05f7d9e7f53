"""The shells that carry flows out: one that waits, one for asyncio, over any HTTP library.

Rule of this file: nothing is decided here. A shell is made of two functions of an adapter: `ask`
makes a request of the library's own and reads the answer, `send` sends the caller's request with
what was added to it. What either raises is thrown into the flow, so that whoever led hands over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from latchgate.client.errors import CredentialInvalid
from latchgate.client.flow import Ask, Cloud, Obtain, Send, Step
from latchgate.client.message import Request, Response
from latchgate.client.renewal import Join, Waiting

_T = TypeVar("_T")


def carry_out(
    cloud: Cloud,
    flow: Generator[Step, Any, _T],
    *,
    ask: Callable[[Request], Response],
    send: Callable[[Send], Response | None] | None = None,
) -> _T:
    """Carry a flow out, waiting in this thread; returns what the flow returns."""
    waits = _waits(cloud, flow)
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = waits.send(answer) if error is None else waits.throw(error)
        except StopIteration as ended:
            result: _T = ended.value
            return result
        answer, error = None, None
        try:
            if isinstance(step, Send):
                answer = _sender(send)(step)
            elif isinstance(step, Ask):
                answer = ask(step.request)
            elif isinstance(step, Join):
                step.flight.landed.result()
            else:
                time.sleep(step.seconds)
        except BaseException as caught:  # noqa: BLE001 - thrown in above, and out again from there
            error = caught


async def carry_out_async(
    cloud: Cloud,
    flow: Generator[Step, Any, _T],
    *,
    ask: Callable[[Request], Awaitable[Response]],
    send: Callable[[Send], Awaitable[Response | None]] | None = None,
) -> _T:
    """Carry a flow out in an asyncio task; returns what the flow returns."""
    waits = _waits(cloud, flow)
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = waits.send(answer) if error is None else waits.throw(error)
        except StopIteration as ended:
            result: _T = ended.value
            return result
        answer, error = None, None
        try:
            if isinstance(step, Send):
                answer = await _sender(send)(step)
            elif isinstance(step, Ask):
                answer = await ask(step.request)
            elif isinstance(step, Join):
                await asyncio.wrap_future(step.flight.landed)
            else:
                await asyncio.sleep(step.seconds)
        except BaseException as caught:  # noqa: BLE001 - thrown in above, and out again from there
            error = caught


def _waits(cloud: Cloud, flow: Generator[Step, Any, _T]) -> Generator[Waiting | Send, Any, _T]:
    """Turn a flow into what is to be waited for: tokens are obtained on the way."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration as ended:
            result: _T = ended.value
            return result
        answer, error = None, None
        try:
            if not isinstance(step, Obtain):
                answer = yield step
                continue
            of = step.of or cloud
            if of.renewal is not None:
                answer = yield from of.renewal.obtain(of, step.refused)
            else:
                answer = yield from of.exchange(None)  # which says that there is none
        except BaseException as caught:  # noqa: BLE001 - as in the shells
            error = caught


_S = TypeVar("_S")


def _sender(send: _S | None) -> _S:
    if send is None:
        msg = "this flow sends a request of the caller's, and there is none"
        raise CredentialInvalid(msg)
    return send
