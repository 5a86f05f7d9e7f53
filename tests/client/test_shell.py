"""Carrying flows out: the same flow, waiting in a thread or as a task."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest
from tests.client.issuer import TARGET, Issuer, TokenCloud

from latchgate.client.errors import CredentialInvalid, Unreachable
from latchgate.client.flow import Ask, Obtain, Send
from latchgate.client.message import Request, Response
from latchgate.client.renewal import Pause
from latchgate.client.shell import carry_out, carry_out_async

Carry = Callable[..., Any]


def tasks(cloud: Any, flow: Any, *, ask: Any, send: Any = None) -> Any:
    """Carry a flow out as a task, with functions that don't wait."""

    def later(function: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
        async def called(step: Any) -> Any:
            await asyncio.sleep(0)
            return function(step)

        return called

    return asyncio.run(
        carry_out_async(cloud, flow, ask=later(ask), send=later(send) if send is not None else None)
    )


@pytest.fixture(params=[carry_out, tasks], ids=["waiting", "task"])
def carry(request: pytest.FixtureRequest) -> Carry:
    found: Carry = request.param
    return found


class Api:
    """Takes some tokens, and notes what it was sent."""

    def __init__(self, *taken: str) -> None:
        self.taken = taken
        self.sent: list[str] = []

    def send(self, step: Send) -> Response:
        value = dict(step.headers)["X-Auth-Token"]
        self.sent.append(value)
        return Response(200 if value in self.taken else 401, {})


def test_a_request_goes_with_the_token_that_was_fetched(carry):
    issuer, cloud, api = Issuer(), TokenCloud(), Api("token-1")
    for _ in range(3):
        carry(cloud, cloud.flow(TARGET), ask=issuer.ask, send=api.send)
    assert api.sent == ["token-1"] * 3
    assert len(issuer.exchanges) == 1


def test_a_refused_token_is_replaced_once_and_the_request_sent_again(carry):
    issuer, cloud, api = Issuer(), TokenCloud(), Api("token-2")
    carry(cloud, cloud.flow(TARGET), ask=issuer.ask, send=api.send)
    assert api.sent == ["token-1", "token-2"]


def test_when_its_successor_is_refused_too_that_is_the_answer(carry):
    issuer, cloud, api = Issuer(), TokenCloud(), Api()
    for _ in range(5):
        carry(cloud, cloud.flow(TARGET), ask=issuer.ask, send=api.send)
    assert api.sent == ["token-1"] + ["token-2"] * 5
    assert len(issuer.exchanges) == 2


def test_what_a_flow_returns_is_returned(carry):
    def flow() -> Generator[Any, Any, str]:
        answer = yield Ask(Request("POST", "https://issuer.example/", body=b"{}"))
        yield Pause(0.001)
        return f"status {answer.status}"

    assert carry(TokenCloud(), flow(), ask=Issuer().ask) == "status 201"


def test_what_an_adapter_raises_is_thrown_into_the_flow_which_may_go_on(carry):
    issuer, cloud = Issuer(), TokenCloud()
    issuer.unreachable()

    def flow() -> Generator[Any, Any, str]:
        try:
            yield Obtain()
        except Unreachable as error:
            return str(error)
        return ""

    assert carry(cloud, flow(), ask=issuer.ask) == "issuer.example can't be reached: no route"


def test_a_flow_that_sends_needs_something_to_send(carry):
    with pytest.raises(CredentialInvalid, match="there is none"):
        carry(TokenCloud(), TokenCloud().flow(TARGET), ask=Issuer().ask)


def test_a_cloud_without_tokens_says_so(carry):
    cloud = TokenCloud()
    del cloud.renewal  # the class has none

    def flow() -> Generator[Any, Any, None]:
        yield Obtain()

    def exchange(self: TokenCloud, token: None) -> Any:
        return super(TokenCloud, self).exchange(token)

    cloud.exchange = exchange.__get__(cloud)  # type: ignore[method-assign]
    with pytest.raises(CredentialInvalid, match="no tokens"):
        carry(cloud, flow(), ask=Issuer().ask)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupt_gets_out_and_the_next_request_is_led_anew(fault):
    issuer, cloud = Issuer(), TokenCloud()
    issuer.fault = fault()
    with pytest.raises(fault):
        cloud.get(issuer)
    issuer.fault = None
    assert cloud.text(issuer) == "token-2"


def test_an_error_keeps_nothing_of_the_request_alive():
    class Body:
        """What a failed request held."""

    def fail(_step: Send) -> Response:
        raise Unreachable("gone")

    def attempt() -> weakref.ref[Body]:
        body, cloud = Body(), TokenCloud()
        with pytest.raises(Unreachable):
            carry_out(
                cloud, cloud.flow(TARGET), ask=Issuer().ask, send=lambda s: (body, fail(s))[1]
            )
        return weakref.ref(body)

    gc.disable()
    try:
        assert attempt()() is None
    finally:
        gc.enable()
