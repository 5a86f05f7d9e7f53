"""Keystone's errors, which KakaoCloud's are: `{"error": {"code": …, "message": …, "title": …}}`."""

from __future__ import annotations

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply, challenge_headers

_encode = msgspec.json.Encoder().encode


def render(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal; `title` is the status in words."""
    told = {"code": public.status, "message": public.text, "title": public.code}
    headers = (
        ("Content-Type", "application/json"),
        ("Vary", "X-Auth-Token"),
        *challenge_headers(challenges),
    )
    return Reply(status=public.status, headers=headers, body=_encode({"error": told}))
