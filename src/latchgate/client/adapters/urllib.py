"""urllib, of the standard library: an opener with a cloud's credential."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Generator
from http.client import HTTPMessage
from typing import IO, Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    ProxyHandler,
    build_opener,
)
from urllib.request import Request as Outgoing

from latchgate.client.errors import Refused, Unreachable
from latchgate.client.flow import Cloud, Send, Step
from latchgate.client.hosts import LOOPBACK
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.shell import carry_out

_T = TypeVar("_T")
_SECONDS = 30.0
_LARGEST = 1024 * 1024  # bytes of an answer to a request of the library's own


class Opener:
    """Opens URLs with a cloud's credential, as `urllib.request.urlopen` does without one.

    `tls` is whose certificates count, the system's unless it is given.
    """

    def __init__(self, cloud: Cloud, *, tls: ssl.SSLContext | None = None) -> None:
        """Open with a cloud's credential."""
        tls = tls if tls is not None else ssl.create_default_context()
        self.cloud = cloud
        self._own = build_opener(_Direct, _NoRedirects, HTTPSHandler(context=tls))
        self._opener = build_opener(
            _Direct, _Redirects, _Plain(cloud, self.ask), _Tls(cloud, self.ask, tls)
        )

    def open(
        self,
        url: str | Outgoing,
        data: bytes | None = None,
        timeout: float = _SECONDS,
    ) -> http.client.HTTPResponse:
        """Send a request and return the answer, unread; what is no 2xx raises HTTPError.

        Raises: what `Cloud.flow` and the exchange of a token raise.
        """
        answer: http.client.HTTPResponse = self._opener.open(url, data, timeout)
        return answer

    def run(self, flow: Generator[Step, Any, _T]) -> _T:
        """Carry out one of the cloud's own flows, such as `cloud.identify()`."""
        return carry_out(self.cloud, flow, ask=self.ask)

    def ask(self, request: Request) -> Response:
        """Make a request of a flow's own; raises Unreachable."""
        outgoing = Outgoing(  # noqa: S310 - the scheme is the cloud's, which was checked
            request.url, request.body, dict(request.headers), method=request.method
        )
        try:
            with self._own.open(outgoing, timeout=_SECONDS) as answer:
                return _read(answer)
        except HTTPError as error:
            with error:
                return _read(error)
        except (URLError, OSError, http.client.HTTPException) as error:
            msg = f"{Target.of(request.url).origin} can't be reached: {_reason(error)}"
            raise Unreachable(msg) from error


def check(cloud: Cloud, error: HTTPError) -> Refused:
    """Return what an answer of 4xx or 5xx means, with the provider's code and words."""
    return refused(cloud, _read(error))


class _Signing:
    """Sends each request, redirected ones too, by the cloud's flow."""

    cloud: Cloud
    ask: Any

    def _signed(self, outgoing: Outgoing, opened: Any) -> http.client.HTTPResponse:
        sent: list[http.client.HTTPResponse] = []

        def send(step: Send) -> Response | None:
            if sent:
                if not isinstance(outgoing.data, bytes | None):
                    return None
                sent.pop().close()
            answer = opened(_with(outgoing, step))
            sent.append(answer)
            return Response.of(answer.status, answer.headers.items())

        redirected = getattr(outgoing, "latchgate_redirected", False)
        flow = self.cloud.flow(Target.of(outgoing.full_url), redirected=redirected)
        carry_out(self.cloud, flow, ask=self.ask, send=send)
        return sent[0]


class _Plain(_Signing, HTTPHandler):
    def __init__(self, cloud: Cloud, ask: Any) -> None:
        super().__init__()
        self.cloud, self.ask = cloud, ask

    def http_open(self, req: Outgoing) -> http.client.HTTPResponse:
        return self._signed(req, super().http_open)


class _Tls(_Signing, HTTPSHandler):
    def __init__(self, cloud: Cloud, ask: Any, tls: ssl.SSLContext) -> None:
        super().__init__(context=tls)
        self.cloud, self.ask = cloud, ask

    def https_open(self, req: Outgoing) -> http.client.HTTPResponse:
        return self._signed(req, super().https_open)


class _Redirects(HTTPRedirectHandler):
    """Marks what a redirect led to: it gets a credential only at the cloud's own hosts."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - urllib's signature
        self, req: Outgoing, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Outgoing | None:
        led = super().redirect_request(req, fp, code, msg, headers, newurl)
        if led is not None:
            led.latchgate_redirected = True  # type: ignore[attr-defined]
        return led


class _NoRedirects(HTTPRedirectHandler):
    """An exchange of credentials follows nobody elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Direct(ProxyHandler):
    """Keeps what goes to this machine away from proxies, to which it would go in the clear."""

    def proxy_open(self, req: Outgoing, proxy: str, type: str) -> Any:  # noqa: A002 - urllib's name
        if Target.of(req.full_url).host in LOOPBACK:
            return None
        return super().proxy_open(req, proxy, type)  # type: ignore[misc]


def _with(outgoing: Outgoing, step: Send) -> Outgoing:
    """Return a copy of a request with what is added; the caller's own keeps nothing of it."""
    url = outgoing.full_url
    if step.path is not None:
        target = Target.of(url)
        url = target.origin + step.path + url.partition("?")[1] + url.partition("?")[2]
    copied = Outgoing(url, outgoing.data, dict(outgoing.headers), method=outgoing.get_method())  # noqa: S310 - as above
    copied.unredirected_hdrs = dict(outgoing.unredirected_hdrs)
    copied.timeout = outgoing.timeout
    if outgoing.has_proxy() or outgoing._tunnel_host:  # type: ignore[attr-defined]
        copied.set_proxy(outgoing.host, outgoing.type)
    for name, value in step.headers:
        copied.remove_header(name.capitalize())
        copied.add_unredirected_header(name, value)
    return copied


def _read(answer: Any) -> Response:
    return Response.of(answer.status, answer.headers.items(), answer.read(_LARGEST))


def _reason(error: Exception) -> str:
    return str(error.reason) if isinstance(error, URLError) else str(error) or type(error).__name__
