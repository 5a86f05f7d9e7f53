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
    fault = None
    try:
        client = _client(scope.get("client"), headers, trusted)
    except ValueError as error:
        client, fault = None, (Reason.CLIENT_ADDRESS_INVALID, str(error))
    return Request(
        method=scope["method"],
        host=headers.get("host", ""),
        target=f"{target}?{query.decode('latin-1')}" if query else target,
        headers=headers,
        repeated=repeated,
        client=client,
        tls=scope.get("scheme") == "https",
        fault=fault,
    )


def _client(
    peer: tuple[str, int] | None, headers: dict[str, str], trusted: Networks
) -> Address | None:
    if peer is None:
        return None
    address = parse_address(peer[0])
    forwarded = headers.get("x-forwarded-for")
    if forwarded is None or address not in trusted:
        return address
    return right_most_untrusted([forwarded], trusted)


async def send_refusal(decision: Decision, accept: str, scope: Scope, send: Send) -> None:
    """Answer a refused request in its dialect, with the decision's id."""
    reply = refusal(decision, accept)
    pairs = [*reply.headers, (DECISION_HEADER, decision.id), ("Cache-Control", "no-store")]
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})
