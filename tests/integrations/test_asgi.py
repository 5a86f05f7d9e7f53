"""The ASGI middleware by itself, and its lifespan and WebSockets under uvicorn."""

import asyncio
from typing import Any

import pytest
import websockets.sync.client
from tests.world import until
from websockets.exceptions import InvalidStatus

from latchgate import Verifier
from latchgate.integrations.asgi import LatchgateMiddleware, known, read, refuse
from latchgate.integrations.guard import Guard
from latchgate.integrations.identity import Identity

URL = "/v1/storage/live"


def scope(path="/v1/storage/a", raw=b"/v1/storage/a", **more):
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": raw,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 4000),
        "scheme": "http",
        **more,
    }


@pytest.fixture
def config(world):
    return world.database.with_name("latchgate.toml")


def run(app, given, *messages):
    """Run one scope; returns what was sent."""
    waiting, sent = list(messages), []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app(given, receive, send))
    return sent


# --- reading a scope


def test_the_raw_path_and_query_are_asked_as_they_arrived():
    asked = read(scope("/v1/storage/a/b", b"/v1/storage/a%2Fb", query_string=b"x=%2e%2e"))
    assert (asked.target, asked.doubt) == ("/v1/storage/a%2Fb?x=%2e%2e", None)


@pytest.mark.parametrize("missing", [{"raw": None}, {}])
def test_a_server_without_a_raw_path_is_asked_by_what_will_be_served(missing):
    given = scope("/v1/storage/a %2F?é", **missing)
    if not missing:
        del given["raw_path"]
    assert read(given).target == "/v1/storage/a%20%252F%3F%C3%A9"


def test_a_mounted_application_is_asked_by_the_whole_path():
    assert read(scope("/v1/storage/a", root_path="/v1/storage")).doubt is None
    assert read(scope("/a", root_path="/v1/storage")).doubt is None
    assert read(scope("/b", root_path="/v1/storage")).doubt


def test_every_line_of_a_header_is_told():
    pairs = [(b"x-api-key", b"a"), (b"x-api-key", b"b")]
    assert read(scope(headers=pairs)).values("x-api-key") == ["a", "b"]


def test_a_websocket_is_asked_for_by_get_and_may_have_no_peer():
    given = scope(type="websocket", scheme="wss", client=None)
    del given["method"]
    asked = read(given)
    assert (asked.method, asked.tls, asked.peer) == ("GET", True, None)


# --- serving one


def test_the_state_that_a_server_shares_holds_nobodys_identity(config, world):
    shared, key = {"theirs": 1}, world.key()
    seen = []

    async def app(inner, _receive, _send):
        seen.append(inner)

    given = scope(headers=[(b"authorization", key.headers["authorization"].encode())], state=shared)
    with Verifier(config) as verifier:
        run(LatchgateMiddleware(app, guard=Guard(verifier)), given)
    identity = known(seen[0])
    assert identity is not None
    assert identity.user == key.owner.user_id
    assert seen[0]["state"]["theirs"] == 1
    assert shared == {"theirs": 1}
    assert known(given) is None


def test_what_is_no_identity_of_ours_is_nobodys():
    assert known(scope(state={"latchgate": {"user": "u-1"}})) is None
    assert known(scope()) is None
    assert known(scope(state={"latchgate": Identity(user="u")})) == Identity(user="u")


def test_a_scope_that_nobody_could_decide_is_not_served(config):
    async def app(*_):
        pytest.fail("served")

    with pytest.raises(NotImplementedError, match="webtransport"):
        run(LatchgateMiddleware(app, guard=Guard(config=config)), scope(type="webtransport"))


def test_a_websocket_is_refused_with_the_whole_answer_where_the_server_can(config):
    with Verifier(config) as verifier:
        verdict = verifier.decide("GET", URL, {})
    plain, able = [], []

    async def refuse_both():
        async def to_plain(message):
            plain.append(message)

        async def to_able(message):
            able.append(message)

        await refuse(verdict, scope(type="websocket"), to_plain)
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        await refuse(verdict, scope(type="websocket", extensions=extensions), to_able)

    asyncio.run(refuse_both())
    assert plain == [{"type": "websocket.close", "code": 1008}]
    assert [one["type"] for one in able] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert (able[0]["status"], able[1]["body"]) == (401, verdict.body)


def test_a_fault_while_deciding_is_a_503(caplog):
    async def app(*_):
        pytest.fail("served")

    class Broken:
        def decide(self, *_args, **_how):
            msg = "made up"
            raise RuntimeError(msg)

    broken: Any = Broken()
    start, body = run(LatchgateMiddleware(app, guard=Guard(broken)), scope())
    assert start["status"] == 503
    assert b"made up" not in body["body"]


# --- lifespan

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
BEGUN = {"type": "lifespan.startup.complete"}
ENDED = {"type": "lifespan.shutdown.complete"}


def test_the_verifier_lives_as_long_as_the_server(config, world):
    listening = []

    async def app(_scope, receive, send):
        assert await receive() == STARTUP
        listening.append(len(world.store.bell.listeners()))
        await send(BEGUN)
        assert await receive() == SHUTDOWN
        await send(ENDED)

    sent = run(
        LatchgateMiddleware(app, guard=Guard(config=config)),
        {"type": "lifespan"},
        STARTUP,
        SHUTDOWN,
    )
    assert sent == [BEGUN, ENDED]
    assert listening == [1]
    assert world.store.bell.listeners() == []


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_an_application_without_a_lifespan_gets_one(config, world, how):
    async def app(*_):
        if how == "raises":
            raise NotImplementedError

    sent = run(
        LatchgateMiddleware(app, guard=Guard(config=config)),
        {"type": "lifespan"},
        STARTUP,
        SHUTDOWN,
    )
    assert sent == [BEGUN, ENDED]
    assert world.store.bell.listeners() == []


def test_a_fault_of_an_application_that_started_is_the_servers_to_tell(config):
    async def app(_scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "made up"})
        msg = "made up"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="made up"):
        run(LatchgateMiddleware(app, guard=Guard(config=config)), {"type": "lifespan"}, STARTUP)


def test_a_server_does_not_start_without_its_verifier(tmp_path):
    async def app(*_):
        pytest.fail("started")

    middleware = LatchgateMiddleware(app, guard=Guard(config=tmp_path / "none.toml"))
    (failed,) = run(middleware, {"type": "lifespan"}, STARTUP)
    assert failed["type"] == "lifespan.startup.failed"
    assert "none.toml" in failed["message"]


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_servers_end_closes_the_verifier(serve, world):
    app = serve("asgi", APART="1")
    key = world.key()
    assert app.ask(key=key).status == 200

    def listening():
        return {one.process_id for one in world.store.bell.listeners()}

    assert app.process.pid in listening()
    app.process.terminate()
    app.process.wait(20)
    until(lambda: app.process.pid not in listening(), what="the verifier's end")


# --- WebSockets


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize("name", ["asgi", "fastapi"])
def test_a_websocket_opens_for_whom_it_is_allowed(serve, world, name):
    app, key = serve(name), world.key()
    url = f"ws://127.0.0.1:{app.port}{URL}"
    with websockets.sync.client.connect(url, additional_headers=key.headers) as socket:
        assert socket.recv() == key.owner.user_id
    world.revoke(key)
    with pytest.raises(InvalidStatus) as refused:
        websockets.sync.client.connect(url, additional_headers=key.headers)
    assert refused.value.response.status_code == 401
    assert refused.value.response.body == (
        b'{"error":"Invalid or expired API key","code":"AUTH_FAILED"}'
    )
    assert refused.value.response.headers["X-Latchgate-Decision"]
