"""UpCloud's errors: `{"error": {"error_code": …, "error_message": …}}`, or the same as XML.

JSON unless the request asks for XML more than for JSON. Never labelled as a problem document: the
provider's own clients would then look for other members. Its newer endpoints (API tokens) answer
with problem documents (RFC 7807) instead, whose `type` ends in the code, but for every 401: each
client finds AUTHENTICATION_FAILED in the older shape alone. Source: providers/upcloud, "Error
response"; "Accept" under "Request headers"; problem documents as recorded in its API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from xml.sax.saxutils import escape

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply, challenge_headers
from latchgate.core.secret import CROCKFORD_UPPER, spell

PROBLEM = "application/problem+json"  # exactly: a parameter would make clients read the older shape
PROBLEM_XML = "application/problem+xml"
PROBLEM_SPACE = "urn:ietf:rfc:7807"  # RFC 7807, appendix A
XML_HEAD = '<?xml version="1.0" encoding="utf-8"?>'
PROBLEM_TYPE = "https://developers.upcloud.com/1.3/errors#ERROR_"
_encode = msgspec.json.Encoder().encode
_NO_XML = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # XML 1.0 §2.2, and no breaks
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_DECISION = re.compile("[0-9a-f]{20}")
_ULID_TIME, _ULID_RANDOM = 10, 16
_USUAL_ACCEPT = 128  # characters; longer ones are remembered nowhere


class Form(Enum):
    """A representation that the provider has."""

    JSON = "application/json"
    XML = "application/xml"


def render(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal in the representation that was asked for."""
    if wanted_form(accept) is Form.XML:
        kind = "application/xml; charset=UTF-8"
        body = (
            f"{XML_HEAD}"
            f"<error><error_code>{xml_text(public.code)}</error_code>"
            f"<error_message>{xml_text(public.text)}</error_message></error>"
        ).encode()
    else:
        kind = "application/json; charset=UTF-8"
        body = _encode({"error": {"error_code": public.code, "error_message": public.text}})
    headers = (("Content-Type", kind), ("Vary", "Accept"), *challenge_headers(challenges))
    return Reply(status=public.status, headers=headers, body=body)


def render_problem(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal as a problem document, a 401 as ever.

    `correlation_id` is a ULID of no time: its other 80 bits are the decision's id.
    """
    if public.status == 401:  # noqa: PLR2004 - RFC 9110 §15.5.2
        return render(public, challenges, accept)
    told: dict[str, object] = {
        "type": f"{PROBLEM_TYPE}{public.code}",
        "title": public.text,
        "status": public.status,
    }
    if _DECISION.fullmatch(public.decision):
        told["correlation_id"] = ulid(0, int(public.decision, 16))
    kind, body = PROBLEM, _encode(told)
    if wanted_form(accept) is Form.XML:
        kind = PROBLEM_XML
        inner = "".join(f"<{name}>{xml_text(str(one))}</{name}>" for name, one in told.items())
        body = f'{XML_HEAD}<problem xmlns="{PROBLEM_SPACE}">{inner}</problem>'.encode()
    headers = (("Content-Type", kind), ("Vary", "Accept"), *challenge_headers(challenges))
    return Reply(status=public.status, headers=headers, body=body)


def ulid(milliseconds: int, drawn: int) -> str:
    """Return a ULID: 48 bits of Unix time, and 80 bits that tell it from others."""
    time = spell(milliseconds, CROCKFORD_UPPER, _ULID_TIME)
    return f"{time}{spell(drawn, CROCKFORD_UPPER, _ULID_RANDOM)}"


def xml_text(text: str) -> str:
    """Return text as XML may hold it, on one line."""
    return escape(_NO_XML.sub(" ", text))


def wanted_form(accept: str) -> Form | None:
    """Return what an `Accept` asks for (RFC 9110 §12.5.1): XML only where it is wanted more.

    None where neither will do; JSON where nothing is said.
    """
    if not accept.strip():
        return Form.JSON
    told: dict[str, float] = {}
    for item in accept.lower().split(","):
        kind, *parameters = [part.strip() for part in item.split(";")]
        told[kind] = max(told.get(kind, 0.0), _quality(parameters))
    xml, json = _wanted(Form.XML.value, told), _wanted(Form.JSON.value, told)
    if xml[0] > 0 and xml > json:
        return Form.XML
    return Form.JSON if json[0] > 0 else None


def plainest(accept: str) -> str:
    """Return the plainest `Accept` that a refusal is worded alike for."""
    if len(accept) > _USUAL_ACCEPT:
        return _plainest.__wrapped__(accept)
    return _plainest(accept)


@lru_cache(maxsize=256)
def _plainest(accept: str) -> str:
    return Form.XML.value if wanted_form(accept) is Form.XML else ""


def _wanted(kind: str, told: Mapping[str, float]) -> tuple[float, int]:
    """Return a representation's quality by the range that names it best, and how well it does."""
    for rank, named in ((2, kind), (1, "application/*"), (0, "*/*")):
        if named in told:
            return told[named], rank
    return 0.0, 0


def _quality(parameters: list[str]) -> float:
    """Return a range's weight; one that is none counts as "not acceptable"."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value.strip()) if _WEIGHT.fullmatch(value.strip()) else 0.0
    return 1.0
