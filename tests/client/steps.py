"""Flows one step at a time: what one yields, for answers that a test gives."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from typing import Any, NamedTuple

from latchgate.client.flow import Ask
from latchgate.client.message import Response


class Taken(NamedTuple):
    """The steps of a flow that came to its end, and what it returned."""

    steps: list[Any]
    result: Any


def taken(flow: Generator[Any, Any, Any], answers: Iterable[Any] = ()) -> Taken:
    """Carry a flow out with these answers, then with None; what the flow raises is raised."""
    steps: list[Any] = []
    told = iter(answers)
    try:
        step = next(flow)
        while True:
            steps.append(step)
            answer = next(told, None)
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as ended:
        return Taken(steps, ended.value)


def answer(told: object = None, status: int = 200, **headers: str) -> Response:
    """Return a response; names of headers with `_` for a hyphen."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return Response.of(status, pairs, body)


def asked(step: Any) -> tuple[str, str, dict[str, str], bytes | None]:
    """Return method, URL, headers and body of a flow's own request."""
    assert isinstance(step, Ask)
    one = step.request
    return one.method, one.url, dict(one.headers), one.body
