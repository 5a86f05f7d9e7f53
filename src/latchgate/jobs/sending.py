"""One signed message posted to one URL, at an address that was looked at before (ATTACKS D6.56).

Rule of this file: the address that was checked is the one that is connected to. No redirect, no
proxy or password of the environment, nothing kept of the answer but its status, and ten seconds
for all of it. Source: the Standard Webhooks specification.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from latchgate.core.destination import Destination
from latchgate.core.network import Address, Networks, parse_address

SEND_SECONDS = 10.0
RESOLVE_SECONDS = 5.0
MAX_ANSWER = 16_384
Resolve = Callable[[str, int], list[Address]]
# As many as one tenant's names can keep busy that nobody answers for, and more.
_resolvers = ThreadPoolExecutor(64, "resolve")


class SendError(Exception):
    """The message was not taken; says why, in words of our own."""


def signed(message_id: str, at: int, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """Return the headers of a message: id, time in Unix seconds, one signature a key."""
    text = b".".join((message_id.encode(), str(at).encode(), body))
    made = (base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{one}" for one in made),
    }


def resolve(host: str, port: int) -> list[Address]:
    """Return every address of a name; SendError when there is none, or none in time."""
    asked = _resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = asked.result(RESOLVE_SECONDS)
    except TimeoutError as error:
        asked.cancel()
        raise SendError("the host's name took too long to look up") from error
    except (OSError, UnicodeError) as error:
        raise SendError("the host's name is not known") from error
    texts = [str(one[4][0]).partition("%")[0] for one in found]
    return [parse_address(text) for text in dict.fromkeys(texts)]


def post(
    to: Destination,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: Networks,
    look_up: Resolve,
) -> int:
    """Post a body and return the answer's status; SendError when there is none.

    Of a name every address must be one that may be sent to: whoever answers for it could hand out
    a good one and a bad one by turns.
    """
    watch = _Watch(time.monotonic() + SEND_SECONDS)
    timer = threading.Timer(SEND_SECONDS, watch.end)
    timer.daemon = True
    timer.start()
    try:
        addresses = [to.address] if to.address is not None else look_up(to.host, to.port)
        for address in addresses:
            if not to.takes(address, allowed):
                raise SendError(f"the host's address {address} is not public; it is not sent to")
        return _first(to, addresses, body, headers, watch)
    finally:
        timer.cancel()


def _first(
    to: Destination,
    addresses: list[Address],
    body: bytes,
    headers: Mapping[str, str],
    watch: _Watch,
) -> int:
    """Post to the first address that a connection can be made to."""
    for address in addresses:
        try:
            return _post(to, address, body, headers, watch)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            if watch.ended or address is addresses[-1]:
                raise SendError(_worded(error, watch)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise SendError(_worded(error, watch)) from error
    raise SendError("the host has no address")


def _post(
    to: Destination,
    address: Address,
    body: bytes,
    headers: Mapping[str, str],
    watch: _Watch,
) -> int:
    sent = {
        "Host": to.authority,
        "Content-Type": "application/json",
        "User-Agent": "Latchgate",
        "Accept-Encoding": "identity",
        **headers,
    }
    # The name goes into SNI and is what the certificate must be for.
    more: dict[str, Any] = {"sni_hostname": to.host, "trace": watch.trace}
    left = watch.until - time.monotonic()  # a connection being made has no socket to end
    with (
        httpx2.Client(
            verify=_authorities(),
            timeout=max(left, 0.001),
            follow_redirects=False,
            trust_env=False,
        ) as client,
        client.stream(
            "POST", to.at(address), content=body, headers=sent, extensions=more
        ) as answer,
    ):
        status: int = answer.status_code
        taken = 0
        for chunk in answer.iter_raw():
            taken += len(chunk)
            if taken > MAX_ANSWER:
                break
    if watch.ended:
        raise SendError(f"it took longer than {SEND_SECONDS:.0f} s")
    return status


@functools.cache
def _authorities() -> ssl.SSLContext:
    """Return whose certificates count: the system's authorities, or those of SSL_CERT_FILE."""
    return ssl.create_default_context()


@dataclass(slots=True)
class _Watch:
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


def _worded(error: Exception, watch: _Watch) -> str:
    """Say why, without what the peer said: that is not the tenant's to read."""
    if watch.ended or isinstance(error, httpx2.TimeoutException):
        return f"it took longer than {SEND_SECONDS:.0f} s"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not one that is believed"
    if isinstance(error, httpx2.ConnectError):
        return "no connection could be made"
    return "the connection broke before an answer came"
