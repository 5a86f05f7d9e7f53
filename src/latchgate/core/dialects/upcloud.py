"""UpCloud's errors: `{"error": {"error_code": …, "error_message": …}}`, or the same as XML.

JSON unless the request asks for XML more than for JSON. Never labelled as a problem document: the
provider's own clients would then look for other members. Source: providers/upcloud, "Error
response"; "Accept" under "Request headers".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply, challenge_headers

_encode = msgspec.json.Encoder().encode
_NO_XML = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # XML 1.0 §2.2, and no breaks
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def render(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal in the representation that was asked for."""
    if _wants_xml(accept):
        kind = "application/xml; charset=UTF-8"
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<error><error_code>{_xml(public.code)}</error_code>"
            f"<error_message>{_xml(public.text)}</error_message></error>"
        ).encode()
    else:
        kind = "application/json; charset=UTF-8"
        body = _encode({"error": {"error_code": public.code, "error_message": public.text}})
    headers = (("Content-Type", kind), ("Vary", "Accept"), *challenge_headers(challenges))
    return Reply(status=public.status, headers=headers, body=body)


def _xml(text: str) -> str:
    """Return text as XML may hold it, on one line."""
    return escape(_NO_XML.sub(" ", text))


def _wants_xml(accept: str) -> bool:
    """Whether XML is wanted more than JSON (RFC 9110 §12.5.1), or as much and more by name."""
    if "xml" not in accept.lower():
        return False
    told: dict[str, float] = {}
    for item in accept.lower().split(","):
        kind, *parameters = [part.strip() for part in item.split(";")]
        told[kind] = max(told.get(kind, 0.0), _quality(parameters))
    xml = _wanted("application/xml", told)
    return xml[0] > 0 and xml > _wanted("application/json", told)


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
