"""One signed message posted to one URL, at an address that was looked at before (ATTACKS D6.56).

Rule of this file: the address that was checked is the one that is connected to. No redirect, no
proxy or password of the environment, nothing kept of the answer but its status, and ten seconds
for all of it. Source: the Standard Webhooks specification.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from typing import Any

from latchgate.core.destination import Destination
from latchgate.core.network import Address, Networks
from latchgate.signin import outgoing
from latchgate.signin.outgoing import Resolve, UnresolvedError, Watch, judged, watching
from latchgate.signin.outgoing import authorities as _authorities

SEND_SECONDS = 10.0
MAX_ANSWER = 16_384


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
    try:
        return outgoing.resolve(host, port)
    except UnresolvedError as error:
        raise SendError(str(error)) from error


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
    with watching(SEND_SECONDS) as watch:
        try:
            addresses = judged(to, allowed, look_up)
        except UnresolvedError as error:
            raise SendError(str(error)) from error
        return _first(to, addresses, body, headers, watch)


def _first(
    to: Destination,
    addresses: list[Address],
    body: bytes,
    headers: Mapping[str, str],
    watch: Watch,
) -> int:
    """Post to the first address that a connection can be made to."""
    import httpx2  # noqa: PLC0415 - loaded when something is first sent

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
    watch: Watch,
) -> int:
    import httpx2  # noqa: PLC0415 - as above

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


def _worded(error: Exception, watch: Watch) -> str:
    """Say why, without what the peer said: that is not the tenant's to read."""
    import httpx2  # noqa: PLC0415 - as above

    if watch.ended or isinstance(error, httpx2.TimeoutException):
        return f"it took longer than {SEND_SECONDS:.0f} s"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not one that is believed"
    if isinstance(error, httpx2.ConnectError):
        return "no connection could be made"
    return "the connection broke before an answer came"
