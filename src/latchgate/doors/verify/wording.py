"""What the verify address writes: answers as bytes, in the shape that each family passes on.

Rule of this file: every answer is framed by its length and kept by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from latchgate.core.answer import identity, notices, refusal
from latchgate.core.dialects import DIALECTS, Public
from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Decision
from latchgate.core.reason import Reason
from latchgate.verify.shadow import Settled

_NO_BODY = b"Content-Length: 0\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_PREFIX = "X-Latchgate-"
BELOW_NGINX = "/nginx/"


def allowed(decision: Decision, url: str) -> bytes:
    """Pass a request on with its identity."""
    return passed((*identity(decision), *notices(decision)), url)


def passed(pairs: Iterable[tuple[str, str]], url: str) -> bytes:
    """Pass a request on with these headers, in the names that this family of gateways reads.

    An old system's are among them even where it sent none, as empty ones: so a gateway that sets
    what it is given leaves none of the client's own standing (D1.1).
    """
    if url.startswith(BELOW_NGINX):
        pairs = [(_told_nginx(name), value) for name, value in pairs]
    lines = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    return _OK + lines.encode("latin-1") + _NO_BODY


def _told_nginx(name: str) -> str:
    """Return `Tenant-Latchgate` for `X-Latchgate-Tenant`.

    nginx looks each of its variables up in all lines of an answer, letter by letter: names that
    begin alike take it 2 µs a request. deploy/nginx asks below /nginx/, and passes them on as
    everywhere else; whoever asks at /nginx itself is told the names that are passed on.
    """
    field = name.removeprefix(_PREFIX)
    return name if field == name else f"{field}-Latchgate"


def told(settled: Settled, method: str, url: str) -> bytes:
    """Refuse as the old system did, in the shape that this family of gateways passes on."""
    answer, decision = settled.told, settled.decision
    assert answer is not None  # noqa: S101 - the caller looked
    lines = [f"X-Latchgate-Decision: {decision.id}"] if decision.id else []
    if not url.startswith("/nginx"):
        lines += [f"{name}: {value}" for name, value in answer.headers]
        return _whole(answer.status, lines, answer.body, method, "latin-1")
    for name, value in answer.headers:
        lines.append(f"{_FOR_NGINX[name]}: {value}")
    # nginx has no way to choose a status freely: one that its configuration doesn't know is 403.
    status = answer.status if answer.status in _NGINX_STATUSES else 403
    lines += [
        f"X-Latchgate-Status: {status}",
        f"X-Latchgate-Body: {_one_line(answer.body)}",
        "Content-Length: 0",
    ]
    return _bytes(401 if status == 401 else 403, lines, b"", "latin-1")  # noqa: PLR2004 - see above


def _one_line(body: bytes) -> str:
    """Return a refusal's text as a header's value, bytes as Latin-1; nothing for what can't be."""
    text = _BLANK.sub(b" ", body)
    return text.decode("latin-1") if len(text) <= _MAX_LINE and not _CONTROL.search(text) else ""


def worded(decision: Decision, method: str, url: str, accept: str) -> bytes:
    """Refuse in the provider's words, in the shape that this family of gateways passes on."""
    if url.startswith("/nginx"):
        return _for_nginx(decision, accept)
    return _refused(decision, method, accept)


def _refused(decision: Decision, method: str, accept: str) -> bytes:
    """Answer as the provider would: this family of gateways passes status, headers and body on."""
    reply = refusal(decision, accept)
    lines = [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"X-Latchgate-Decision: {decision.id}")
    return _whole(reply.status, lines, reply.body, method)


_FOR_NGINX = {
    "Content-Type": "X-Latchgate-Content-Type",
    "WWW-Authenticate": "X-Latchgate-Challenge",
    "Retry-After": "X-Latchgate-Retry-After",
    "Allow": "X-Latchgate-Allow",
    "Vary": "X-Latchgate-Vary",
}


# Those that @latchgate_refused of deploy/nginx/latchgate-server.conf can answer with.
_NGINX_STATUSES = frozenset({400, 401, 403, 404, 405, 406, 413, 414, 429, 431})
_MAX_LINE = 3_072
_BLANK = re.compile(rb"[\t\r\n]+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def _for_nginx(decision: Decision, accept: str) -> bytes:
    """Answer with the status that nginx passes on, and the provider's answer in headers.

    `auth_request` takes 401 and 403 and drops bodies; one location of the shipped configuration
    rebuilds the answer from these (deploy/nginx).
    """
    reply = refusal(decision, accept)
    lines = [f"{_FOR_NGINX[name]}: {value}" for name, value in reply.headers]
    lines += [
        f"X-Latchgate-Status: {reply.status}",
        f"X-Latchgate-Body: {reply.body.decode()}",
        f"X-Latchgate-Decision: {decision.id}",
        "Content-Length: 0",
    ]
    return _bytes(401 if reply.status == 401 else 403, lines, b"")  # noqa: PLR2004 - see above


def problem(
    reason: Reason, method: str, *, detail: str | None = None, allow: str | None = None
) -> bytes:
    """Answer a question that no dialect words, as RFC 9457 has it."""
    public = TABLE[reason]["problem"]
    if detail is not None:
        public = Public(public.status, public.code, detail)
    reply = DIALECTS["problem"](public, (), "")
    lines = [f"{name}: {value}" for name, value in reply.headers]
    if allow is not None:
        lines.append(f"Allow: {allow}")
    return _whole(reply.status, lines, reply.body, method)


def as_json(body: bytes, method: str) -> bytes:
    """Answer JSON that is written already."""
    return _whole(200, ["Content-Type: application/json"], body, method)


def _whole(
    status: int, lines: list[str], body: bytes, method: str, charset: str = "utf-8"
) -> bytes:
    lines = [*lines, "Cache-Control: no-store", f"Content-Length: {len(body)}"]
    return _bytes(status, lines, b"" if method == "HEAD" else body, charset)


def _bytes(status: int, lines: list[str], body: bytes, charset: str = "utf-8") -> bytes:
    phrase = _PHRASES.get(status, "Refused")  # an old system may answer one without a name
    head = "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "", ""])
    return head.encode(charset) + body
