"""aiohttp: a session with a cloud's credential, by client middleware (aiohttp 3.12 or later).

The credential is in a request's headers while it goes out, and is taken back after that, so that
`request_info` and errors hold none. A trace of yours that listens to `on_request_headers_sent`
hears it: that signal tells what is on the wire.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from latchgate.client.errors import Unreachable
from latchgate.client.flow import Cloud, Send, Step
from latchgate.client.hosts import LOOPBACK
from latchgate.client.message import PORTS, Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.shell import carry_out_async
from latchgate.client.tls import context

_T = TypeVar("_T")
_LARGEST = 1024 * 1024  # bytes that are read of an answer to our own request, or of a refusal
_TIME = aiohttp.ClientTimeout(total=30)
_UNAUTHORIZED = 401
_PLAIN = {"ws": "http", "wss": "https"}
_REDIRECTED: ContextVar[bool] = ContextVar("latchgate_redirected", default=False)


class Middleware:
    """Sends a session's requests with a cloud's credential; `session` makes such a session.

    In a session that was made otherwise, a redirect to another host raises WrongHost, because
    nothing tells it from a request that goes there by itself.
    """

    def __init__(self, cloud: Cloud, *, tls: ssl.SSLContext | None = None) -> None:
        """Send with a cloud's credential; raises InsecureTransport for TLS before 1.2."""
        self.cloud = cloud
        self.tls = context(tls)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request; raises what `Cloud.flow` and the exchange of a token raise."""
        target = _target(request.url)
        if isinstance(request.ssl, ssl.SSLContext):
            context(request.ssl)  # one of this request's own
        if target.scheme == "http" and target.host in LOOPBACK:
            # Through a proxy it would go in the clear.
            request.proxy = request.proxy_auth = request.proxy_headers = None
        sent: list[aiohttp.ClientResponse] = []

        async def send(step: Send) -> Response | None:
            if sent:
                if not _repeatable(request):
                    return None
                sent.pop().release()
            answer = await _carried(request, step, handler)
            sent.append(answer)
            if _held_up(request, answer):
                await answer.read()
            return Response.unread(answer.status, answer.headers.items)

        async def ask(own: Request) -> Response:
            return await self.ask(own, request.session)

        flow = self.cloud.flow(target, redirected=_REDIRECTED.get())
        try:
            await carry_out_async(self.cloud, flow, ask=ask, send=send)
        except BaseException:
            for answer in sent:
                answer.close()
            raise
        return sent[0]

    async def run(self, flow: Generator[Step, Any, _T]) -> _T:
        """Carry out one of the cloud's own flows, such as `cloud.identify()`."""
        return await carry_out_async(self.cloud, flow, ask=self.ask)

    async def ask(self, request: Request, like: aiohttp.ClientSession | None = None) -> Response:
        """Make a request of a flow's own, through the connections of `like`; raises Unreachable."""
        reason = ""
        try:
            return await self._asked(request, like)
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
            reason = str(error)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = type(error).__name__  # it may show what was sent, the address for one
        # Not out of the handler: what was caught holds the request.
        msg = f"{Target.of(request.url).origin} can't be reached: {reason}"
        raise Unreachable(msg)

    async def _asked(self, request: Request, like: aiohttp.ClientSession | None) -> Response:
        connector = like.connector if like is not None else None
        target = Target.of(request.url)
        own = aiohttp.ClientSession(
            connector=connector or aiohttp.TCPConnector(ssl=self.tls),
            connector_owner=connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=like is not None and like.trust_env and target.host not in LOOPBACK,
            timeout=_TIME,
        )
        async with (
            own,
            own.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as answer,
        ):
            body = b""
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > _LARGEST:
                    break
            return Response.of(answer.status, answer.headers.items(), body)


class _Answer(aiohttp.ClientResponse):
    """A response whose `request_info` names the address that the caller asked for."""

    @property
    def request_info(self) -> aiohttp.RequestInfo:
        told = super().request_info
        return told._replace(url=told.real_url.with_fragment(None))


def session(
    cloud: Cloud,
    *,
    tls: ssl.SSLContext | None = None,
    **options: Any,  # noqa: ANN401 - aiohttp.ClientSession's own
) -> aiohttp.ClientSession:
    """Return a session that sends with a cloud's credential, to be made where a loop runs.

    `options` are those of `aiohttp.ClientSession`; middlewares among them run before ours, and a
    `connector` is yours, TLS included. A request's own `middlewares` replace the session's: it goes
    out without the credential.
    """
    signing = Middleware(cloud, tls=tls)
    options.setdefault("connector", aiohttp.TCPConnector(ssl=signing.tls))
    options["middlewares"] = (*options.get("middlewares", ()), signing)
    options["trace_configs"] = [*(options.get("trace_configs") or ()), _hops()]
    return aiohttp.ClientSession(response_class=_Answer, **options)


async def check(cloud: Cloud, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """Return an answer below 400; raise what any other means, with the provider's code and words.

    Raises: Refused and its kin.
    """
    if response.status < 400:  # noqa: PLR2004 - RFC 9110 §15.5
        return response
    try:
        body = await response.read()
    except aiohttp.ClientConnectionError:
        body = b""  # it was let go unread
    raise refused(cloud, Response.of(response.status, response.headers.items(), body))


def _hops() -> aiohttp.TraceConfig:
    """Return what tells a redirect from a request: both happen in the task that sends."""

    async def began(*_: object) -> None:
        _REDIRECTED.set(False)

    async def led(*_: object) -> None:
        _REDIRECTED.set(True)

    made = aiohttp.TraceConfig()
    made.on_request_start.append(began)
    made.on_request_redirect.append(led)
    return made


async def _carried(
    request: aiohttp.ClientRequest, step: Send, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    url, before = request.url, request.headers.copy()
    for name, value in step.headers:
        request.headers[name] = value
    if step.path is not None:
        request.url = URL.build(
            scheme=url.scheme,
            authority=url.raw_authority,
            path=step.path,
            query_string=url.raw_query_string,
            encoded=True,
        )
    try:
        return await handler(request)
    except (aiohttp.ClientError, TimeoutError) as error:
        if step.path is not None:
            _mask(error, str(request.url), str(url))
        raise
    finally:
        request.url = url
        for name, _ in step.headers:
            request.headers.popall(name, None)
            for value in before.getall(name, ()):
                request.headers.add(name, value)


def _mask(error: Exception, place: str, url: str) -> None:
    """Put the caller's address for ours into what an error says."""
    error.args = tuple(
        arg.replace(place, url) if isinstance(arg, str) else arg for arg in error.args
    )
    if isinstance(error, OSError) and isinstance(error.strerror, str):
        error.strerror = error.strerror.replace(place, url)


def _target(url: URL) -> Target:
    scheme = _PLAIN.get(url.scheme, url.scheme)
    return Target(scheme, url.raw_host or "", url.port or PORTS[scheme], url.raw_path)


def _held_up(request: aiohttp.ClientRequest, answer: aiohttp.ClientResponse) -> bool:
    """Whether an answer's connection is wanted back before the flow goes on.

    A renewal needs one of the same pool: where many requests are refused at once and each keeps
    its connection until the token is there, it would never come.
    """
    return (
        answer.status == _UNAUTHORIZED
        and _repeatable(request)
        and (answer.content_length or 0) <= _LARGEST
    )


def _repeatable(request: aiohttp.ClientRequest) -> bool:
    return isinstance(request.body, bytes | aiohttp.BytesPayload)
