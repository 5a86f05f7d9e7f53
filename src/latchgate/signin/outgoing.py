"""Connections to addresses that others named: looked up, judged, only then made (ATTACKS D6.56).

Rule of this file: the address that was judged is the one that is connected to. No redirect, no
proxy or password of the environment, and one time for all of it.
"""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from latchgate.core.destination import Destination, read_destination
from latchgate.core.network import Address, Networks, parse_address
from latchgate.signin.jwks import FETCH_SECONDS, MAX_BYTES, FetchError

if TYPE_CHECKING:
    import httpx2

RESOLVE_SECONDS = 5.0
Resolve = Callable[[str, int], list[Address]]
# As many as one tenant's names can keep busy that nobody answers for, and more.
_resolvers = ThreadPoolExecutor(64, "resolve")


class UnresolvedError(Exception):
    """A name has no address, or none that may be connected to; says why, in words of our own."""


def resolve(host: str, port: int) -> list[Address]:
    """Return every address of a name; UnresolvedError when there is none, or none in time."""
    asked = _resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = asked.result(RESOLVE_SECONDS)
    except TimeoutError as error:
        asked.cancel()
        raise UnresolvedError("the host's name took too long to look up") from error
    except (OSError, UnicodeError) as error:
        raise UnresolvedError("the host's name is not known") from error
    texts = [str(one[4][0]).partition("%")[0] for one in found]
    return [parse_address(text) for text in dict.fromkeys(texts)]


def judged(to: Destination, allowed: Networks, look_up: Resolve) -> list[Address]:
    """Return the addresses to connect to; UnresolvedError unless every one of them may be.

    Whoever answers for a name could hand out a good one and a bad one by turns.
    """
    addresses = [to.address] if to.address is not None else look_up(to.host, to.port)
    for address in addresses:
        if not to.takes(address, allowed):
            msg = f"the host's address {address} is not public; nothing is sent to it"
            raise UnresolvedError(msg)
    return addresses


@functools.cache
def authorities() -> ssl.SSLContext:
    """Return whose certificates count: the system's authorities, or those of SSL_CERT_FILE."""
    return ssl.create_default_context()


@dataclass(slots=True)
class Watch:
    """Ends a connection at its time: a peer that sends a byte now and then never times out."""

    until: float  # on the monotonic clock
    ended: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Learn of a connection's sockets, as the HTTP library tells of them."""
        if name in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self.ended:
                self.end()

    def end(self) -> None:
        """End what is open."""
        self.ended = True
        for one in list(self._sockets):
            with suppress(OSError, ssl.SSLError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def watching(seconds: float) -> Iterator[Watch]:
    """Watch what is connected to meanwhile, for so long."""
    watch = Watch(time.monotonic() + seconds)
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()


def fetcher(allowed: Networks, look_up: Resolve = resolve) -> Callable[[str], bytes]:
    """Return a function that fetches a JSON document from a URL that a tenant named.

    It raises FetchError for anything but a plain 200 of 256 KiB at most within 5 s, from a public
    address over HTTPS or from one of the networks that the operator `allowed`. Why is told without
    a word of what the peer said.
    """

    def fetch(url: str) -> bytes:
        import httpx2  # noqa: PLC0415 - not in the base install

        try:
            to = read_destination(url, allowed)
            addresses = judged(to, allowed, look_up)
        except (ValueError, UnresolvedError) as error:
            raise FetchError(str(error)) from error
        with watching(FETCH_SECONDS) as watch:
            for address in addresses:
                try:
                    return _get(to, address, watch)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    if watch.ended or address is addresses[-1]:
                        raise FetchError(_why(error, watch)) from error
                except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                    raise FetchError(_why(error, watch)) from error
        raise FetchError("the host has no address")

    return fetch


def _get(to: Destination, address: Address, watch: Watch) -> bytes:
    import httpx2  # noqa: PLC0415 - as above

    headers = {
        "Host": to.authority,
        "User-Agent": "Latchgate",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    # The name goes into SNI and is what the certificate must be for.
    more: dict[str, Any] = {"sni_hostname": to.host, "trace": watch.trace}
    left = max(watch.until - time.monotonic(), 0.001)
    held = bytearray()
    with (
        httpx2.Client(
            verify=authorities(), timeout=left, follow_redirects=False, trust_env=False
        ) as client,
        client.stream("GET", to.at(address), headers=headers, extensions=more) as answer,
    ):
        _check(answer)
        for chunk in answer.iter_raw():
            held += chunk
            if len(held) > MAX_BYTES:
                raise FetchError(f"it is longer than {MAX_BYTES} bytes")
    if watch.ended:
        raise FetchError(f"it took longer than {FETCH_SECONDS:.0f} s")
    return bytes(held)


def _check(answer: httpx2.Response) -> None:
    if answer.status_code != 200:  # noqa: PLR2004 - HTTP's own number
        raise FetchError(f"it answered {answer.status_code}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("it answered compressed")


def _why(error: Exception, watch: Watch) -> str:
    if watch.ended or "Timeout" in type(error).__name__:
        return f"it took longer than {FETCH_SECONDS:.0f} s"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not one that is believed"
    return "no connection could be made, or it broke"
