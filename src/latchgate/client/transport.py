"""What the transports for httpx and httpx2 have in common: those two are one design.

Rule of this file: it imports neither. Whoever calls hands over the library, and what carries a
request (`carry`): the inner transport. A request is copied, and what is secret goes into the copy.
"""

from __future__ import annotations

import logging
import ssl
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Protocol, TypeVar

from latchgate.client import tls
from latchgate.client.errors import Unreachable
from latchgate.client.flow import Cloud, Send
from latchgate.client.message import PORTS, Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.shell import carry_out, carry_out_async

_SECONDS = 30.0
_LARGEST = 1024 * 1024  # bytes that are read of an answer to our own request, or of a refusal
_MARK = "latchgate.first"  # the request that a redirect's was made for
_UNAUTHORIZED = 401

# What a client hands to the transport that it makes itself, and ignores when it is given one.
_INNER = frozenset({"transport", "mounts", "proxy", "verify", "cert", "http1", "http2", "limits"})


class Outgoing(Protocol):
    """A request of either library."""

    method: str
    url: Any
    headers: Any
    stream: Any
    extensions: Any


class Answered(Protocol):
    """A response of either library."""

    status_code: int
    headers: Any
    extensions: Any
    stream: Any


_Q = TypeVar("_Q", bound=Outgoing)
_A = TypeVar("_A", bound=Answered)
Ask = Callable[[Request], Response]
AskAsync = Callable[[Request], Awaitable[Response]]


def signed(
    library: ModuleType, cloud: Cloud, carry: Callable[[_Q], _A], request: _Q, ask: Ask
) -> _A:
    """Send a caller's request by the cloud's flow and return the answer, unread."""
    sent: list[Any] = []

    def send(step: Send) -> Response | None:
        if sent:
            if not _repeatable(library, request):
                return None
            sent.pop().close()
        sending = _SENDING.set(True)
        try:
            answer: Any = carry(_copied(library, request, step))
        finally:
            _SENDING.reset(sending)
        sent.append(answer)
        if _held_up(library, request, answer):
            sent[0] = _read(library, answer, b"".join(answer.iter_raw()))
        return Response.unread(answer.status_code, answer.headers.multi_items)

    flow = cloud.flow(_target(request), redirected=_redirected(request))
    try:
        carry_out(cloud, flow, ask=ask, send=send)
    except BaseException:
        for answer in sent:
            answer.close()
        raise
    result: _A = sent[0]
    return result


async def signed_async(
    library: ModuleType,
    cloud: Cloud,
    carry: Callable[[_Q], Awaitable[_A]],
    request: _Q,
    ask: AskAsync,
) -> _A:
    """Send a caller's request by the cloud's flow, not waiting in this thread."""
    sent: list[Any] = []

    async def send(step: Send) -> Response | None:
        if sent:
            if not _repeatable(library, request):
                return None
            await sent.pop().aclose()
        sending = _SENDING.set(True)
        try:
            answer: Any = await carry(_copied(library, request, step))
        finally:
            _SENDING.reset(sending)
        sent.append(answer)
        if _held_up(library, request, answer):
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            sent[0] = _read(library, answer, raw)
        return Response.unread(answer.status_code, answer.headers.multi_items)

    flow = cloud.flow(_target(request), redirected=_redirected(request))
    try:
        await carry_out_async(cloud, flow, ask=ask, send=send)
    except BaseException:
        for answer in sent:
            await answer.aclose()
        raise
    result: _A = sent[0]
    return result


def asked(library: ModuleType, carry: Callable[[_Q], _A], request: Request) -> Response:
    """Make a request of a flow's own; raises Unreachable."""
    try:
        with _unlogged():
            answer: Any = carry(_own(library, request))
            try:
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > _LARGEST:
                        break
            finally:
                answer.close()
    except (library.RequestError, library.StreamError) as error:
        raise _unreachable(library, request, error) from error
    return Response.of(answer.status_code, answer.headers.multi_items(), body)


async def asked_async(
    library: ModuleType, carry: Callable[[_Q], Awaitable[_A]], request: Request
) -> Response:
    """Make a request of a flow's own, not waiting in this thread; raises Unreachable."""
    try:
        with _unlogged():
            answer: Any = await carry(_own(library, request))
            try:
                body = b""
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _LARGEST:
                        break
            finally:
                await answer.aclose()
    except (library.RequestError, library.StreamError) as error:
        raise _unreachable(library, request, error) from error
    return Response.of(answer.status_code, answer.headers.multi_items(), body)


def checked(library: ModuleType, cloud: Cloud, response: _A) -> _A:
    """Return an answer below 400; raise what any other means.

    The words of an answer that is streamed to an async client are known once it was read.
    """
    if response.status_code < 400:  # noqa: PLR2004 - RFC 9110 §15.5
        return response
    answer: Any = response
    body = b""
    if isinstance(answer.stream, library.SyncByteStream):
        answer.read()
    with suppress(library.ResponseNotRead):
        body = answer.content
    raise refused(cloud, Response.of(answer.status_code, answer.headers.multi_items(), body))


def context(library: ModuleType, given: ssl.SSLContext | None) -> ssl.SSLContext:
    """Return `given`, or what the library would use, of TLS 1.2 or later."""
    return tls.context(given, library.create_ssl_context)


def options_for(told: dict[str, Any]) -> dict[str, Any]:
    """Return a client's options; raises TypeError for one that a given transport makes void."""
    void = sorted(_INNER & told.keys())
    if void:
        msg = f"{', '.join(void)}: an inner transport's, give `inner=HTTPTransport(…)` with it"
        raise TypeError(msg)
    return told


def _target(request: Outgoing) -> Target:
    url = request.url
    scheme, host = url.raw_scheme.decode("ascii"), url.raw_host.decode("ascii")
    path = _raw_path(request).partition(b"?")[0].decode("ascii")
    return Target(scheme, host, url.port or PORTS.get(scheme, 0), path)


def _raw_path(request: Outgoing) -> bytes:
    """Return path and query as they go out; a caller may have given them as `target`."""
    raw = request.extensions.get("target", request.url.raw_path)
    return raw.encode("ascii") if isinstance(raw, str) else bytes(raw)


def _redirected(request: Outgoing) -> bool:
    """Whether a server sent the request here.

    Both libraries hand a request's extensions on to the request that follows its redirect, so one
    that holds a mark of another came from that. A request that is sent again holds its own.
    """
    first = request.extensions.setdefault(_MARK, weakref.ref(request))
    return first() is not request


def _copied(library: ModuleType, request: _Q, step: Send) -> _Q:
    extensions = {name: value for name, value in request.extensions.items() if name != _MARK}
    url = request.url
    if step.path is not None:
        _, mark, query = _raw_path(request).partition(b"?")
        # Not by `target`: httpx sends that to a proxy as well, in the clear.
        extensions.pop("target", None)
        url = url.copy_with(raw_path=step.path.encode("ascii") + mark + query)
    headers = library.Headers(request.headers)
    for name, value in step.headers:
        headers[name] = value
    copied: _Q = library.Request(
        request.method, url, headers=headers, stream=request.stream, extensions=extensions
    )
    return copied


def _repeatable(library: ModuleType, request: Outgoing) -> bool:
    return isinstance(request.stream, library.ByteStream)


def _held_up(library: ModuleType, request: Outgoing, answer: Answered) -> bool:
    """Whether an answer's connection is wanted back before the flow goes on.

    A renewal needs one of the same pool: where many requests are refused at once and each keeps
    its connection until the token is there, it would never come.
    """
    return (
        answer.status_code == _UNAUTHORIZED
        and _repeatable(library, request)
        and _length(answer.headers.get("content-length")) <= _LARGEST
    )


def _length(told: str | None) -> int:
    return int(told) if told is not None and told.isdecimal() else 0


def _read(library: ModuleType, answer: Answered, raw: bytes) -> Answered:
    """Return the same answer with its body in memory, to be read as if it still came."""
    same: Answered = library.Response(
        answer.status_code,
        headers=answer.headers,
        stream=library.ByteStream(raw),
        extensions=answer.extensions,
    )
    return same


def _own(library: ModuleType, request: Request) -> Any:  # noqa: ANN401 - either library's request
    return library.Request(
        request.method,
        request.url,
        headers=list(request.headers),
        content=request.body,
        extensions={"timeout": library.Timeout(_SECONDS).as_dict()},
    )


def _unreachable(library: ModuleType, request: Request, error: Exception) -> Unreachable:
    # What a library won't send it shows: a header's value, for one.
    shown = "" if isinstance(error, library.LocalProtocolError) else str(error)
    reason = shown or type(error).__name__
    return Unreachable(f"{Target.of(request.url).origin} can't be reached: {reason}")


# What is under way in this context.
_SENDING: ContextVar[bool] = ContextVar("latchgate_sending", default=False)
_ASKING: ContextVar[bool] = ContextVar("latchgate_asking", default=False)


@contextmanager
def _unlogged() -> Iterator[None]:
    sending, asking = _SENDING.set(True), _ASKING.set(True)
    try:
        yield
    finally:
        _SENDING.reset(sending)
        _ASKING.reset(asking)


class _Unlogged(logging.Filter):
    """Keeps out of logs what is written while something secret is sent or comes."""

    def __init__(self, meanwhile: ContextVar[bool]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - all of them
        return not self._meanwhile.get()


# At DEBUG httpcore shows an answer's headers, where the Identity API v3 puts the token, and hpack
# (HTTP/2) each header that is sent.
for _name in ("httpcore.http11", "httpcore.http2", "httpcore2.http11", "httpcore2.http2"):
    logging.getLogger(_name).addFilter(_Unlogged(_ASKING))
for _name in ("hpack.hpack", "hpack.table"):
    logging.getLogger(_name).addFilter(_Unlogged(_SENDING))
