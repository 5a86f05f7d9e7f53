"""urllib, of the standard library: an opener with a cloud's credential.

`http.client`'s own debugging, which prints all that is sent, is off for its connections.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Generator
from http.client import HTTPMessage, HTTPResponse
from typing import IO, Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    BaseHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    UnknownHandler,
)
from urllib.request import Request as Outgoing

from latchgate.client.errors import Unreachable
from latchgate.client.flow import Cloud, Send, Step
from latchgate.client.hosts import LOOPBACK
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.shell import carry_out
from latchgate.client.tls import context

_T = TypeVar("_T")
_SECONDS = 30.0
_LARGEST = 1024 * 1024  # bytes that are read of an answer to our own request, or of a refusal

Ask = Callable[[Request], Response]
Answered = TypeVar("Answered", HTTPResponse, HTTPError)


class Opener:
    """Opens http and https URLs with a cloud's credential, as `urlopen` does without one.

    Proxies are the environment's, but none for this machine itself. `tls` is whose
    certificates count, the system's unless it is given.
    """

    def __init__(self, cloud: Cloud, *, tls: ssl.SSLContext | None = None) -> None:
        """Open with a cloud's credential; raises InsecureTransport for TLS before 1.2."""
        trusted = context(tls)
        self.cloud = cloud
        self._own = _director(
            _NoRedirects(), HTTPHandler(debuglevel=0), HTTPSHandler(debuglevel=0, context=trusted)
        )
        self._opener = _director(
            _Redirects(), _Plain(cloud, self.ask), _Tls(cloud, self.ask, trusted)
        )

    def open(
        self,
        url: str | Outgoing,
        data: bytes | None = None,
        timeout: float = _SECONDS,
    ) -> HTTPResponse:
        """Send a request and return the answer, unread; what is no 2xx raises HTTPError.

        Raises: what `Cloud.flow` and the exchange of a token raise.
        """
        answer: HTTPResponse = self._opener.open(url, data, timeout)
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
            answer: HTTPResponse | HTTPError
            try:
                answer = self._own.open(outgoing, timeout=_SECONDS)
            except HTTPError as error:
                answer = error
            with answer:
                return _read(answer)
        except (URLError, OSError, http.client.HTTPException) as error:
            msg = f"{Target.of(request.url).origin} can't be reached: {_reason(error)}"
            raise Unreachable(msg) from error


def check(cloud: Cloud, answer: Answered) -> Answered:
    """Return an answer below 400; raise what any other means, with the provider's code and words.

    Takes the HTTPError that `Opener.open` raised. Raises: Refused and its kin.
    """
    if (answer.status or 0) < 400:  # noqa: PLR2004 - RFC 9110 §15.5
        return answer
    with answer:
        raise refused(cloud, _read(answer))


class _Signing(BaseHandler):
    """Sends each request, redirected ones too, by the cloud's flow."""

    cloud: Cloud
    ask: Ask

    def _signed(
        self, outgoing: Outgoing, opened: Callable[[Outgoing], HTTPResponse]
    ) -> HTTPResponse:
        sent: list[HTTPResponse] = []

        def send(step: Send) -> Response | None:
            if sent:
                if not isinstance(outgoing.data, bytes | None):
                    return None
                sent.pop().close()
            answer = opened(_with(outgoing, step))
            answer.url = outgoing.full_url  # theirs, without what was added to the path
            sent.append(answer)
            return Response.unread(answer.status, answer.headers.items)

        redirected = getattr(outgoing, "latchgate_redirected", False)
        flow = self.cloud.flow(_target(outgoing), redirected=redirected)
        try:
            carry_out(self.cloud, flow, ask=self.ask, send=send)
        except BaseException:
            for answer in sent:
                answer.close()
            raise
        return sent[0]


class _Plain(_Signing, HTTPHandler):
    def __init__(self, cloud: Cloud, ask: Ask) -> None:
        super().__init__(debuglevel=0)
        self.cloud, self.ask = cloud, ask

    def http_open(self, req: Outgoing) -> HTTPResponse:
        return self._signed(req, super().http_open)


class _Tls(_Signing, HTTPSHandler):
    def __init__(self, cloud: Cloud, ask: Ask, trusted: ssl.SSLContext) -> None:
        super().__init__(debuglevel=0, context=trusted)
        self.cloud, self.ask = cloud, ask

    def https_open(self, req: Outgoing) -> HTTPResponse:
        return self._signed(req, super().https_open)


class _Redirects(HTTPRedirectHandler):
    """Marks what a redirect led to: it gets a credential only at the cloud's own hosts."""

    def redirect_request(
        self, req: Outgoing, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Outgoing | None:
        led = super().redirect_request(req, fp, code, msg, headers, newurl)
        if led is not None:
            led.latchgate_redirected = True  # type: ignore[attr-defined]
        return led


class _NoRedirects(HTTPRedirectHandler):
    """An exchange of credentials follows nobody elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


class _Direct(ProxyHandler):
    """Keeps what goes to this machine away from proxies, to which it would go in the clear."""

    def proxy_open(self, req: Outgoing, proxy: str, type: str) -> HTTPResponse | None:  # noqa: A002 - urllib's name
        if Target.of(req.full_url).host in LOOPBACK:
            return None
        answer: HTTPResponse | None = super().proxy_open(req, proxy, type)
        return answer


def _director(*handlers: BaseHandler) -> OpenerDirector:
    """Return an opener of http and https alone: `build_opener` would open files and ftp, too."""
    made = OpenerDirector()
    usual = (_Direct(), UnknownHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor())
    for one in (*usual, *handlers):
        made.add_handler(one)
    return made


def _target(outgoing: Outgoing) -> Target:
    """Return where urllib connects to; it takes an authority as it is, and decodes it."""
    if set(urlsplit(outgoing.full_url).netloc) & set("@%"):
        msg = "the URL's host holds a user, a password or a percent sign"
        raise http.client.InvalidURL(msg)
    return Target.of(outgoing.full_url)


def _with(outgoing: Outgoing, step: Send) -> Outgoing:
    """Return a copy of a request with what is added; the caller's own keeps nothing of it."""
    url = outgoing.full_url
    if step.path is not None:
        _, mark, query = url.partition("#")[0].partition("?")
        if any(not "!" <= char <= "~" for char in query):
            # http.client would say so too, and show the path with it.
            msg = "the URL's query holds a space, a control character or what is no ASCII"
            raise http.client.InvalidURL(msg)
        url = Target.of(url).origin + step.path + mark + query
    copied = Outgoing(url, outgoing.data, dict(outgoing.headers), method=outgoing.get_method())  # noqa: S310 - as above
    copied.unredirected_hdrs = dict(outgoing.unredirected_hdrs)
    copied.timeout = outgoing.timeout
    if outgoing.has_proxy() or outgoing.host != copied.host:
        copied.set_proxy(outgoing.host, outgoing.type)
    for name, value in step.headers:
        copied.remove_header(name.capitalize())
        copied.add_unredirected_header(name, value)
    return copied


def _read(answer: HTTPResponse | HTTPError) -> Response:
    return Response.of(answer.status or 0, answer.headers.items(), answer.read(_LARGEST))


def _reason(error: Exception) -> str:
    return str(error.reason) if isinstance(error, URLError) else str(error) or type(error).__name__
