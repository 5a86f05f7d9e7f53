"""What httpx's and httpx2's transports share, where a library is of no matter."""

from __future__ import annotations

import logging

import httpx
import pytest

from latchgate.client import WaysCloud
from latchgate.client.adapters.httpx import Transport
from latchgate.client.flow import Ask
from latchgate.client.message import Request

KEY = "wayscloud_llm_k1_Zt5sQ0"
URL = "https://api.wayscloud.services/v1"


@pytest.fixture
def transport() -> Transport:
    """Return one whose inner transport logs as HTTP/2's does: each header that goes out."""

    def answer(request: httpx.Request) -> httpx.Response:
        for name in ("hpack.hpack", "httpcore.http11"):
            logging.getLogger(name).debug("%s: %s", name, request.headers["authorization"])
        return httpx.Response(200)

    return Transport(WaysCloud(KEY), httpx.MockTransport(answer))


def test_while_a_request_goes_out_nothing_of_its_headers_is_logged(transport, caplog):
    caplog.set_level(logging.DEBUG)
    with httpx.Client(transport=transport) as client:
        client.get(URL)
        assert [record.name for record in caplog.records] == ["httpcore.http11", "httpx"]
        logging.getLogger("hpack.hpack").debug("of another's request")
    assert caplog.records[-1].name == "hpack.hpack"


def test_of_a_request_of_our_own_the_connection_logs_nothing(transport, caplog):
    caplog.set_level(logging.DEBUG)

    def flow():
        yield Ask(Request("GET", URL, (("Authorization", KEY),)))

    transport.run(flow())
    assert caplog.records == []


def test_a_target_of_the_callers_goes_out_as_it_is():
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["target"])
        return httpx.Response(200)

    with httpx.Client(transport=Transport(WaysCloud(KEY), httpx.MockTransport(answer))) as client:
        client.get(URL, extensions={"target": b"/v1/[a]?b={c}"})
    assert seen == [b"/v1/[a]?b={c}"]
