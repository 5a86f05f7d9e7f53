"""In process: an area with an old system, asked from threads, and headers that it decides about."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.old_system import BODY, old_system
from tests.world import WAYSCLOUD, World

from latchgate import Verifier
from latchgate.integrations.asgi import LatchgateMiddleware
from latchgate.integrations.guard import Guard
from latchgate.integrations.wsgi import hide
from latchgate.store.shadows import ShadowReader

pytestmark = pytest.mark.enable_socket

TARGET = "/v1/storage/a"
AREA = '\n[[areas]]\npath = "/v1/storage"\n'


@pytest.fixture
def old():
    with old_system() as found:
        yield found


@pytest.fixture
def world(tmp_path, old):
    made = World(tmp_path)
    (tmp_path / "latchgate.toml").write_text("")
    table = f'[shadows.old]\nurl = "{old.url}"\ntimeout = "10s"\ncopy_headers = ["X-Old-User"]\n'
    made.publish({"wayscloud.toml": WAYSCLOUD.replace(AREA, f'\n{table}{AREA}shadow = "old"\n', 1)})
    yield made
    made.close()


@pytest.fixture
def verifier(world):
    with Verifier(world.database.with_name("latchgate.toml")) as made:
        yield made


def decide(verifier, word, **more):
    headers = {"Authorization": f"Bearer {word}", "X-Old-User": "root", **more}
    return verifier.decide("GET", TARGET, headers, host="api.example.com", client="192.0.2.1")


def test_the_old_system_is_enforced_in_process_and_compared(verifier, world):
    allowed = decide(verifier, "allow")
    assert (allowed.allowed, allowed.status, allowed.identity) == (True, 200, {"X-Old-User": "ada"})
    assert allowed.replaced == {"X-Old-User": "ada"}
    key = world.key()
    refused = decide(verifier, key.text)
    assert (refused.allowed, refused.status, refused.body) == (False, 401, BODY)
    assert dict(refused.headers)["WWW-Authenticate"] == 'Basic realm="old"'
    assert refused.identity == {}
    anonymous = decide(verifier, "anonymous")
    assert (anonymous.allowed, anonymous.identity) == (True, {})
    assert anonymous.replaced == {"X-Old-User": ""}
    down = decide(verifier, "fails")
    assert (down.allowed, down.status) == (False, 503)
    unknown = verifier.decide("GET", TARGET, {"Authorization": "Bearer allow"})
    assert (unknown.allowed, unknown.status) == (False, 400)  # nobody said from where
    ambiguous = verifier.decide("GET", "/v1/storage/../a", {"Authorization": "Bearer allow"})
    assert not ambiguous.allowed
    verifier.close()
    reader = ShadowReader(world.database.with_name("latchgate-usage.db"))
    outcomes = {one.outcome: one.count for one in reader.comparisons(0.0)}
    reader.close()
    assert outcomes == {"stricter": 2, "looser": 1, "unanswered": 1}


def test_many_threads_ask_at_once_and_each_gets_its_own_answer(verifier):
    words = ["allow", "unknown", "anonymous"] * 20
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda word: decide(verifier, word), words))
    expected = {"allow": (200, "ada"), "unknown": (401, None), "anonymous": (200, None)}
    assert [(one.status, one.identity.get("X-Old-User")) for one in found] == [
        expected[word] for word in words
    ]


def test_without_an_http_client_the_area_is_refused_and_the_log_says_what_to_install(
    verifier, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert decide(verifier, "allow").status == 503
    assert "install latchgate[server]" in caplog.text


def test_closing_ends_questions_under_way(verifier, old):
    found = []
    thread = threading.Thread(target=lambda: found.append(decide(verifier, "slow")))
    thread.start()
    assert old.held.wait(30)
    verifier.close()
    thread.join(30)
    assert [(one.allowed, one.status) for one in found] == [(False, 503)]


def test_an_event_loop_is_not_held_up_by_the_old_system(verifier, old):
    async def app(scope, _receive, send):
        names = [(name, value) for name, value in scope["headers"] if name.startswith(b"x")]
        await send({"type": "http.response.start", "status": 200, "headers": names})
        await send({"type": "http.response.body", "body": b""})

    async def asked(word):
        headers = [
            (b"host", b"api.example.com"),
            (b"authorization", f"Bearer {word}".encode()),
            (b"x-old-user", b"root"),
            (b"x_old_user", b"root"),
            (b"x.old.user", b"root"),
            (b"x-latchgate-user", b"root"),
        ]
        scope = {
            "type": "http", "method": "GET", "scheme": "http", "path": TARGET, "root_path": "",
            "raw_path": TARGET.encode(), "query_string": b"", "headers": headers,
            "client": ("192.0.2.1", 1), "server": ("127.0.0.1", 1),
        }  # fmt: skip
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request"}

        await LatchgateMiddleware(app, guard=Guard(verifier))(scope, receive, send)
        return sent[0]["status"], sent[0]["headers"]

    async def both():
        slow = asyncio.create_task(asked("slow"))
        give_up = time.monotonic() + 30
        while not old.held.is_set():  # this loop goes on meanwhile
            assert time.monotonic() < give_up
            await asyncio.sleep(0.01)
        assert await asked("allow") == (200, [(b"x-old-user", b"ada")])
        assert await asked("anonymous") == (200, [])
        old.hold.set()
        return (await slow)[0]

    assert asyncio.run(both()) == 401


def test_a_wsgi_environ_keeps_no_spelling_of_a_replaced_header():
    environ = {"HTTP_X_OLD_USER": "root", "HTTP_X.OLD.USER": "root", "HTTP_X_OTHER": "kept"}
    hide(environ, {"X-Old-User": ""})
    assert environ == {"HTTP_X_OTHER": "kept"}
    hide(environ, {"X-Old-User": "ada"})
    assert environ == {"HTTP_X_OTHER": "kept", "HTTP_X_OLD_USER": "ada"}
