"""UpCloud's errors: `{"error": {"error_code": …, "error_message": …}}`, or the same as XML.

JSON unless the request asks for XML and not for JSON. Never labelled as a problem document: the
provider's own clients would then look for other members. Source: providers/upcloud, "Error
response"; "Accept" under "Request headers".
"""

from __future__ import annotations

from xml.sax.saxutils import escape

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply, challenge_headers

_encode = msgspec.json.Encoder().encode


def render(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal in the representation that was asked for."""
    if _wants_xml(accept):
        kind = "application/xml; charset=UTF-8"
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<error><error_code>{escape(public.code)}</error_code>"
            f"<error_message>{escape(public.text)}</error_message></error>"
        ).encode()
    else:
        kind = "application/json; charset=UTF-8"
        body = _encode({"error": {"error_code": public.code, "error_message": public.text}})
    headers = (("Content-Type", kind), ("Vary", "Accept"), *challenge_headers(challenges))
    return Reply(status=public.status, headers=headers, body=body)


def _wants_xml(accept: str) -> bool:
    """Whether XML is named with a higher quality than JSON (RFC 9110 §12.5.1)."""
    quality = {"application/xml": 0.0, "application/json": 0.0}
    for item in accept.lower().split(","):
        kind, *parameters = [part.strip() for part in item.split(";")]
        if kind in quality:
            quality[kind] = max(quality[kind], _quality(parameters))
    return quality["application/xml"] > quality["application/json"]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
