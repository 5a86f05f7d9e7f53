"""What an upstream answers is believed only where it is the answer to what was asked."""

from __future__ import annotations

import msgspec
import pytest
from tests.store.test_http_exchange import Upstream, said

from latchgate.core.model import Noun, Tenant
from latchgate.core.secret import Secret
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.http_exchange import Exchange, Origin
from latchgate.store.http_feed import Follower, HttpFeed
from latchgate.store.source import Place

pytestmark = [pytest.mark.enable_socket]

NAME = "0123456789abcdef"
PLACE = Place("epoch", 5, b"\x01" * 32)
TENANT = {"id": "t1", "name": "Acme", "active": True}
TOLD = {"epoch": "epoch", "position": 5, "hash": "01" * 32}
BEATEN = {"place": TOLD, "changes": [], "reached": True, "timeline": "", "age": 0.0}
DATED = {"number": 7, "timeline": ""}


class Scripted:
    """An upstream whose answers are scripted by the end of their path; `asked` are the bodies."""

    def __init__(self):
        self.upstream = Upstream()
        self.upstream.answer = self._answer
        self.told = {}
        self.asked = []
        exchange = Exchange(
            Origin.of(f"http://127.0.0.1:{self.upstream.port}"),
            token=lambda: Secret("token"),
            program="1.0",
            limit=30.0,
        )
        follower = Follower("edge-1", 7, "1.0", 2.0, stale=False, tenants=("t1",))
        self.feed = HttpFeed(exchange, follower, entropy=lambda n: b"\x02" * n)

    def _answer(self, handler):
        path, body = self.upstream.asked[-1][1], self.upstream.asked[-1][3]
        self.asked.append(msgspec.json.decode(body) if body else None)
        status, told = self.told[path.partition("?")[0].rpartition("/")[2]]
        said(handler, status, msgspec.json.encode(told))

    def close(self):
        self.feed.close()
        self.upstream.close()


@pytest.fixture
def scripted():
    made = Scripted()
    made.told["edges"] = (
        201,
        {
            "place": TOLD,
            "policy_version": 3,
            "timeline": "",
            "tenants": ["t1"],
            "issuer": "https://x",
        },
    )
    made.told["3"] = (200, {"version": 3, "files": {"a.toml": "x"}, **DATED})
    made.feed.register(NAME)
    yield made
    made.close()


def beaten(**more):
    return (200, {**BEATEN, "nonce": (b"\x02" * 16).hex(), **more})


def test_a_new_memory_says_who_it_is_and_begins_where_it_is_told(scripted):
    place, published, timeline = scripted.feed.register(NAME)
    assert (place, timeline) == (PLACE, "")
    assert (published.version, published.files) == (3, {"a.toml": "x"})
    assert scripted.feed.issuer == "https://x"
    asked = scripted.asked[-2]
    assert (asked["incarnation"], asked["node"], asked["tenants"]) == (NAME, "edge-1", ["t1"])
    assert (asked["format"], asked["trust"], asked["stale"]) == (1, 2.0, False)


def test_a_heartbeat_sends_its_place_and_tells_the_changes(scripted):
    further = {**TOLD, "position": 7}
    scripted.told["beat"] = beaten(changes=[[7, "user", "u1"]], place=further, age=0.5)
    told = scripted.feed.beat(NAME, PLACE)
    assert scripted.asked[-1]["since"] == TOLD
    assert (told.changes, told.place.position) == ([(7, (Noun.USER, "u1"))], 7)
    assert (told.reached, told.age) == (True, 0.5)


@pytest.mark.parametrize(
    "answer",
    [
        beaten(nonce="0123456789abcdef"),  # of another question
        beaten(age=-1.0),
        beaten(place={**TOLD, "position": 4}),
        beaten(place={**TOLD, "hash": "01"}),
        beaten(changes=[[7, "galaxy", "u1"]]),
        beaten(reached=None),
        beaten(more=True),
        (200, {}),
        (200, None),
        (204, None),
        (302, {}),
        (401, {"code": "authentication_failed"}),
        (403, {}),
        (500, "fault"),
        (503, {"code": "service_unavailable"}),
    ],
)
def test_an_answer_that_is_none_renews_nothing(scripted, answer):
    scripted.told["beat"] = answer
    with pytest.raises(StoreError):
        scripted.feed.beat(NAME, PLACE)


@pytest.mark.parametrize("answer", [(410, {"code": "not_live"}), beaten(timeline="00000002")])
def test_who_was_expelled_or_finds_another_history_is_to_begin_anew(scripted, answer):
    scripted.told["beat"] = answer
    assert scripted.feed.beat(NAME, PLACE) is None


def test_records_are_read_and_one_that_was_left_out_is_not_taken_for_absent(scripted):
    keys = [(Noun.TENANT, "t1"), (Noun.USER, "u1")]
    known = {"noun": "tenant", "id": "t1", "record": TENANT}
    gone = {"noun": "user", "id": "u1", "record": None}
    scripted.told["records"] = (200, {"number": 9, "timeline": "1", "records": [known, gone]})
    snapshot = scripted.feed.read(keys)
    assert snapshot.number == 9
    assert snapshot.records == {keys[0]: Tenant("t1", "Acme", active=True), keys[1]: None}
    scripted.told["records"] = (200, {"number": 9, "timeline": "1", "records": [known]})
    with pytest.raises(StoreError, match="left out"):
        scripted.feed.read(keys)
    for record in ({**TENANT, "locked": True}, {**TENANT, "active": "yes"}, {"id": "t1"}):
        wrong = {"noun": "tenant", "id": "t1", "record": record}
        scripted.told["records"] = (200, {"number": 9, "timeline": "1", "records": [wrong, gone]})
        with pytest.raises(StoreError, match="tenant t1"):
            scripted.feed.read(keys)


def test_a_login_too_long_for_any_record_is_not_asked_for(scripted):
    scripted.told["records"] = (200, {"number": 9, "timeline": "1", "records": []})
    long = (Noun.LOGIN, "teracloud:" + "x" * 5_000)
    assert scripted.feed.read([long]).records == {long: None}
    assert scripted.asked[-1] == {"keys": []}


def test_a_proof_takes_its_own_nonce(scripted):
    told = {"number": 9, "policy_version": 4, "records": []}
    scripted.told["proof"] = (200, {**told, "nonce": (b"\x02" * 16).hex()})
    through = scripted.feed.read_through(NAME, [])
    assert (through.snapshot.number, through.policy_version) == (9, 4)
    scripted.told["proof"] = (200, {**told, "nonce": "0123456789abcdef"})
    with pytest.raises(StoreError, match="nonce"):
        scripted.feed.read_through(NAME, [])


def test_another_format_is_said_to_be_one(scripted):
    fault = {"code": "invalid", "errors": [{"field": "format", "detail": "must be 2"}]}
    scripted.told["edges"] = (422, fault)
    with pytest.raises(NotMigratedError, match="version 1 of the feed"):
        scripted.feed.register(NAME)


def test_what_an_upstream_says_of_a_refusal_is_told_on_one_short_line(scripted):
    for detail, shown in (("there is no such tenant", True), ("a\nb", False), ("x" * 999, False)):
        scripted.told["edges"] = (422, {"errors": [{"field": "tenants", "detail": detail}]})
        with pytest.raises(StoreError) as raised:
            scripted.feed.register(NAME)
        assert (detail in str(raised.value)) is shown
        assert "\n" not in str(raised.value)


def test_waiting_tells_whether_there_may_be_more_and_ends_quietly_when_interrupted(scripted):
    scripted.told["wait"] = (200, {"position": 6})
    assert scripted.feed.wait(0.5, PLACE)
    scripted.told["wait"] = (200, {"position": 5})
    assert not scripted.feed.wait(0.5, PLACE)
    scripted.feed.interrupt()
    assert not scripted.feed.wait(0.5, PLACE)


def test_an_upstream_that_keeps_the_row_is_said_to(scripted):
    scripted.told[NAME] = (500, None)
    with pytest.raises(StoreError, match="500"):
        scripted.feed.leave(NAME)
