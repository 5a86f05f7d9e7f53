"""Problem details (RFC 9457), for Latchgate's own API and wherever no provider has a say."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply, challenge_headers

_encode = msgspec.json.Encoder().encode


def render(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal as a problem document; `code` is the stable part, `type` names it too."""
    headers = (("Content-Type", "application/problem+json"), *challenge_headers(challenges))
    body = _encode(
        {
            "type": f"urn:latchgate:problem:{public.code}",
            "title": HTTPStatus(public.status).phrase,
            "status": public.status,
            "detail": public.text,
            "code": public.code,
        }
    )
    return Reply(status=public.status, headers=headers, body=body)
