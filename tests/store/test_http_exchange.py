"""One origin is asked, in time and in bounds, and nothing that it says makes us say the token."""

from __future__ import annotations

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.certificates import Authority

from latchgate.core.secret import Secret
from latchgate.store import http_exchange
from latchgate.store.errors import StoreError
from latchgate.store.http_exchange import Exchange, Origin

pytestmark = [pytest.mark.enable_socket]

TOKEN = "latchgate_verifier_k_verysecret"


class Upstream:
    """A server that answers as it is told, and keeps what it was asked."""

    def __init__(self, context=None):
        self.asked: list[Any] = []
        self.answer = lambda handler: said(handler, 200, b"{}")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                length = int(self.headers.get("Content-Length", 0))
                told = (self.command, self.path, dict(self.headers), self.rfile.read(length))
                outer.asked.append((*told, self.client_address))
                outer.answer(self)

            do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 - the library's names

            def log_message(self, *_told):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self):
        return self._server.server_address[1]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def said(handler, status, body, **headers):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def exchanges():
    made: list[Exchange] = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
def asking(upstream, exchanges):
    def make(token=TOKEN, limit=30.0):
        at = Origin.of(f"http://127.0.0.1:{upstream.port}")
        made = Exchange(at, token=lambda: Secret(token), program="1.0", limit=limit)
        exchanges.append(made)
        return made

    return make


def test_a_question_shows_the_token_and_the_connection_is_kept(upstream, asking):
    exchange = asking()
    assert exchange.ask("POST", "/a", b'{"x":1}') == (200, b"{}")
    assert exchange.ask("GET", "/b", None) == (200, b"{}")
    (method, path, headers, body, first), (*_, second) = upstream.asked
    assert (method, path, body) == ("POST", "/a", b'{"x":1}')
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"] == "application/json"
    assert first == second


def test_a_redirect_is_an_answer_and_is_not_followed(upstream, asking):
    upstream.answer = lambda handler: said(handler, 307, b"", Location="http://127.0.0.1:1/x")
    assert asking().ask("GET", "/a", None) == (307, b"")
    assert len(upstream.asked) == 1


def test_a_kept_connection_that_was_closed_is_asked_anew_on_another(upstream, asking):
    exchange = asking()

    def last(handler):
        said(handler, 200, b"{}")
        handler.close_connection = True  # without a word of it

    upstream.answer = last
    assert exchange.ask("GET", "/a", None)[0] == 200
    assert exchange.ask("GET", "/b", None)[0] == 200
    assert len({address for *_, address in upstream.asked}) == 2
    # What must not be done twice takes a connection of its own from the start.
    assert exchange.ask("POST", "/c", b"{}", again=False)[0] == 200


def test_an_answer_that_is_cut_off_is_none(upstream, asking):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"half":')
        handler.close_connection = True

    upstream.answer = cut
    with pytest.raises(StoreError, match="can't be reached"):
        asking().ask("GET", "/a", None)


def test_an_answer_that_does_not_come_ends_the_question(upstream, asking):
    release = threading.Event()
    upstream.answer = lambda _handler: release.wait(30)
    try:
        with pytest.raises(StoreError, match="took too long"):
            asking(limit=0.2).ask("GET", "/a", None)
    finally:
        release.set()


def test_an_answer_without_end_is_not_read_to_its_end(upstream, asking, monkeypatch):
    monkeypatch.setattr(http_exchange, "MAX_BYTES", 1_000)
    upstream.answer = lambda handler: said(handler, 200, b"x" * 5_000)
    with pytest.raises(StoreError, match="can't be reached"):
        asking().ask("GET", "/a", None)


@pytest.mark.parametrize("token", ["", "two words", "a\r\nX-Evil: 1", "ä", "x" * 10_000])
def test_what_is_no_token_is_sent_nowhere_and_shown_nowhere(upstream, asking, token):
    with pytest.raises(StoreError) as raised:
        asking(token).ask("GET", "/a", None)
    assert upstream.asked == []
    assert not token or token not in str(raised.value)


def test_a_token_that_cannot_be_read_is_said_so(upstream, tmp_path):
    at = Origin.of(f"http://127.0.0.1:{upstream.port}")
    missing = tmp_path / "gone"
    exchange = Exchange(at, token=lambda: Secret(missing.read_text()), program="1", limit=1)
    with pytest.raises(StoreError, match="the token for the upstream can't be read"):
        exchange.ask("GET", "/a", None)


def test_a_question_that_waits_is_ended_by_an_interrupt_and_so_are_later_ones(upstream, asking):
    exchange, release, failed = asking(), threading.Event(), []
    upstream.answer = lambda _handler: release.wait(30)

    def wait():
        with pytest.raises(StoreError):
            exchange.ask("GET", "/wait", None, longer=25.0)
        failed.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        give_up = time.monotonic() + 30
        while not upstream.asked and time.monotonic() < give_up:
            time.sleep(0.005)
        exchange.interrupt()
        thread.join(30)
        assert failed
        with pytest.raises(StoreError):
            exchange.ask("GET", "/wait", None, longer=25.0)
        assert len(upstream.asked) == 1
    finally:
        release.set()
        thread.join(30)


def test_only_a_certificate_that_is_believed_gets_the_token(tmp_path, exchanges):
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("node")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    upstream = Upstream(context)
    try:
        at = Origin.of(f"https://127.0.0.1:{upstream.port}")
        stranger = Exchange(at, token=lambda: Secret(TOKEN), program="1", limit=30)
        with pytest.raises(StoreError, match="certificate is not believed"):
            stranger.ask("GET", "/a", None)
        assert upstream.asked == []
        known = Exchange(
            at, token=lambda: Secret(TOKEN), program="1", limit=30, context=authority.client()
        )
        exchanges.append(known)
        assert known.ask("GET", "/a", None) == (200, b"{}")
    finally:
        upstream.close()
