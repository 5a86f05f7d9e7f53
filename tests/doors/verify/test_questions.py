"""Questions in, decisions out, as JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from latchgate.core.model import Decision, Request
from latchgate.core.network import parse_address
from latchgate.core.reason import Reason
from latchgate.doors.verify.questions import MAX_BATCH, read_questions, word_answers

QUESTION = {"method": "GET", "target": "/v1/x?y=1"}


class Asked:
    """Refuses everything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def decide(self, request: Request) -> Decision:
        self.requests.append(request)
        reason = request.fault[0] if request.fault is not None else Reason.NO_AREA
        return Decision(
            id=f"id-{len(self.requests)}",
            reason=reason,
            area=None,
            rule=None,
            grant=None,
            dialect="wayscloud",
            policy_version=1,
            journal=1,
            trace=(),
        )


def answer(body: bytes, asked: Asked) -> bytes:
    requests, batch = read_questions(body)
    return word_answers([(request, asked.decide(request)) for request in requests], batch=batch)


def ask(asked: Asked, body: object) -> Any:
    return json.loads(answer(json.dumps(body).encode(), asked))


def test_a_question_is_read_as_it_was_written():
    asked = Asked()
    told = {
        "host": "API.example.com:443",
        "headers": {"Authorization": "Bearer x", "X-A": ["1", "2"]},
        "client": "::ffff:192.0.2.1",
        "tls": True,
    }
    ask(asked, QUESTION | told)
    assert asked.requests == [
        Request(
            method="GET",
            host="API.example.com:443",
            target="/v1/x?y=1",
            headers={"authorization": "Bearer x", "x-a": "1, 2"},
            repeated=frozenset({"x-a"}),
            client=parse_address("192.0.2.1"),
            tls=True,
        )
    ]


def test_what_is_left_out_is_unknown():
    asked = Asked()
    ask(asked, QUESTION)
    (request,) = asked.requests
    assert (request.host, request.headers, request.client, request.tls) == ("", {}, None, False)


@pytest.mark.parametrize(
    "headers",
    [{"X-A": ["1", "2"]}, {"X-A": "1", "x-a": "2"}, {"x-a": ["1"], "X-A": "2"}],
)
def test_a_name_told_twice_is_repeated(headers):
    asked = Asked()
    ask(asked, QUESTION | {"headers": headers})
    assert asked.requests[0].headers == {"x-a": "1, 2"}
    assert asked.requests[0].repeated == {"x-a"}


def test_an_address_that_is_none_refuses():
    asked = Asked()
    told = ask(asked, QUESTION | {"client": "192.0.2.1:80"})
    assert told["status"] == 400
    fault = asked.requests[0].fault
    assert fault is not None
    assert fault[0] is Reason.CLIENT_ADDRESS_INVALID


def test_a_refusal_is_told_whole():
    assert ask(Asked(), QUESTION) == {
        "allowed": False,
        "status": 404,
        "identity": {},
        "headers": {"Content-Type": "application/json"},
        "body": '{"error":"Endpoint not found","code":"NOT_FOUND"}',
        "decision": "id-1",
    }


def test_a_batch_keeps_its_order_and_its_size():
    asked = Asked()
    many = [QUESTION | {"target": f"/{number}"} for number in range(MAX_BATCH)]
    told = ask(asked, {"requests": many})["decisions"]
    assert [one["decision"] for one in told] == [f"id-{number + 1}" for number in range(MAX_BATCH)]
    assert [request.target for request in asked.requests] == [one["target"] for one in many]
    with pytest.raises(msgspec.ValidationError):
        ask(asked, {"requests": [*many, QUESTION]})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"1",
        b"null",
        b'"x"',
        b'{"method": "GET"}',
        b'{"method": "GET", "target": "/", "more": 1}',
        b'{"method": 1, "target": "/"}',
        b'{"method": "GET", "target": "/", "headers": {"a": 1}}',
        b'{"method": "GET", "target": "/", "headers": {"a": [1]}}',
        b'{"method": "GET", "target": "/", "headers": []}',
        b'{"method": "GET", "target": "/", "client": 1}',
        b'{"method": "GET", "target": "/", "tls": 1}',
        b'{"requests": []}',
        b'{"requests": [1]}',
        b'{"requests": [{"method": "GET"}]}',
        b'{"requests": [{"method": "GET", "target": "/"}], "method": "GET", "target": "/"}',
        b'{"method": "' + b"x" * 16_385 + b'", "target": "/"}',
        b'{"method": "GET", "target": "/\xff"}',
        b'{"requests": [{"method": "GET", "target": "/\xff"}]}',
        b"\xff",
        b"[" * 100_000,
        b'{"method": ' + b"[" * 100_000,
        b'{"requests": ' + b"[" * 100_000,
        b'{"method": "GET", "target": "/", "headers": ' + b'{"a":' * 100_000,
    ],
    ids=range(27),
)
def test_a_body_that_is_no_question_raises_one_kind_of_error_and_asks_nothing(body):
    asked = Asked()
    with pytest.raises(msgspec.MsgspecError):
        answer(body, asked)
    assert asked.requests == []
