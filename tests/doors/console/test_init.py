"""The console's own origin: health, and problems for the rest."""

from __future__ import annotations

import asyncio
import json

import pytest

from latchgate.doors.console import MISSING, console


async def page(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


async def missing(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 298, "headers": []})
    await send({"type": "http.response.body", "body": b"missing"})


def ask(method, path, kind="http", accept="*/*"):
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def ask():
        scope = {"type": kind, "method": method, "path": path}
        scope["headers"] = [(b"accept", accept.encode())]
        await console({"/page": page, MISSING: missing})(scope, receive, send)

    asyncio.run(ask())
    return sent


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_told(method):
    start, body = ask(method, "/healthz")
    assert start["status"] == 200
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-length"] == b"15"
    assert body["body"] == (b'{"status":"ok"}' if method == "GET" else b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/healthz/"),
        ("POST", "/healthz"),
        ("GET", "/manage/v1/keys"),
        ("HEAD", "/login"),
        ("OPTIONS", "/healthz"),
    ],
)
def test_everything_else_is_a_problem(method, path):
    start, body = ask(method, path)
    assert start["status"] == 404
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"cache-control"] == b"no-store"
    if method == "HEAD":
        assert body["body"] == b""
    else:
        assert json.loads(body["body"])["code"] == "not_found"
        assert int(headers[b"content-length"]) == len(body["body"])


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_what_is_not_http_is_not_answered(kind):
    assert ask("GET", "/healthz", kind) == []


def test_a_page_is_found_by_its_exact_path():
    start, body = ask("POST", "/page")
    assert (start["status"], body["body"]) == (299, b"page")
    for path in ("/page/", "/Page", "/page/below", "//page"):
        assert ask("GET", path)[0]["status"] == 404


def test_people_are_told_by_a_page_that_there_is_none():
    for method in ("GET", "HEAD"):
        start, _ = ask(method, "/nothing", accept="text/html,*/*;q=0.8")
        assert start["status"] == 298
    for method, path in (("POST", "/nothing"), ("POST", "/healthz")):
        start, _ = ask(method, path, accept="text/html")
        assert start["status"] == 404
    start, _ = ask("GET", "/healthz", accept="text/html")
    assert start["status"] == 200
    start, _ = ask("GET", "*")  # no page of that name
    assert start["status"] == 404
