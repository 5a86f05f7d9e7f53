"""From an ASGI scope to a Request, and from a refusal to its bytes; shared by every ASGI door."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Scope, Send

from latchgate.core.answer import refusal
from latchgate.core.model import Decision, Request
from latchgate.core.network import Address, Networks, parse_address, right_most_untrusted
from latchgate.core.reason import Reason

DECISION_HEADER = "X-Latchgate-Decision"


def fold(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], frozenset[str]]:
    """Return headers by lower-case name, and the names that came more than once.

    Repeated values are joined with a comma as RFC 9110 §5.3 reads them; whoever can't take a
    list must look at the second value.
    """
    headers: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in headers:
            repeated.add(key)
            text = f"{headers[key]}, {text}"
        headers[key] = text
    return headers, frozenset(repeated)


def read_request(scope: Scope, trusted: Networks) -> Request:
    """Read what was asked of an ASGI server, by its peer or through a trusted gateway."""
    headers, repeated = fold(scope["headers"])
    target = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    query = scope.get("query_string", b"")
    client, tls, fault = None, scope.get("scheme") == "https", None
    try:
        peer = _peer(scope)
        if peer is None or peer not in trusted:
            client = peer
        else:
            client = _client(peer, headers, trusted)
            tls = _tls(headers, repeated, own=tls)
    except ValueError as error:
        client, tls, fault = None, False, (Reason.CLIENT_ADDRESS_INVALID, str(error))
    except _UnclearSchemeError as error:
        tls, fault = False, (Reason.GATEWAY_INCOMPLETE, str(error))
    return Request(
        method=scope["method"],
        host=headers.get("host", ""),
        target=f"{target}?{query.decode('latin-1')}" if query else target,
        headers=headers,
        repeated=repeated,
        client=client,
        tls=tls,
        fault=fault,
    )


class _UnclearSchemeError(Exception):
    """A trusted gateway doesn't say whether its client used TLS, or says two things."""


def _peer(scope: Scope) -> Address | None:
    peer: tuple[str, int] | None = scope.get("client")
    return parse_address(peer[0]) if peer is not None else None


def _client(gateway: Address, headers: dict[str, str], trusted: Networks) -> Address:
    forwarded = headers.get("x-forwarded-for")
    return gateway if forwarded is None else right_most_untrusted([forwarded], trusted)


def _tls(headers: dict[str, str], repeated: frozenset[str], *, own: bool) -> bool:
    """Take a trusted gateway's word on its client's connection, else its own connection to us.

    A list is what a gateway sends that appends to the client's own header: the word of nobody.
    """
    forwarded = headers.get("x-forwarded-proto")
    if forwarded is None:
        return own
    if "x-forwarded-proto" in repeated:
        raise _UnclearSchemeError("x-forwarded-proto arrived more than once")
    if forwarded not in {"https", "http"}:
        raise _UnclearSchemeError(
            f"x-forwarded-proto is neither https nor http: {forwarded[:64]!r}"
        )
    return forwarded == "https"


class ExactName(bytes):
    """The name of a header that goes out as it is written: uvicorn sends others in lower case.

    Names are compared without case (RFC 9110 §5.1), but not by every script that looks for one.
    """

    __slots__ = ()

    def lower(self) -> bytes:
        """Return the name as it is."""
        return self


async def send_refusal(
    decision: Decision, accept: str, scope: Scope, send: Send, api_url: str = ""
) -> None:
    """Answer a refused request in its dialect, with the decision's id."""
    reply = refusal(decision, accept, api_url)
    pairs = [*reply.headers, (DECISION_HEADER, decision.id), ("Cache-Control", "no-store")]
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})
