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


def refusing(secret: str, *statuses: int) -> Callable[[Asked], Said]:
    """Return what answers with these, one after the other, and gives tokens out."""
    left = list(statuses)
    words = b'{"error": {"code": 401, "title": "Unauthorized"}}'
    return identity(secret, lambda _: Said(left.pop(0), words))


def told(stage: Stage) -> list[tuple[str, str | None]]:
    return [(asked.path, asked.header("x-auth-token")) for asked in stage.asked]
