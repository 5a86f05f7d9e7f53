"""What aiohttp alone has."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.client.adapters.drivers import NOBODY
from tests.client.adapters.identity import identity, kakao
from tests.client.stage import Asked, Said, Stage

from latchgate.client import InsecureTransport, TeraCloud, WaysCloud, WrongHost
from latchgate.client.adapters.aiohttp import Middleware, session

pytestmark = pytest.mark.enable_socket

KEY = "wayscloud_llm_k1_Zt5sQ0"


def test_a_renewal_gets_the_one_connection_of_its_pool(one: Stage):
    def refusing_first(asked: Asked) -> Said:
        return Said(401 if (asked.header("x-auth-token") or "").endswith("-1") else 200)

    one.answer = identity(KEY, refusing_first)

    async def call() -> list[int]:
        narrow = aiohttp.TCPConnector(limit=1)
        async with session(kakao(one, KEY), tls=NOBODY, connector=narrow) as made:

            async def get() -> int:
                async with made.get(f"{one.url}/v") as answer:
                    return answer.status

            return await asyncio.gather(*(get() for _ in range(4)))

    assert asyncio.run(call()) == [200] * 4


def test_a_middleware_of_ones_own_runs_before_and_sees_no_credential(one: Stage):
    seen = []

    async def look(request: Any, handler: Any) -> Any:
        seen.append(dict(request.headers))
        answer = await handler(request)
        seen.append(dict(request.headers))
        return answer

    async def call() -> None:
        made = session(WaysCloud(KEY, url=one.url), tls=NOBODY, middlewares=(look,))
        async with made, made.get(one.url, headers={"Authorization": "mine"}):
            pass

    asyncio.run(call())
    assert one.asked[0].header("authorization") == f"Bearer {KEY}"
    assert [headers["Authorization"] for headers in seen] == ["mine", "mine"]


def test_in_a_session_that_was_made_otherwise_a_redirect_to_another_host_is_refused(
    one: Stage, two: Stage
):
    one.answer = lambda _: Said(302, headers={"Location": two.url})

    async def call() -> None:
        signing = Middleware(WaysCloud(KEY, url=one.url), tls=NOBODY)
        async with aiohttp.ClientSession(middlewares=(signing,)) as made:
            with pytest.raises(WrongHost):
                await made.get(one.url)

    asyncio.run(call())
    assert one.asked[0].header("authorization") == f"Bearer {KEY}"
    assert two.asked == []


def test_after_a_redirect_a_request_to_another_host_is_refused_again(one: Stage, two: Stage):
    one.answer = lambda _: Said(302, headers={"Location": two.url})

    async def call() -> None:
        async with session(WaysCloud(KEY, url=one.url), tls=NOBODY) as made:
            async with made.get(one.url) as answer:
                assert answer.status == 200
            with pytest.raises(WrongHost):
                await made.get(two.url)

    asyncio.run(call())
    assert len(two.asked) == 1


def test_an_error_of_the_session_shows_no_credential(one: Stage):
    one.answer = lambda _: Said(500)

    async def call() -> aiohttp.ClientResponseError:
        made = session(WaysCloud(KEY, url=one.url), tls=NOBODY, raise_for_status=True)
        async with made:
            with pytest.raises(aiohttp.ClientResponseError) as failed:
                await made.get(one.url)
            return failed.value

    error = asyncio.run(call())
    assert one.asked[0].header("authorization") == f"Bearer {KEY}"
    assert KEY not in f"{error!r} {error} {error.request_info.headers}"


def test_a_websocket_opens_with_the_credential():
    asked = []

    async def greet(request: web.Request) -> web.WebSocketResponse:
        asked.append(request.headers.get("Authorization"))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    async def call() -> str:
        served = web.Application()
        served.router.add_get("/ws", greet)
        runner = web.AppRunner(served)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            cloud = WaysCloud(KEY, url=f"http://{host}:{port}")
            async with (
                session(cloud, tls=NOBODY) as made,
                made.ws_connect(f"ws://{host}:{port}/ws") as socket,
            ):
                return await socket.receive_str()
        finally:
            await runner.cleanup()

    assert asyncio.run(call()) == "hello"
    assert asked == [f"Bearer {KEY}"]


def test_a_request_whose_own_tls_takes_old_versions_is_refused():
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.warns(DeprecationWarning, match=r"TLSv1 is deprecated"):
        old.minimum_version = ssl.TLSVersion.TLSv1

    async def call() -> None:
        async with session(WaysCloud(KEY), tls=NOBODY) as made:
            with pytest.raises(InsecureTransport):
                await made.get("https://api.wayscloud.services/v1", ssl=old)

    asyncio.run(call())


def test_a_time_out_shows_no_credential_of_the_path(one: Stage):
    one.answer = lambda _: Said(body=b"x" * 8_000_000)  # more than is read ahead
    cloud = TeraCloud("me", KEY, "0" * 32, via="matrix", url=one.url)

    async def call() -> str:
        narrow = aiohttp.TCPConnector(limit=1)
        impatient = aiohttp.ClientTimeout(connect=0.01)
        async with session(cloud, tls=NOBODY, connector=narrow) as made:
            async with made.get(f"{one.url}/ba/x"):  # holds the one connection
                with pytest.raises(aiohttp.ConnectionTimeoutError) as late:
                    await made.get(f"{one.url}/ba/y", timeout=impatient)
            return f"{late.value} {late.value!r}"

    shown = asyncio.run(call())
    assert f"{one.url}/ba/y" in shown
    assert "0" * 32 not in shown
