"""Areas with an old system on a live verify address: its word is enforced, ours compared."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.doors.verify.served import Port, served
from tests.doors.verify.test_protocol import AREA, FORWARDED, TOLD, Told, decided, granted
from tests.e2e.wire import Answer, Wire, ask, written
from tests.old_system import BODY, OldSystem, old_system
from tests.world import until

from latchgate.core.model import Decision, Request
from latchgate.core.network import Networks
from latchgate.core.reason import Reason
from latchgate.core.shadow import Outcome, Shadow
from latchgate.doors.console import console
from latchgate.doors.verify import VerifyDoor
from latchgate.doors.verify.protocol import VerifyProtocol
from latchgate.verify.shadow import Shadows

pytestmark = pytest.mark.enable_socket

SEND = ("authorization", "cookie", "x-api-key", "x-auth-token")


class Compared(Told):
    """An engine that allows keys with `x-ours: yes`, and a list of what was compared."""

    def __init__(self, shadow: Shadow) -> None:
        super().__init__()
        self.shadow: Shadow | None = shadow
        self.notes: list[tuple[Outcome, Reason, int | None, str]] = []
        self.refused: list[Decision] = []
        self.say = self._say

    def _say(self, request: Request) -> Decision:
        reason = Reason(request.headers.get("x-reason", "credential_unknown"))
        found = decided(reason, granted() if reason is Reason.ALLOWED else None)
        area = dataclasses.replace(AREA, shadow=self.shadow)
        return msgspec.structs.replace(found, area=area)

    def note(
        self, outcome: Outcome, decision: Decision, request: Request, status: int | None, _: float
    ) -> None:
        self.notes.append((outcome, decision.reason, status, decision.id))


def shadow_of(old: OldSystem, **more: object) -> Shadow:
    told = {
        "name": "wayscloud.old",
        "url": old.url,
        "timeout": 10.0,
        "send": SEND,
        "copy": ("X-Old-User",),
        "principal": None,
        "until": None,
    }
    return Shadow(**told | more)  # type: ignore[arg-type]


@pytest.fixture
def old() -> Iterator[OldSystem]:
    with old_system() as found:
        yield found


@pytest.fixture
def engine(old: OldSystem) -> Compared:
    return Compared(shadow_of(old))


@pytest.fixture
def address(engine: Compared) -> Iterator[Port]:
    shadows = Shadows(
        note=engine.note,
        on_decision=lambda decision, _request, _now: engine.refused.append(decision),
        entropy=secrets.token_bytes,
        clock=time.time,
        ticks=time.monotonic,
    )
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]), shadows)
    loops: set[asyncio.AbstractEventLoop] = set()

    def protocol(*told: Any, **named: Any) -> VerifyProtocol:
        loops.add(asyncio.get_running_loop())
        return door.protocol(*told, **named)

    with served(console, protocol) as found:  # type: ignore[arg-type] # never called
        yield found
        for loop in loops:
            asyncio.run_coroutine_threadsafe(shadows.aclose(), loop).result(30)


def forwarded(address: Port, word: str, **more: str) -> Answer:
    headers = [*FORWARDED, ("Authorization", f"Bearer {word}")]
    return ask(address, "GET", "/forwarded", [*headers, *_named(more)])


def nginx(address: Port, word: str, **more: str) -> Answer:
    headers = [*TOLD, ("Authorization", f"Bearer {word}")]
    return ask(address, "GET", "/nginx", [*headers, *_named(more)])


def _named(more: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), value) for name, value in more.items()]


def test_what_the_old_system_allows_passes_with_its_headers_and_a_difference_is_noted(
    address, engine
):
    answer = forwarded(address, "allow")
    assert answer.status == 200
    assert answer.one("X-Old-User") == "ada"
    for name in ("X-Secret-Note", "X-Latchgate-User", "Set-Cookie", "X-Latchgate-Decision"):
        assert answer.every(name) == []
    assert engine.notes == [(Outcome.STRICTER, Reason.CREDENTIAL_UNKNOWN, 200, "d1")]


def test_what_the_old_system_refuses_is_refused_as_it_did(address, engine):
    answer = forwarded(address, "unknown", X_Reason="allowed")
    assert (answer.status, answer.body) == (401, BODY)
    assert answer.one("WWW-Authenticate") == 'Basic realm="old"'
    assert answer.one("Content-Type") == "application/json"
    assert answer.one("Cache-Control") == "no-store"
    assert answer.every("X-Latchgate-User") == []
    assert engine.notes == [(Outcome.LOOSER, Reason.ALLOWED, 401, "")]


def test_agreement_is_counted_and_leaves_the_answer_of_the_old_system(address, engine):
    assert forwarded(address, "unknown").one("X-Latchgate-Decision") == "d1"
    assert forwarded(address, "allow", X_Reason="allowed").status == 200
    assert [one[0] for one in engine.notes] == [Outcome.SAME, Outcome.SAME]


def test_nginx_gets_what_its_configuration_can_rebuild(address):
    answer = nginx(address, "unknown")
    assert (answer.status, answer.body) == (401, b"")
    assert answer.one("X-Latchgate-Status") == "401"
    assert answer.one("X-Latchgate-Challenge") == 'Basic realm="old"'
    assert answer.one("X-Latchgate-Content-Type") == "application/json"
    assert answer.one("X-Latchgate-Body") == '{"error":"who  are you"}'
    # No status that it knows: 403, and the text stays.
    answer = nginx(address, "teapot")
    assert (answer.status, answer.one("X-Latchgate-Status")) == (403, "403")
    assert answer.one("X-Latchgate-Body") == "short and stout"
    assert forwarded(address, "teapot").status == 418
    answer = nginx(address, "html")
    assert answer.one("X-Latchgate-Body") == "<html> <p>no\xff </html>"
    assert nginx(address, "allow").one("X-Old-User") == "ada"


def test_the_old_system_is_told_the_request_and_nothing_else_of_the_client(address, old):
    nginx(
        address, "allow", Cookie="a=b", X_Old_User="root", X_Other="1", X_Forwarded_For="10.0.0.1"
    )
    for name, value in [
        ("X-Original-Method", "GET"),
        ("X-Original-URI", "/v1/storage/b"),
        ("X-Original-URL", "https://api.example.com/v1/storage/b"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Uri", "/v1/storage/b"),
        ("X-Forwarded-Host", "api.example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"),
        ("Authorization", "Bearer allow"),
        ("Cookie", "a=b"),
        ("Host", old.url.split("/")[2]),
    ]:
        assert old.header(name) == [value], name
    assert old.header("X-Old-User") == old.header("X-Other") == []


@pytest.mark.parametrize(
    "word", ["redirect", "fails", "huge", "long", "compressed", "reset", "two"]
)
@pytest.mark.parametrize("reason", ["allowed", "credential_unknown"])
def test_no_answer_that_counts_is_503(address, engine, caplog, word, reason):
    answer = forwarded(address, word, X_Reason=reason)
    assert answer.status == 503
    assert nginx(address, word, X_Reason=reason).one("X-Latchgate-Status") == "503"
    assert {one[0] for one in engine.notes} == {Outcome.UNANSWERED}
    (first, _) = engine.refused
    assert (first.id, first.reason) == (
        answer.one("X-Latchgate-Decision"),
        Reason.SHADOW_UNANSWERED,
    )
    assert "wayscloud.old" in caplog.text
    assert f"Bearer {word}" not in caplog.text
    assert "x-forwarded" not in caplog.text.lower()


def test_a_slow_old_system_is_503_and_its_late_yes_reaches_nobody(address, engine, old):
    engine.shadow = shadow_of(old, timeout=0.3)
    with Wire(address) as wire:
        head = [*TOLD, ("Authorization", "Bearer slow")]
        wire.send(written("GET", "/nginx", head))
        assert wire.answer().one("X-Latchgate-Status") == "503"
        old.allowed.add("Bearer slow")
        old.hold.set()
        wire.send(written("GET", "/nginx", [*TOLD, ("Authorization", "Bearer unknown")]))
        assert wire.answer().status == 401


def test_an_old_system_that_is_down_is_503_until_it_is_back(address, engine):
    with old_system() as gone:
        port = int(gone.url.rpartition(":")[2].partition("/")[0])
        engine.shadow = shadow_of(gone)
        assert forwarded(address, "allow").status == 200
    assert forwarded(address, "allow").status == 503
    with old_system(port):
        assert forwarded(address, "allow").status == 200


@pytest.mark.parametrize(
    "reason",
    ["path_ambiguous", "host_invalid", "client_address_invalid", "request_invalid",
     "method_invalid", "destination_outside", "credential_repeated"],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_never_put_to_the_old_system(address, engine, old, reason):
    assert forwarded(address, "allow", X_Reason=reason).status in {400, 401, 403}
    assert old.asked == engine.notes == []


def test_a_header_that_came_twice_is_refused_unasked(address, engine, old):
    twice = [*FORWARDED, ("Cookie", "a=1"), ("cookie", "a=2"), ("X-Reason", "allowed")]
    answer = ask(address, "GET", "/forwarded", twice)
    assert answer.status == 400
    assert [one.id for one in engine.refused] == [answer.one("X-Latchgate-Decision")]
    assert old.asked == []


def test_an_identity_header_of_the_client_never_survives(address, old):
    # The old system says nothing of who it is: an empty one takes the place of the client's.
    spoofed = {"X_Old_User": "root", "X_Latchgate_User": "root", "Connection": "X-Old-User, close"}
    answer = forwarded(address, "anonymous", **spoofed)
    assert answer.status == 200
    assert answer.one("X-Old-User") == ""
    assert answer.every("X-Latchgate-User") == []
    assert old.header("X-Old-User") == []
    assert old.header("Connection") in ([], ["keep-alive"])


def test_our_identity_goes_beside_only_where_both_mean_the_same_one(address, engine, old):
    allowed = {"X_Reason": "allowed"}
    assert forwarded(address, "allow", **allowed).every("X-Latchgate-User") == []
    engine.shadow = shadow_of(old, principal=("X-Old-User", "X-Latchgate-External-Id"))
    answer = forwarded(address, "allow", **allowed)  # x-1 here, ada there
    assert (answer.status, answer.one("X-Old-User")) == (200, "ada")
    assert answer.every("X-Latchgate-User") == []
    engine.say = lambda request: msgspec.structs.replace(
        engine._say(request), grant=granted(external_id="ada")
    )
    answer = forwarded(address, "allow", **allowed)
    assert (answer.one("X-Old-User"), answer.one("X-Latchgate-User")) == ("ada", "u-1")
    assert forwarded(address, "anonymous", **allowed).every("X-Latchgate-User") == []
    assert [one[0] for one in engine.notes] == [
        Outcome.SAME,
        Outcome.PRINCIPAL,
        Outcome.SAME,
        Outcome.PRINCIPAL,
    ]


def test_a_cookie_of_one_answer_is_not_sent_with_the_next_question(address, old):
    for _ in range(3):
        assert forwarded(address, "allow").status == 200
        assert old.header("Cookie") == []
    assert old.connections < 3


def test_answers_keep_their_order_on_a_pipelined_connection(address, old):
    words = ["allow", "slow", "unknown", "anonymous", "allow"]
    with Wire(address) as wire:
        wire.send(
            b"".join(
                written("GET", "/forwarded", [*FORWARDED, ("Authorization", f"Bearer {word}")])
                for word in words
            )
        )
        assert old.held.wait(30)
        old.hold.set()
        assert [wire.answer().status for _ in words] == [200, 401, 401, 200, 200]


def test_whoever_leaves_while_waiting_takes_no_other_request_along(address, engine, old):
    with Wire(address) as leaves:
        leaves.send(written("GET", "/nginx", [*TOLD, ("Authorization", "Bearer slow")]))
        assert old.held.wait(30)
    assert forwarded(address, "allow").status == 200
    old.hold.set()
    assert forwarded(address, "unknown").status == 401
    assert len(engine.notes) == 2


def question(word: str, **more: object) -> dict[str, object]:
    return {
        "method": "GET",
        "target": "/v1/storage/b",
        "host": "api.example.com",
        "headers": {"Authorization": f"Bearer {word}"},
        "client": "192.0.2.1",
    } | more


def test_questions_are_answered_alike_one_by_one_and_in_a_batch(address, engine, old):
    asked = [
        question("allow"),
        question("unknown"),
        question("redirect"),
        question("allow", client=None),
        question("allow", headers={"Authorization": "Bearer allow\r\nX-Forwarded-For: 10.0.0.1"}),
    ]
    sent = json.dumps({"requests": asked}).encode()
    batch = json.loads(ask(address, "POST", "/", body=sent).body)["decisions"]
    assert [one["status"] for one in batch] == [200, 401, 503, 400, 400]
    assert [one["allowed"] for one in batch] == [True, False, False, False, False]
    assert batch[0]["identity"] == {"X-Old-User": "ada"}
    assert (batch[1]["body"], batch[1]["decision"]) == (BODY.decode(), "d1")
    assert len(old.asked) == 3
    alone = json.loads(ask(address, "POST", "/", body=json.dumps(asked[1]).encode()).body)
    assert alone == batch[1]


def test_what_changes_while_the_old_system_is_asked_is_decided_anew(address, engine, old):
    engine.shadow = shadow_of(old, principal=("X-Old-User", "X-Latchgate-External-Id"))
    revoked = False

    def say(request: Request) -> Decision:
        found: Decision = engine._say(request)
        if revoked:
            found = msgspec.structs.replace(found, reason=Reason.CREDENTIAL_REVOKED, grant=None)
        else:
            found = msgspec.structs.replace(found, grant=granted(external_id="ada"))
        return found

    engine.say = say
    old.allowed.add("Bearer slow")
    with Wire(address) as wire:
        head = [*FORWARDED, ("Authorization", "Bearer slow"), ("X-Reason", "allowed")]
        wire.send(written("GET", "/forwarded", head))
        assert old.held.wait(30)
        revoked, engine.position = True, engine.position + 1
        old.hold.set()
        answer = wire.answer()
    assert (answer.status, answer.every("X-Latchgate-User")) == (200, [])
    assert [one[:2] for one in engine.notes] == [(Outcome.STRICTER, Reason.CREDENTIAL_REVOKED)]


def test_a_cut_over_while_the_old_system_is_asked_holds_at_once(address, engine, old):
    old.allowed.add("Bearer slow")
    with Wire(address) as wire:
        wire.send(written("GET", "/forwarded", [*FORWARDED, ("Authorization", "Bearer slow")]))
        assert old.held.wait(30)
        engine.shadow, engine.position = None, engine.position + 1
        old.hold.set()
        assert wire.answer().one("X-Latchgate-Decision") == "d1"
    assert engine.notes == []


def test_a_door_that_can_ask_nobody_refuses(engine):
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, door.protocol) as address:  # type: ignore[arg-type] # never called
        assert forwarded(address, "allow", X_Reason="allowed").status == 503
        sent = json.dumps(question("allow")).encode()
        assert ask(address, "POST", "/", body=sent).status == 503


def test_many_at_once_share_a_bounded_pool(address, old):
    words = ["allow", "unknown"] * 40
    wires = [Wire(address) for _ in words]
    try:
        for wire, word in zip(wires, words, strict=True):
            head = [*FORWARDED, ("Authorization", f"Bearer {word}")]
            wire.send(written("GET", "/forwarded", head))
        assert [wire.answer().status for wire in wires] == [200, 401] * 40
    finally:
        for wire in wires:
            wire.close()
    until(lambda: len(old.asked) == len(words))
    assert old.connections <= 64
