"""A stage that answers as the Identity API v3 does."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count

from tests.client.stage import Asked, Said, Stage

from latchgate.client import KakaoCloud

LOGIN = "/v3/auth/tokens"


def identity(secret: str, answer: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
    """Return what hands out the tokens SECRET-1, SECRET-2, …, and answers other requests so."""
    numbers = count(1)

    def said(asked: Asked) -> Said:
        if asked.path != LOGIN:
            return answer(asked)
        times = {"issued_at": "2026-11-22T00:00:00Z", "expires_at": "2026-11-22T12:00:00Z"}
        whose = {"user": {"id": "u"}, "project": {"id": "p"}, "roles": []}
        body = json.dumps({"token": times | whose}).encode()
        return Said(201, body, {"X-Subject-Token": f"{secret}-{next(numbers)}"})

    return said


def kakao(stage: Stage, secret: str) -> KakaoCloud:
    return KakaoCloud("id", secret, url=f"{stage.url}/v3", cache=None)
