"""One driver an adapter: what a program does with that library, so that one test asks them all."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import aiohttp
import httpx
import httpx2

from latchgate.client.adapters import aiohttp as over_aiohttp
from latchgate.client.adapters import httpx as over_httpx
from latchgate.client.adapters import httpx2 as over_httpx2
from latchgate.client.adapters import requests as over_requests
from latchgate.client.adapters import urllib as over_urllib
from latchgate.client.flow import Cloud, Step

NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # believes nobody, and is made in no time


@dataclass(frozen=True)
class Asking:
    """A request that a program makes; `parts` is a body that is sent as it comes."""

    url: str
    method: str = "GET"
    body: bytes | None = None
    parts: tuple[bytes, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    ca: Path | None = None
    checked: bool = False
    proxied: str | None = None  # the environment's; httpx is told of it, and aiohttp to look there

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca) if self.ca is not None else NOBODY


@dataclass(frozen=True)
class Answer:
    """What a program got, and all that its objects show of it."""

    status: int
    body: bytes
    held: str


class Driver(ABC):
    """What a program does with one library."""

    @abstractmethod
    def call(self, cloud: Cloud, asking: Asking) -> Answer:
        """Send and read."""

    @abstractmethod
    def read_slowly(self, cloud: Cloud, url: str, first: int, then: Callable[[], None]) -> bytes:
        """Read `first` bytes of an answer, go on after `then`, return all."""

    @abstractmethod
    def run(self, cloud: Cloud, flow: Generator[Step, Any, Any]) -> Any:
        """Carry out one of the cloud's own flows."""


class Urllib(Driver):
    def call(self, cloud: Cloud, asking: Asking) -> Answer:
        opener = over_urllib.Opener(cloud, tls=asking.tls())
        data: Any = iter(asking.parts) if asking.parts else asking.body
        request = Request(asking.url, data, asking.headers, method=asking.method)  # noqa: S310 - a test's own server
        answer: HTTPResponse | HTTPError
        try:
            answer = opener.open(request)
        except HTTPError as error:
            if asking.checked:
                over_urllib.check(cloud, error)
            answer = error
        with answer:
            body = answer.read()
        shown = [request.full_url, request.header_items(), vars(request), answer, answer.url]
        return Answer(answer.status or 0, body, repr([*shown, vars(answer)]))

    def read_slowly(self, cloud: Cloud, url: str, first: int, then: Callable[[], None]) -> bytes:
        with over_urllib.Opener(cloud, tls=NOBODY).open(url) as answer:
            start = answer.read(first)
            then()
            return start + answer.read()

    def run(self, cloud: Cloud, flow: Generator[Step, Any, Any]) -> Any:
        return over_urllib.Opener(cloud, tls=NOBODY).run(flow)


class Requests(Driver):
    def call(self, cloud: Cloud, asking: Asking) -> Answer:
        with over_requests.Session(cloud) as session:
            data: Any = iter(asking.parts) if asking.parts else asking.body
            answer = session.request(
                asking.method,
                asking.url,
                data=data,
                headers=asking.headers,
                verify=None if asking.ca is None else str(asking.ca),
            )
            if asking.checked:
                over_requests.check(cloud, answer)
            held = []
            for one in (*answer.history, answer):
                asked = one.request
                held += [one, vars(one), one.url, asked, vars(asked), dict(asked.headers)]
                held += [vars(one.raw)]
            return Answer(answer.status_code, answer.content, repr([*held, vars(session)]))

    def read_slowly(self, cloud: Cloud, url: str, first: int, then: Callable[[], None]) -> bytes:
        with (
            over_requests.Session(cloud) as session,
            session.get(url, stream=True) as answer,
        ):
            start = bytes(answer.raw.read(first))
            then()
            return start + bytes(answer.raw.read())

    def run(self, cloud: Cloud, flow: Generator[Step, Any, Any]) -> Any:
        with over_requests.Session(cloud) as session:
            return session.run(flow)


def _held(answer: Any) -> str:
    held = []
    for one in (*answer.history, answer):
        asked = one.request
        held += [one, vars(one), one.url, asked, vars(asked), asked.headers.raw, asked.extensions]
    return repr(held)


@dataclass(frozen=True)
class Httpx(Driver):
    library: ModuleType
    adapter: Any

    def call(self, cloud: Cloud, asking: Asking) -> Answer:
        inner = None
        if asking.proxied is not None and asking.url.startswith("https:"):
            inner = self.library.HTTPTransport(verify=asking.tls(), proxy=asking.proxied)
        made = self.adapter.client(cloud, inner=inner, tls=asking.tls(), follow_redirects=True)
        with made as client:
            content = iter(asking.parts) if asking.parts else asking.body
            answer = client.request(
                asking.method, asking.url, content=content, headers=asking.headers
            )
            if asking.checked:
                self.adapter.check(cloud, answer)
            return Answer(answer.status_code, answer.content, _held(answer))

    def read_slowly(self, cloud: Cloud, url: str, first: int, then: Callable[[], None]) -> bytes:
        with self.adapter.client(cloud, tls=NOBODY) as client, client.stream("GET", url) as answer:
            got = b""
            for chunk in answer.iter_raw():
                if got == b"":
                    assert len(chunk) == first
                    then()
                got += chunk
            return got

    def run(self, cloud: Cloud, flow: Generator[Step, Any, Any]) -> Any:
        with self.adapter.Transport(cloud, tls=NOBODY) as transport:
            return transport.run(flow)


async def _each(parts: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@dataclass(frozen=True)
class HttpxAsync(Driver):
    library: ModuleType
    adapter: Any

    def call(self, cloud: Cloud, asking: Asking) -> Answer:
        async def call() -> Answer:
            inner = None
            if asking.proxied is not None and asking.url.startswith("https:"):
                inner = self.library.AsyncHTTPTransport(verify=asking.tls(), proxy=asking.proxied)
            made = self.adapter.async_client(
                cloud, inner=inner, tls=asking.tls(), follow_redirects=True
            )
            async with made as client:
                content = _each(asking.parts) if asking.parts else asking.body
                answer = await client.request(
                    asking.method, asking.url, content=content, headers=asking.headers
                )
                if asking.checked:
                    self.adapter.check(cloud, answer)
                return Answer(answer.status_code, answer.content, _held(answer))

        return asyncio.run(call())

    def read_slowly(self, cloud: Cloud, url: str, first: int, then: Callable[[], None]) -> bytes:
        async def read() -> bytes:
            async with (
                self.adapter.async_client(cloud, tls=NOBODY) as client,
                client.stream("GET", url) as answer,
            ):
                got = b""
                async for chunk in answer.aiter_raw():
                    if got == b"":
                        assert len(chunk) == first
                        then()
                    got += chunk
                return got

        return asyncio.run(read())

    def run(self, cloud: Cloud, flow: Generator[Step, Any, Any]) -> Any:
        async def run() -> Any:
            async with self.adapter.AsyncTransport(cloud, tls=NOBODY) as transport:
                return await transport.run(flow)

        return asyncio.run(run())


class Aiohttp(Driver):
    def call(self, cloud: Cloud, asking: Asking) -> Answer:
        async def call() -> Answer:
            data = _each(asking.parts) if asking.parts else asking.body
            trusting = asking.proxied is not None
            async with (
                over_aiohttp.session(cloud, tls=asking.tls(), trust_env=trusting) as session,
                session.request(
                    asking.method, asking.url, data=data, headers=asking.headers
                ) as answer,
            ):
                if asking.checked:
                    await over_aiohttp.check(cloud, answer)
                body = await answer.read()
                held = []
                for one in (*answer.history, answer):
                    held += [one, one.request_info, one.url, one.real_url]
                error = aiohttp.ClientResponseError(answer.request_info, answer.history)
                return Answer(answer.status, body, repr([*held, error]))

        return asyncio.run(call())

    def read_slowly(self, cloud: Cloud, url: str, first: int, then: Callable[[], None]) -> bytes:
        async def read() -> bytes:
            async with (
                over_aiohttp.session(cloud, tls=NOBODY) as session,
                session.get(url) as answer,
            ):
                start = await answer.content.readexactly(first)
                then()
                return start + await answer.content.read()

        return asyncio.run(read())

    def run(self, cloud: Cloud, flow: Generator[Step, Any, Any]) -> Any:
        return asyncio.run(over_aiohttp.Middleware(cloud, tls=NOBODY).run(flow))


DRIVERS: dict[str, Driver] = {
    "urllib": Urllib(),
    "requests": Requests(),
    "httpx": Httpx(httpx, over_httpx),
    "httpx-async": HttpxAsync(httpx, over_httpx),
    "httpx2": Httpx(httpx2, over_httpx2),
    "httpx2-async": HttpxAsync(httpx2, over_httpx2),
    "aiohttp": Aiohttp(),
}
