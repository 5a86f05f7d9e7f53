"""Problem details (RFC 9457), for Latchgate's own API and wherever no provider has a say."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply

_encode = msgspec.json.Encoder().encode


def render(public: Public, challenge: Challenge | None) -> Reply:
    """Word a refusal as a problem document; `code` is the stable part, `type` names it too."""
    headers: list[tuple[str, str]] = [("Content-Type", "application/problem+json")]
    if challenge is not None:
        headers.append(("WWW-Authenticate", str(challenge)))
    body = _encode(
        {
            "type": f"urn:latchgate:problem:{public.code}",
            "title": HTTPStatus(public.status).phrase,
            "status": public.status,
            "detail": public.text,
            "code": public.code,
        }
    )
    return Reply(status=public.status, headers=tuple(headers), body=body)
