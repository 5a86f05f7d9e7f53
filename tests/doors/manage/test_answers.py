"""What goes out: kept by no cache, problems as RFC 9457 has them, faults without their cause."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from latchgate.core.policy_faults import PolicyError, PolicyFault
from latchgate.doors.manage import answers, shapes
from latchgate.manage.errors import InvalidError

REQUEST = Request({"type": "http", "method": "GET", "path": "/", "headers": []})


def told(answer):
    return json.loads(answer.body)


def test_json_is_kept_by_no_cache():
    answer = answers.json_answer({"a": 1}, status=201, location="/here")
    assert (answer.status_code, told(answer)) == (201, {"a": 1})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == "/here"
    assert answer.headers["content-type"] == "application/json"


def test_a_problem_has_type_title_status_detail_and_code():
    answer = answers.problem(409, "some_conflict", "Because.", headers={"X-A": "1"})
    assert told(answer) == {
        "type": "urn:latchgate:problem:some_conflict",
        "title": "Some conflict",
        "status": 409,
        "detail": "Because.",
        "code": "some_conflict",
    }
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-a"] == "1"


def test_faults_of_fields_are_listed():
    answer = answers.invalid(InvalidError([("a", "is b"), ("c", "is d")]))
    assert answer.status_code == 422
    assert told(answer)["errors"] == [
        {"field": "a", "detail": "is b"},
        {"field": "c", "detail": "is d"},
    ]


def test_faults_of_policy_files_are_listed_by_file_and_line():
    fault = PolicyFault("a.toml", 7, "areas[0].path", "is bad")
    answer = answers.invalid(PolicyError([fault]))
    assert (answer.status_code, told(answer)["code"]) == (422, "policy_invalid")
    assert told(answer)["errors"] == [{"field": "a.toml:7", "detail": "areas[0].path: is bad"}]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "not_found"),
        (405, "method_not_allowed"),
        (413, "request_too_large"),
        (415, "request_invalid"),
        (400, "request_invalid"),
    ],
)
def test_what_the_framework_refuses_is_a_problem_with_its_headers(status, code):
    error = HTTPException(status, "words", headers={"Allow": "GET"})
    answer = asyncio.run(answers.http_error(REQUEST, error))
    assert (answer.status_code, told(answer)["code"], told(answer)["detail"]) == (
        status,
        code,
        "words",
    )
    assert answer.headers["allow"] == "GET"


def test_a_fault_is_logged_whole_and_told_without_its_cause(caplog):
    answer = asyncio.run(answers.fault(REQUEST, RuntimeError("the cause")))
    assert answer.status_code == 500
    assert b"the cause" not in answer.body
    assert "the cause" in caplog.text


def test_an_explanation_gets_its_time_in_words():
    kept = {
        "id": "x",
        "at": 1_000.0,
        "method": "GET",
        "host": "h",
        "path": "/",
        "client": None,
        "allowed": True,
        "reason": "allowed",
        "status": 200,
        "code": None,
        "area": None,
        "scope": None,
        "credential": None,
        "tenant": "not shown",
        "policy_version": 1,
        "journal": 1,
        "steps": [{"step": "path", "ok": True, "text": "t"}],
        "change": "none",
    }
    shown = answers.explanation(kept)
    assert isinstance(shown, shapes.Explanation)
    assert shown.at == "1970-01-01T00:16:40Z"
    assert not hasattr(shown, "tenant")
