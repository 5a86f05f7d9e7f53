"""TeraCLOUD's errors: `{"result": …, "message": …}`, where `result` is never 0.

The provider documents no body; its REST answers carry `result`, 0 when all is well, and its
clients go by the status: 401 for user or password, 403 for the API key.
"""

from __future__ import annotations

import msgspec

from latchgate.core.dialects.reply import Challenge, Public, Reply, challenge_headers

_encode = msgspec.json.Encoder().encode


def render(public: Public, challenges: tuple[Challenge, ...], accept: str) -> Reply:
    """Word a refusal as JSON; WebDAV clients read its status and challenge alone."""
    body = _encode({"result": public.status, "message": public.text})
    headers = (("Content-Type", "application/json"), *challenge_headers(challenges))
    return Reply(status=public.status, headers=headers, body=body)
