"""httpx2: transports with a cloud's credential, below its clients' redirects, histories and logs.

A client that is given a transport takes no proxy from the environment. Through a proxy:
`Transport(cloud, httpx2.HTTPTransport(proxy="http://proxy.example:3128"))`.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from latchgate.client import transport
from latchgate.client.flow import Cloud, Step
from latchgate.client.message import Request, Response
from latchgate.client.shell import carry_out, carry_out_async

_T = TypeVar("_T")


class Transport(httpx2.BaseTransport):
    """Sends requests with a cloud's credential through another transport.

    `inner` is one of yours, whose TLS is then your own concern; without one, `tls` is whose
    certificates count, httpx2's own choice unless it is given.
    """

    def __init__(
        self,
        cloud: Cloud,
        inner: httpx2.BaseTransport | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Send with a cloud's credential; raises InsecureTransport for TLS before 1.2."""
        self.cloud = cloud
        self._inner = inner or httpx2.HTTPTransport(verify=transport.context(httpx2, tls))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a copy of a request; raises what `Cloud.flow` and the exchange of a token raise."""
        carry = self._inner.handle_request
        return transport.signed(httpx2, self.cloud, carry, request, self.ask)

    def run(self, flow: Generator[Step, Any, _T]) -> _T:
        """Carry out one of the cloud's own flows, such as `cloud.identify()`."""
        return carry_out(self.cloud, flow, ask=self.ask)

    def ask(self, request: Request) -> Response:
        """Make a request of a flow's own; raises Unreachable."""
        return transport.asked(httpx2, self._inner.handle_request, request)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


class AsyncTransport(httpx2.AsyncBaseTransport):
    """Sends an asyncio program's requests with a cloud's credential; otherwise as Transport."""

    def __init__(
        self,
        cloud: Cloud,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Send with a cloud's credential; raises InsecureTransport for TLS before 1.2."""
        self.cloud = cloud
        self._inner = inner or httpx2.AsyncHTTPTransport(verify=transport.context(httpx2, tls))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a copy of a request; raises what `Cloud.flow` and the exchange of a token raise."""
        carry = self._inner.handle_async_request
        return await transport.signed_async(httpx2, self.cloud, carry, request, self.ask)

    async def run(self, flow: Generator[Step, Any, _T]) -> _T:
        """Carry out one of the cloud's own flows, such as `cloud.identify()`."""
        return await carry_out_async(self.cloud, flow, ask=self.ask)

    async def ask(self, request: Request) -> Response:
        """Make a request of a flow's own; raises Unreachable."""
        return await transport.asked_async(httpx2, self._inner.handle_async_request, request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)


def client(
    cloud: Cloud,
    *,
    inner: httpx2.BaseTransport | None = None,
    tls: ssl.SSLContext | None = None,
    **options: Any,  # noqa: ANN401 - httpx2.Client's own
) -> httpx2.Client:
    """Return a client over Transport; `options` are those of `httpx2.Client` about requests.

    Raises TypeError for those of its transport, which `inner` takes.
    """
    made = Transport(cloud, inner, tls=tls)
    return httpx2.Client(transport=made, **transport.options_for(options))


def async_client(
    cloud: Cloud,
    *,
    inner: httpx2.AsyncBaseTransport | None = None,
    tls: ssl.SSLContext | None = None,
    **options: Any,  # noqa: ANN401 - httpx2.AsyncClient's own
) -> httpx2.AsyncClient:
    """Return a client over AsyncTransport; otherwise as `client`."""
    made = AsyncTransport(cloud, inner, tls=tls)
    return httpx2.AsyncClient(transport=made, **transport.options_for(options))


def check(cloud: Cloud, response: httpx2.Response) -> httpx2.Response:
    """Return an answer below 400; raise what any other means, with the provider's code and words.

    An async client's streamed answer is to be read before, or its words are not known.
    Raises: Refused and its kin.
    """
    return transport.checked(httpx2, cloud, response)
