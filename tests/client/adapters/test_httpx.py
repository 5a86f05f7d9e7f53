"""What httpx and httpx2 alone have: transports, marks in extensions, pools."""

from __future__ import annotations

import asyncio
import json
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import httpx2
import openai
import pytest
from tests.client.adapters.drivers import NOBODY
from tests.client.adapters.identity import LOGIN, identity, kakao
from tests.client.stage import Asked, Said, Stage

from latchgate.client import Refused, WaysCloud, WrongHost
from latchgate.client.adapters import httpx as over_httpx
from latchgate.client.adapters import httpx2 as over_httpx2

pytestmark = pytest.mark.enable_socket

KEY = "wayscloud_llm_k1_Zt5sQ0"


@pytest.fixture(params=[(httpx, over_httpx), (httpx2, over_httpx2)], ids=["httpx", "httpx2"])
def over(request) -> Any:
    library, adapter = request.param
    return SimpleNamespace(library=library, adapter=adapter)


def test_a_request_may_be_sent_twice(over, one: Stage, two: Stage):
    with over.adapter.client(WaysCloud(KEY, url=one.url), tls=NOBODY) as client:
        here, there = (client.build_request("GET", stage.url) for stage in (one, two))
        for _ in range(2):
            assert client.send(here).status_code == 200
            with pytest.raises(WrongHost):
                client.send(there)
    assert two.asked == []


def test_a_redirect_that_is_followed_by_hand_is_one(over, one: Stage, two: Stage):
    one.answer = lambda _: Said(302, headers={"Location": two.url})
    with over.adapter.client(WaysCloud(KEY, url=one.url), tls=NOBODY) as client:
        led = client.get(one.url).next_request
        assert [client.send(led).status_code for _ in range(2)] == [200, 200]
    assert [asked.header("authorization") for asked in two.asked] == [None, None]


def test_options_that_a_given_transport_makes_void_are_refused(over, one: Stage):
    for make in (over.adapter.client, over.adapter.async_client):
        with pytest.raises(TypeError, match=r"proxy, verify: an inner transport's"):
            make(WaysCloud(KEY, url=one.url), tls=NOBODY, proxy="http://p.test", verify=False)


def test_another_transport_may_be_inside(over):
    library: ModuleType = over.library
    seen = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return library.Response(200, text="inside")

    inner = library.MockTransport(answer)
    cloud = WaysCloud(KEY)
    with library.Client(transport=over.adapter.Transport(cloud, inner)) as client:
        response = client.get("https://api.wayscloud.services/v1")
    assert response.text == "inside"
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in response.request.headers


def test_a_renewal_gets_the_one_connection_of_its_pool(over, one: Stage):
    one.answer = identity(KEY, refusing_first)
    library: ModuleType = over.library
    narrow = library.Limits(max_connections=1)
    cloud = kakao(one, KEY)

    async def call() -> list[int]:
        inner = library.AsyncHTTPTransport(verify=NOBODY, limits=narrow)
        async with over.adapter.async_client(cloud, inner=inner) as client:
            answers = await asyncio.gather(*(client.get(f"{one.url}/v") for _ in range(4)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(call()) == [200] * 4
    inner = library.HTTPTransport(verify=NOBODY, limits=narrow)
    one.answer = identity(KEY, refusing_first)
    with over.adapter.client(kakao(one, KEY), inner=inner) as client:
        assert client.get(f"{one.url}/v").status_code == 200


def refusing_first(asked: Asked) -> Said:
    token = asked.header("x-auth-token") or ""
    return Said(401 if token.endswith("-1") else 200)


def test_a_refused_answer_is_streamed_as_any(over, one: Stage):
    one.answer = identity(KEY, lambda _: Said(401, b"no such token"))
    with (
        over.adapter.client(kakao(one, KEY), tls=NOBODY) as client,
        client.stream("GET", f"{one.url}/v") as answer,
    ):
        assert b"".join(answer.iter_raw()) == b"no such token"
    assert [asked.path for asked in one.asked] == [LOGIN, "/v"] * 2


def test_check_reads_what_a_program_has_not_read_yet(over, one: Stage):
    words = b'{"error": {"error_code": "DENIED", "error_message": "not you"}}'
    one.answer = lambda _: Said(403, words)
    cloud = WaysCloud(KEY, url=one.url)
    with (
        over.adapter.client(cloud, tls=NOBODY) as client,
        client.stream("GET", one.url) as answer,
        pytest.raises(Refused, match=r"not you"),
    ):
        over.adapter.check(cloud, answer)

    async def call(*, read: bool) -> str:
        async with (
            over.adapter.async_client(cloud, tls=NOBODY) as client,
            client.stream("GET", one.url) as answer,
        ):
            if read:
                await answer.aread()
            with pytest.raises(Refused) as denied:
                over.adapter.check(cloud, answer)
            return denied.value.message

    assert asyncio.run(call(read=True)) == "not you"
    assert asyncio.run(call(read=False)) != "not you"


def test_the_openai_sdk_sends_our_key_and_not_its_own(over, one: Stage):
    message = {"role": "assistant", "content": "hello"}
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }
    headers = {"Content-Type": "application/json"}
    one.answer = lambda _: Said(200, json.dumps(body).encode(), headers)
    client = over.adapter.client(WaysCloud(KEY, url=one.url), tls=NOBODY)
    with openai.OpenAI(
        api_key="a-dummy", base_url=f"{one.url}/v1/llm", http_client=client
    ) as asking:
        answer = asking.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}]
        )
    assert answer.choices[0].message.content == "hello"
    (asked,) = one.asked
    assert (asked.path, asked.header("authorization")) == (
        "/v1/llm/chat/completions",
        f"Bearer {KEY}",
    )
    assert "a-dummy" not in repr(asked)
