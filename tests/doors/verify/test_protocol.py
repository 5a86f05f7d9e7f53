"""`VerifyProtocol` on a live socket, in front of an engine that says what the test wants."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest
from tests.doors.verify.served import Port, served
from tests.e2e.wire import Wire, ask, exchange, written

from latchgate.core.model import Credential, Decision, Grant, Request, User
from latchgate.core.network import Networks
from latchgate.core.policy import Area, Rule
from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.doors.console import console
from latchgate.doors.verify import VerifyDoor
from latchgate.verify.walk import Slow

pytestmark = pytest.mark.enable_socket

RULE = Rule(scope="storage:read")
AREA = Area(
    provider="wayscloud",
    realm="WAYSCloud",
    hosts=(),
    path="/v1/storage",
    exact=False,
    service="storage",
    kinds=(),
    application=None,
    logins="wayscloud",
    rules={"GET": RULE},
    dialect="wayscloud",
    public=False,
    closed=False,
    preflight=False,
    encoded_slash=True,
    parameters=False,
    tls=False,
    plain=Networks(()),
)
OWNER = User(
    id="u-1",
    tenant_id="t-1",
    name="admin",
    active=True,
    api=True,
    networks=None,
    roles=(),
    blocked=frozenset(),
    created_at=0.0,
    basic_switched=frozenset(),
)
KEY = Credential(
    id="k1",
    kind="wayscloud.service_key",
    tenant_id="t-1",
    project_id="p-1",
    owner_id="u-1",
    parent_id=None,
    services=frozenset({"storage"}),
    scopes=Scopes.of(["storage:read"]),
    networks=None,
    issues=True,
    environment="dev",
    external_id="x-1",
    digest=b"",
    created_at=0.0,
    expires_at=None,
    revoked_at=None,
)
TOLD = [
    ("X-Original-Method", "GET"),
    ("X-Original-URI", "/v1/storage/b"),
    ("X-Original-Host", "api.example.com"),
    ("X-Original-Scheme", "https"),
    ("X-Real-IP", "192.0.2.1"),
]
FORWARDED = [
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Uri", "/v1/storage/b"),
    ("X-Forwarded-Host", "api.example.com"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-For", "192.0.2.1"),
]


def decided(reason: Reason = Reason.ALLOWED, grant: Grant | None = None) -> Decision:
    return Decision(
        id="" if reason is Reason.ALLOWED else "d1",
        reason=reason,
        area=AREA,
        rule=RULE,
        grant=grant,
        dialect="wayscloud",
        policy_version=1,
        journal=1,
        trace=(),
    )


def granted(**change: object) -> Grant:
    credential = msgspec.structs.replace(KEY, **change)
    return Grant(credential=credential, owner=OWNER, rights=credential.scopes)


class Told:
    """An engine that answers with what `say` returns."""

    incarnation = 0xABC
    position = 1

    def __init__(self) -> None:
        self.say: Callable[[Request], Decision | Slow] = lambda _: decided(grant=granted())
        self.later: Callable[[Request], Awaitable[Decision]] | None = None
        self.requests: list[Request] = []

    def follow(self) -> None:
        """Nothing changes here by itself."""

    def attempt(self, request: Request) -> Decision | Slow:
        self.requests.append(request)
        return self.say(request)

    def ready(self) -> str | None:
        """Decisions are made here at any time."""
        return None

    async def decide_later(self, request: Request, _need: Slow) -> Decision:
        assert self.later is not None
        return await self.later(request)


@pytest.fixture
def engine() -> Told:
    return Told()


@pytest.fixture
def address(engine: Told) -> Iterator[Port]:
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, door.protocol) as found:  # type: ignore[arg-type] # never called
        yield found


def test_an_allowed_request_is_answered_with_its_identity(address):
    identity = (
        ("Tenant", "t-1"),
        ("Project", "p-1"),
        ("User", "u-1"),
        ("Credential", "k1"),
        ("Kind", "wayscloud.service_key"),
        ("Service", "storage"),
        ("Scope", "storage:read"),
        ("Environment", "dev"),
        ("External-Id", "x-1"),
    )
    # One after the other: what is prepared for a gateway is not given to one of another family.
    for _ in range(2):
        for url, told, named in (
            ("/nginx/short", TOLD, "{}-Latchgate"),
            ("/nginx", TOLD, "X-Latchgate-{}"),
            ("/forwarded", FORWARDED, "X-Latchgate-{}"),
        ):
            answer = ask(address, "GET", url, told)
            assert (answer.status, answer.body) == (200, b"")
            lines = tuple((named.format(field), value) for field, value in identity)
            assert answer.headers == (*lines, ("Content-Length", "0"))


def test_nobody_gets_an_answer_that_was_prepared_for_another(address, engine):
    grants = [
        granted(),
        granted(environment="staging"),
        granted(id="k2"),
        granted(tenant_id="t-2"),
        granted(),
        granted(external_id=None, environment=None),
    ]
    with Wire(address) as wire:
        for grant in grants * 3:
            engine.say = lambda _, grant=grant: decided(grant=grant)
            told = dict(wire.ask("GET", "/nginx", TOLD).headers)
            assert told["X-Latchgate-Credential"] == grant.credential.id
            assert told["X-Latchgate-Tenant"] == grant.credential.tenant_id
            assert told.get("X-Latchgate-Environment") == grant.credential.environment
            assert told.get("X-Latchgate-External-Id") == grant.credential.external_id


def test_one_grant_under_two_rules_gets_two_answers(address, engine):
    grant, other = granted(), Rule(scope="storage:write")
    with Wire(address) as wire:
        for rule in (RULE, other, RULE, other):
            one = msgspec.structs.replace(decided(grant=grant), rule=rule)
            engine.say = lambda _, one=one: one
            assert wire.ask("GET", "/nginx", TOLD).one("X-Latchgate-Scope") == rule.scope


def test_who_was_not_asked_for_is_not_named(address, engine):
    engine.say = lambda _: decided()
    answer = ask(address, "GET", "/nginx", TOLD)
    assert (answer.status, answer.headers) == (200, (("Content-Length", "0"),))


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ALLOWED])
def test_every_refusal_reaches_nginx_as_401_or_403_and_others_as_it_is(address, engine, reason):
    engine.say = lambda _: decided(reason)
    whole = ask(address, "GET", "/forwarded", FORWARDED)
    assert 400 <= whole.status <= 599
    assert whole.one("X-Latchgate-Decision") == "d1"
    answer = ask(address, "GET", "/nginx", TOLD)
    assert answer.status == (401 if whole.status == 401 else 403)
    assert answer.one("X-Latchgate-Status") == str(whole.status)
    assert json.loads(answer.one("X-Latchgate-Body")) == whole.json()
    assert answer.one("X-Latchgate-Content-Type") == whole.one("Content-Type")
    assert answer.one("X-Latchgate-Decision") == "d1"
    assert answer.body == b""


def test_a_fault_is_503_and_never_a_pass(address, engine, caplog):
    def fail(_request: Request) -> Decision:
        msg = "wayscloud_storage_abc_secret must not be told"
        raise RuntimeError(msg)

    engine.say = fail
    with Wire(address) as wire:
        for url, told in (("/nginx", TOLD), ("/forwarded", FORWARDED), ("/envoy/v1/x", FORWARDED)):
            answer = wire.ask("GET", url, told)
            assert answer.status == 503
            assert b"secret" not in answer.body
        body = b'{"method": "GET", "target": "/"}'
        assert wire.ask("POST", "/", [], body).status == 503
        engine.say = lambda _: decided(grant=granted())
        assert wire.ask("GET", "/nginx", TOLD).status == 200  # the connection and the door live on
    assert "could not be answered" in caplog.text


def test_a_head_of_any_kind_is_answered_without_a_body(address, engine):
    engine.say = lambda _: decided(Reason.CREDENTIAL_MISSING)
    with Wire(address) as wire:
        for url in ("/nginx", "/forwarded", "/envoy/v1/storage/b", "/", "/healthz", "/x"):
            wire.send(written("HEAD", url, [*TOLD, *FORWARDED]) + written("GET", "/healthz"))
            wire.answer(head=True)
            assert wire.answer().json() == {"status": "ok", "verifier": "0000000000000abc"}


def test_only_configured_peers_are_answered(engine):
    door = VerifyDoor(engine, Networks.of(["192.0.2.1"]))
    with served(console, door.protocol) as address:  # type: ignore[arg-type] # never called
        for method, url in (("GET", "/nginx"), ("POST", "/"), ("GET", "/healthz"), ("GET", "/x")):
            answer = ask(address, method, url, TOLD)
            assert (answer.status, answer.json()["code"]) == (403, "gateway_not_trusted")
    assert engine.requests == []


def test_a_question_reaches_the_engine_as_the_gateway_told_it(address, engine):
    ask(
        address, "GET", "/nginx", [*TOLD, ("Authorization", "Bearer x"), ("X-A", "1"), ("x-a", "2")]
    )
    (request,) = engine.requests
    assert (request.method, request.target, request.host) == (
        "GET",
        "/v1/storage/b",
        "api.example.com",
    )
    assert request.headers["authorization"] == "Bearer x"
    assert request.repeated == {"x-a"}
    assert str(request.client) == "192.0.2.1"
    assert request.tls
    assert request.fault is None


def test_what_is_refused_for_its_framing_is_not_decided(address, engine):
    lines = "".join(f"{name}: {value}\r\n" for name, value in TOLD)
    for bad in (
        "Host: b\r\n",
        "X-A : b\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    ):
        data = f"GET /nginx HTTP/1.1\r\nHost: a\r\n{lines}{bad}\r\n".encode()
        assert [one.status for one in exchange(address, data, seconds=3)] == [400]
    assert engine.requests == []


def test_what_comes_after_the_headers_is_none(address, engine):
    """Trailers of a chunked body (RFC 9110 §6.5.1)."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in FORWARDED)
    data = (
        f"GET /forwarded HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}"
        "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        "Authorization: Bearer x\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
    )
    exchange(address, data.encode(), seconds=3)
    for request in engine.requests:
        assert "authorization" not in request.headers
        assert str(request.client) == "192.0.2.1"
        assert request.repeated == frozenset()


def test_many_connections_are_answered_each_with_its_own(address, engine):
    engine.say = lambda request: decided(grant=granted(id=request.headers["x-key"]))
    wires = [Wire(address) for _ in range(50)]
    try:
        for round_ in range(10):
            for number, wire in enumerate(wires):
                wire.send(written("GET", "/nginx", [*TOLD, ("X-Key", f"k{number}-{round_}")]))
            for number, wire in enumerate(wires):
                assert wire.answer().one("X-Latchgate-Credential") == f"k{number}-{round_}"
    finally:
        for wire in wires:
            wire.close()


def test_an_upgrade_is_answered_and_the_connection_ended(address, engine, caplog):
    for upgrade in ("websocket", "h2c"):
        headers = [*TOLD, ("Connection", "Upgrade"), ("Upgrade", upgrade)]
        with Wire(address) as wire:
            wire.send(written("GET", "/nginx", headers) + written("GET", "/healthz"))
            assert wire.answer().status == 200
            assert wire.rest(seconds=3) == b""
    assert caplog.text == ""
