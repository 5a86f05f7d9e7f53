"""Prepared answers are those that wording each refusal plainly gives, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import msgspec
import pytest
from tests.core.worlds import shipped

from latchgate.core.dialects import DIALECTS, PLAINEST
from latchgate.core.model import Decision
from latchgate.core.policy import Rule
from latchgate.core.reason import Reason
from latchgate.doors.verify import prepared, wording
from latchgate.doors.verify.prepared import Prepared

ACCEPTS = (
    "",
    "*/*",
    "application/json",
    "application/xml",
    "application/xml;q=0.2, */*",
    "a" * 300,
)
WAYS = (("GET", "/nginx"), ("GET", "/forwarded"), ("HEAD", "/forwarded"), ("PUT", "/envoy/v1/x"))
IDS = ("00000000000000000000", "0123456789abcdef0123")
AREAS = {frozenset(kind.scheme for kind in area.kinds): area for area in shipped().areas}
REASONS = [reason for reason in Reason if reason is not Reason.ALLOWED]


def refusals(reason, *, version=1):
    """Return a refusal of no area, and of one for each set of schemes, with and without a scope."""
    for area in (None, *AREAS.values()):
        for rule in (None, Rule(scope="storage:read")):
            yield Decision(
                id="",
                reason=reason,
                area=area,
                rule=rule,
                grant=None,
                dialect="",
                policy_version=version,
                journal=1,
                trace=(),
            )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reason", REASONS)
def test_a_prepared_answer_is_what_wording_it_gives(reason, dialect):
    answers = Prepared()
    accepts = ACCEPTS if dialect in PLAINEST else ACCEPTS[1:4:2]
    for told in refusals(reason):
        for (method, url), accept, decision_id in product(WAYS, accepts, IDS):
            decision = msgspec.structs.replace(told, dialect=dialect, id=decision_id)
            plain = wording.worded(decision, method, url, accept)
            assert answers.worded(decision, method, url, accept) == plain
            assert decision_id.encode() in plain


def test_another_decision_of_the_same_sort_is_not_worded_again(monkeypatch):
    answers = Prepared()
    first, *_ = refusals(Reason.SECRET_WRONG)
    first = msgspec.structs.replace(first, dialect="upcloud_problem", id=IDS[0])
    answers.worded(first, "GET", "/nginx", "*/*")
    monkeypatch.setattr(prepared, "worded", lambda *_: pytest.fail("it was worded"))
    other = msgspec.structs.replace(first, id=IDS[1])
    # As far as words go these are alike: what a caller sends besides is not looked at.
    assert IDS[1].encode() in answers.worded(other, "PUT", "/nginx", "text/html, */*;q=0.1")


def test_an_id_of_another_shape_is_told_as_it_would_be_plainly():
    for dialect, decision_id in product(DIALECTS, ("", "d-1", "F" * 20, "0x00000000000000000f")):
        answers = Prepared()
        for told in refusals(Reason.SCOPE_NOT_GRANTED):
            for one in (IDS[0], decision_id):
                decision = msgspec.structs.replace(told, dialect=dialect, id=one)
                plain = wording.worded(decision, "GET", "/forwarded", "")
                assert answers.worded(decision, "GET", "/forwarded", "") == plain


def test_a_newer_policy_is_worded_anew():
    answers = Prepared()
    before, *_ = refusals(Reason.METHOD_NOT_ALLOWED)
    area = shipped().areas[0]
    for version in (1, 2):
        told = msgspec.structs.replace(
            before, dialect=area.dialect, area=area, policy_version=version, id=IDS[0]
        )
        plain = wording.worded(told, "GET", "/forwarded", "")
        assert answers.worded(told, "GET", "/forwarded", "") == plain
        assert len(answers) == 1


def test_no_more_is_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(prepared, "MAX_PREPARED", 3)
    answers = Prepared()
    for reason in REASONS[:5]:
        for told in refusals(reason):
            decision = msgspec.structs.replace(told, dialect="problem", id=IDS[0])
            plain = wording.worded(decision, "GET", "/nginx", "")
            assert answers.worded(decision, "GET", "/nginx", "") == plain
            assert len(answers) <= 3


def test_where_the_words_hold_the_mark_itself_nothing_is_prepared():
    """An operator may write anything into a realm: what can't be told apart is worded each time."""
    area = shipped().areas[0]
    area = replace(area, realm="5ec0de5ec0de5ec0de00")
    answers = Prepared()
    before, *_ = refusals(Reason.SECRET_WRONG)
    for decision_id in IDS:
        told = msgspec.structs.replace(before, dialect="problem", area=area, id=decision_id)
        plain = wording.worded(told, "GET", "/forwarded", "")
        assert answers.worded(told, "GET", "/forwarded", "") == plain
    assert len(answers) == 0


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_plainest_accept_is_answered_alike(dialect, accept):
    plainest = PLAINEST.get(dialect, lambda _: "")(accept)
    for reason in (Reason.SECRET_WRONG, Reason.SCOPE_NOT_GRANTED):
        told = next(refusals(reason))
        decision = msgspec.structs.replace(told, dialect=dialect, id=IDS[0])
        for way in WAYS:
            assert wording.worded(decision, *way, accept) == wording.worded(
                decision, *way, plainest
            )
