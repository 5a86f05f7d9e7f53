"""An area's old system: what it is asked, what its answer means beside ours.

Rule of this file: the old system's word is enforced, and nothing a client wrote passes for it. What
can't be read without doubt is never put to it, for it might read it otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from latchgate.core.model import Decision, Request
from latchgate.core.reason import Reason

MAX_BODY = 65_536  # of a refusal; a longer one is no answer
MAX_VALUES = 4_096  # of all that is passed on in headers: gateways bound an answer's head
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_MEDIA_TYPE = re.compile(r"[!-~][ -~]{0,199}")
_REFUSING = range(400, 500)
_TYPE = "Content-Type"
_PASSED_ON = (_TYPE, "WWW-Authenticate", "Retry-After")
# Refused here whatever the old system would say: nobody may read these in two ways.
_DOUBTS = frozenset(
    {
        Reason.PATH_AMBIGUOUS,
        Reason.HOST_INVALID,
        Reason.METHOD_INVALID,
        Reason.CLIENT_ADDRESS_INVALID,
        Reason.REQUEST_INVALID,
        Reason.DESTINATION_OUTSIDE,
        Reason.CREDENTIAL_REPEATED,
        Reason.AREA_CLOSED,
        Reason.GATEWAY_INCOMPLETE,
        Reason.GATEWAY_NOT_TRUSTED,
    }
)


@dataclass(frozen=True, slots=True)
class Shadow:
    """The old system of an area: where it is asked, for how long, what goes there and comes back.

    `send` are lower-case names of the request's headers, `copy` those of its answer that go
    upstream. `principal` names the header that says for whom it allowed, and which part of our
    identity that must be. `until` is when whoever runs it meant to be done, Unix seconds.
    """

    name: str
    url: str
    timeout: float
    send: tuple[str, ...]
    copy: tuple[str, ...]
    principal: tuple[str, str] | None
    until: float | None


class Outcome(StrEnum):
    """How our decision and the old system's compare."""

    SAME = "same"
    STRICTER = "stricter"  # we refuse what it allows
    LOOSER = "looser"  # we allow what it refuses
    PRINCIPAL = "principal"  # both allow, for somebody else
    UNANSWERED = "unanswered"  # it said nothing that counts, and the request was refused


@dataclass(frozen=True, slots=True)
class Told:
    """What the old system said: `copied` has every header to copy, empty where it sent none."""

    status: int
    copied: tuple[tuple[str, str], ...]
    principal: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def allowed(self) -> bool:
        """Whether it lets the request pass."""
        return self.status not in _REFUSING


class UnansweredError(Exception):
    """The old system gave no answer that counts; says why, without anything of the request."""


def doubt(decision: Decision, request: Request, shadow: Shadow) -> Reason | None:
    """Return why a request is refused unasked, or None where the old system is asked."""
    if decision.reason in _DOUBTS:
        return decision.reason
    if request.client is None:
        return Reason.CLIENT_ADDRESS_INVALID  # it would take us for the client
    for name in (*shadow.send, "accept", "user-agent"):
        if name in request.headers and not _VALUE.fullmatch(request.headers[name]):
            return Reason.REQUEST_INVALID
    if any(name in request.repeated for name in shadow.send):
        return Reason.REQUEST_INVALID
    if not _VALUE.fullmatch(request.target) or not _VALUE.fullmatch(request.host):
        return Reason.REQUEST_INVALID
    return None


def question(shadow: Shadow, request: Request) -> list[tuple[bytes, bytes]]:
    """Return the headers that put a request to the old system, in both usual spellings."""
    scheme = "https" if request.tls else "http"
    client = str(request.client)
    told = [
        ("X-Forwarded-Method", request.method),
        ("X-Forwarded-Proto", scheme),
        ("X-Forwarded-Host", request.host),
        ("X-Forwarded-Uri", request.target),
        ("X-Forwarded-For", client),
        ("X-Real-IP", client),
        ("X-Original-Method", request.method),
        ("X-Original-URI", request.target),
        ("X-Original-URL", f"{scheme}://{request.host}{request.target}"),
        ("Accept", request.headers.get("accept") or "*/*"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", request.headers.get("user-agent") or "latchgate"),
    ]
    told += [
        (name, request.headers[name].strip()) for name in shadow.send if name in request.headers
    ]
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in told]


def read_answer(
    shadow: Shadow, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> Told:
    """Read the old system's answer; UnansweredError where it is neither a yes nor a no."""
    if not (status // 100 == 2 or status in _REFUSING):  # noqa: PLR2004 - RFC 9110 §15.3
        raise UnansweredError(f"it answered {status}")
    values: dict[str, list[str]] = {}
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if not _VALUE.fullmatch(text):
            raise UnansweredError("it answered with a header that can't be passed on")
        values.setdefault(name.decode("latin-1").lower(), []).append(text)
    copied = tuple((name, _single(values, name.lower())) for name in shadow.copy)
    principal = _single(values, shadow.principal[0].lower()) if shadow.principal else None
    passed = tuple(
        (name, ", ".join(values[name.lower()]))
        for name in _PASSED_ON
        if values.get(name.lower(), [""])[0]
    )
    if "content-encoding" in values and values["content-encoding"] != ["identity"]:
        raise UnansweredError("it answered compressed, which it was asked not to")
    if sum(len(value) for _, value in (*copied, *passed)) > MAX_VALUES:
        raise UnansweredError(f"its headers are longer than {MAX_VALUES} bytes")
    return Told(status, copied, principal or None, _with_type(passed, body), body)


def _single(values: Mapping[str, list[str]], name: str) -> str:
    """Return a header of the answer: two of one that names somebody name nobody (D1.4)."""
    found = values.get(name, [])
    if len(found) > 1:
        raise UnansweredError(f"it sent {name} more than once")
    return found[0] if found else ""


def _with_type(passed: tuple[tuple[str, str], ...], body: bytes) -> tuple[tuple[str, str], ...]:
    kept = [(name, value) for name, value in passed if name != _TYPE]
    told = dict(passed).get(_TYPE, "")
    if body:
        plain = "application/octet-stream"
        kept.append((_TYPE, told if _MEDIA_TYPE.fullmatch(told) else plain))
    return tuple(kept)


def compared(
    decision: Decision, told: Told, shadow: Shadow, identity: Mapping[str, str]
) -> Outcome:
    """Compare the two; `identity` is ours, by its `X-Latchgate-*` names."""
    if decision.allowed != told.allowed:
        return Outcome.LOOSER if decision.allowed else Outcome.STRICTER
    if decision.allowed and shadow.principal is not None and identity:
        ours = identity.get(shadow.principal[1])
        if ours is None or ours != told.principal:
            return Outcome.PRINCIPAL
    return Outcome.SAME


def passed_upstream(
    told: Told, outcome: Outcome, shadow: Shadow, identity: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return the identity headers of an allowed request: the old system's, and ours if proven.

    Ours goes beside only where the policy says how to tell that both mean the same one.
    """
    mine = outcome is Outcome.SAME and shadow.principal is not None
    return (*told.copied, *(identity.items() if mine else ()))
