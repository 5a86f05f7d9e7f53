"""requests: a session with a cloud's credential (urllib3 2 or later).

What urllib3 logs, and shows in errors, is the caller's address: a credential in the path is put
there by the connection itself. `http.client`'s own debugging, which prints all that is sent, is off
for these connections.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from latchgate.client.errors import Unreachable
from latchgate.client.flow import Cloud, Send, Step
from latchgate.client.hosts import LOOPBACK
from latchgate.client.message import Request, Response, Target
from latchgate.client.refusal import refused
from latchgate.client.shell import carry_out

if TYPE_CHECKING:  # urllib3 is requests' to choose
    from urllib3 import PoolManager

_T = TypeVar("_T")
_SECONDS = 30.0
_LARGEST = 1024 * 1024  # bytes of an answer to a request of the library's own
_PLACE: ContextVar[str | None] = ContextVar("latchgate_place", default=None)

Timeout = float | tuple[float | None, float | None] | None


class Session(requests.Session):
    """Sends requests with a cloud's credential, as `requests.Session` does without one.

    `.netrc` adds nothing to it. Adapters that are mounted on it later send without the credential.
    """

    def __init__(self, cloud: Cloud) -> None:
        """Send with a cloud's credential."""
        super().__init__()
        self.cloud = cloud
        self.auth = _nothing  # or requests would look for a password in .netrc
        self._adapter = _Adapter(cloud)
        self.mount("https://", self._adapter)
        self.mount("http://", self._adapter)

    def run(self, flow: Generator[Step, Any, _T]) -> _T:
        """Carry out one of the cloud's own flows, such as `cloud.identify()`."""
        return carry_out(self.cloud, flow, ask=self.ask)

    def ask(self, request: Request) -> Response:
        """Make a request of a flow's own; raises Unreachable."""
        told = self.merge_environment_settings(request.url, {}, True, None, None)  # noqa: FBT003
        return self._adapter.ask(
            request, verify=told["verify"], cert=told["cert"], proxies=told["proxies"]
        )

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Mark what a redirect led to; what the caller's own `auth` added stays with its host."""
        before, after = response.request.url or "", prepared_request.url or ""
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)
        prepared_request.latchgate_redirected = True  # type: ignore[attr-defined]


class _Adapter(HTTPAdapter):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self.cloud = cloud

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002 - requests' signature
        **pool_kwargs: Any,  # noqa: ANN401 - urllib3's
    ) -> None:
        pool_kwargs["ssl_minimum_version"] = ssl.TLSVersion.TLSv1_2
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        _quiet(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:  # noqa: ANN401 - requests' signature
        proxy_kwargs["ssl_minimum_version"] = ssl.TLSVersion.TLSv1_2
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        _quiet(manager)
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - requests' signature
        timeout: Timeout = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002 - requests' signature
        cert: Any = None,  # noqa: ANN401 - requests' signature
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        target = Target.of(request.url or "")
        if target.scheme == "http" and target.host in LOOPBACK:
            proxies = None  # to which it would go in the clear
        how = {"verify": verify, "cert": cert, "proxies": proxies}
        sent: list[requests.Response] = []

        def carried(step: Send) -> Response | None:
            if sent:
                if not _repeatable(request.body):
                    return None
                sent.pop().close()
            answer = self._carried(request, step, stream=stream, timeout=timeout, **how)
            sent.append(answer)
            return Response.unread(answer.status_code, answer.headers.items)

        flow = self.cloud.flow(target, redirected=hasattr(request, "latchgate_redirected"))
        try:
            carry_out(self.cloud, flow, ask=lambda own: self.ask(own, **how), send=carried)
        except BaseException:
            for answer in sent:
                answer.close()
            raise
        return sent[0]

    def __getstate__(self) -> NoReturn:
        msg = "a session with a credential is not pickled: make one where it is used"
        raise TypeError(msg)

    def ask(self, request: Request, **how: Any) -> Response:  # noqa: ANN401 - as of `send`
        """Make a request of a flow's own; raises Unreachable."""
        target = Target.of(request.url)
        outgoing = requests.Request(
            request.method, target.origin, headers=dict(request.headers), data=request.body
        ).prepare()
        if target.host in LOOPBACK:
            how["proxies"] = None
        try:
            answer = self._placed(
                _place(request.url), outgoing, stream=True, timeout=_SECONDS, **how
            )
            with answer:
                body = b""
                for chunk in answer.iter_content(_LARGEST):
                    body += chunk
                    if len(body) > _LARGEST:
                        break
        except requests.RequestException as error:
            error.request = error.response = None
            # What can't be sent it shows: a header's value, for one.
            told = str(error) if isinstance(error, requests.ConnectionError) else ""
            reason = told or type(error).__name__
            msg = f"{target.origin} can't be reached: {reason}"
            raise Unreachable(msg) from error
        return Response.of(answer.status_code, answer.headers.items(), body)

    def _carried(
        self,
        request: requests.PreparedRequest,
        step: Send,
        **how: Any,  # noqa: ANN401 - as of `send`
    ) -> requests.Response:
        copied = copy(request)  # its own method copies the jar of cookies, too: of no use here
        copied.headers = request.headers.copy()
        for name, value in step.headers:
            copied.headers[name] = value
        place = None
        if step.path is not None:
            _, mark, query = request.path_url.partition("?")
            place = step.path + mark + query
        try:
            answer = self._placed(place, copied, **how)
        except requests.RequestException as error:
            error.request = request
            raise
        answer.request = request
        return answer

    def _placed(
        self,
        place: str | None,
        request: requests.PreparedRequest,
        **how: Any,  # noqa: ANN401 - as of `send`
    ) -> requests.Response:
        """Send, with `place` in the stead of the URL's path and query where it is given."""
        before = _PLACE.set(place)
        try:
            return super().send(request, **how)
        finally:
            _PLACE.reset(before)


def check(cloud: Cloud, response: requests.Response) -> requests.Response:
    """Return an answer below 400; raise what any other means, with the provider's code and words.

    Raises: Refused and its kin.
    """
    if response.status_code < 400:  # noqa: PLR2004 - RFC 9110 §15.5
        return response
    told = Response.of(response.status_code, response.headers.items(), response.content)
    raise refused(cloud, told)


class _Discreet:
    """A connection that puts a credential into the path by itself, and prints nothing."""

    debuglevel = 0

    def putrequest(self, method: str, url: str, **told: bool) -> None:
        """Send the request line."""
        place = _PLACE.get()
        super().putrequest(method, url if place is None else place, **told)  # type: ignore[misc]


def _quiet(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {
        scheme: _pool(made) for scheme, made in manager.pool_classes_by_scheme.items()
    }


@cache
def _pool(made: type[Any]) -> type[Any]:
    """Return the class of pools whose connections are quiet; one that is already stays."""
    if issubclass(made.ConnectionCls, _Discreet):
        return made
    connection = type(made.ConnectionCls.__name__, (_Discreet, made.ConnectionCls), {})
    return type(made.__name__, (made,), {"ConnectionCls": connection})


def _place(url: str) -> str:
    """Return a URL's path and query."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _repeatable(body: object) -> bool:
    return isinstance(body, bytes | str | None)


def _nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
