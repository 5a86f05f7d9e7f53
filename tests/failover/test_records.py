"""The rig's checker: records with a violation in them, each of which it must find."""

import msgspec
import pytest
from failover.records import (
    Action,
    Ask,
    Change,
    Event,
    Fault,
    Outcome,
    Shown,
    judge,
    over_time,
    read,
)


def asked(start, status, *, key="k", node="node1", fault=""):
    return Ask(node, key, start, start + 0.01, status, fault)


def changed(action, start, end, *, key="", made="", status=200, lapsed=0):
    return Change(action, "node1", key, start, end, status, "", made, lapsed)


CREATED = changed(Action.CREATE, 1.0, 2.0, made="k", status=201)
REVOKED = changed(Action.REVOKE, 5.0, 6.0, key="k")
ROTATED = changed(Action.ROTATE, 5.0, 6.0, key="k", made="k2", status=201)
UNKNOWN = changed(Action.REVOKE, 5.0, 6.0, key="k", status=503)
GONE = Shown("k", "revoked")


def faults(*records):
    return [violation.fault for violation in judge(records).violations]


def test_a_run_in_which_all_is_right_has_no_violation_and_tells_what_was_looked_at():
    verdict = judge(
        [CREATED, asked(3.0, 200), asked(5.5, 200), REVOKED, asked(6.1, 401), asked(6.2, 503), GONE]
    )
    assert verdict.violations == []
    assert verdict.looked_at == {
        "requests": 4, "requests after a receipt": 2, "creations": 1, "revokes": 1
    }  # fmt: skip


@pytest.mark.parametrize("ended", [REVOKED, ROTATED])
def test_a_request_that_started_after_the_receipt_and_was_accepted_is_found(ended):
    late = asked(6.001, 200, node="node3")
    successor = Shown("k2", "active")
    shown = Shown("k", "revoked", ended.made)
    (violation,) = judge(
        [CREATED, ended, late, shown, *([successor] * bool(ended.made))]
    ).violations
    assert violation.fault is Fault.ACCEPTED
    assert violation.shown_by == late


def test_a_request_that_started_before_the_receipt_may_be_accepted_however_late_its_answer():
    slow = Ask("node1", "k", 5.99, 9.0, 200)
    assert faults(CREATED, REVOKED, slow, GONE) == []


def test_the_first_of_two_receipts_counts():
    again = changed(Action.REVOKE, 7.0, 8.0, key="k")
    assert faults(CREATED, REVOKED, asked(6.5, 200), again, GONE) == [Fault.ACCEPTED]
    assert faults(CREATED, again, asked(6.5, 200), REVOKED, GONE) == [Fault.ACCEPTED]


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        ([CREATED, Shown("k", "")], Fault.LOST_CREATION),
        ([CREATED, Shown("k", "revoked")], Fault.LOST_CREATION),
        ([CREATED, REVOKED, Shown("k", "active")], Fault.LOST_REVOCATION),
        ([CREATED, REVOKED, Shown("k", "")], Fault.LOST_CREATION),
        ([CREATED, ROTATED, Shown("k", "active"), Shown("k2", "active")], Fault.LOST_ROTATION),
        ([CREATED, ROTATED, Shown("k", "revoked"), Shown("k2", "active")], Fault.LOST_ROTATION),
        ([CREATED, ROTATED, Shown("k", "revoked", "k2"), Shown("k2", "")], Fault.LOST_CREATION),
        ([CREATED], Fault.NOT_SHOWN),
    ],
)
def test_what_was_acknowledged_and_is_not_there_in_the_end_is_found(records, fault):
    assert faults(*records) == [fault]


def test_what_nobody_acknowledged_may_have_happened_or_not():
    for state in ("active", "revoked"):
        assert faults(CREATED, UNKNOWN, asked(7.0, 200), asked(8.0, 401), Shown("k", state)) == []
    assert faults(changed(Action.CREATE, 1.0, 2.0, status=503)) == []


def test_a_refusal_of_a_key_that_nobody_wanted_to_end_is_found():
    assert faults(CREATED, asked(3.0, 401), REVOKED, GONE) == [Fault.REFUSED]
    assert faults(CREATED, asked(1.5, 401), REVOKED, GONE) == []  # not yet acknowledged
    assert faults(CREATED, asked(5.5, 401), REVOKED, GONE) == []  # being revoked
    assert faults(CREATED, asked(3.0, 503), REVOKED, GONE) == []  # it can't tell, and says so


def test_how_requests_went_is_counted_per_100_ms_of_their_start_node_by_node():
    records = [asked(10.01, 200), asked(10.05, 503), asked(10.15, 0, fault="silent")]
    records += [asked(10.15, 0, fault="reset", node="node2"), asked(10.3, 500), asked(11.0, 200)]
    told = over_time([*records, REVOKED, Event(10.0, "cut")], 10.0, 10.4)
    assert {name: [dict(one) for one in series] for name, series in told.items()} == {
        "node1": [
            {Outcome.DECIDED: 1, Outcome.UNAVAILABLE: 1},
            {Outcome.SILENT: 1},
            {},
            {Outcome.OTHER: 1},
        ],
        "node2": [{}, {Outcome.UNREACHABLE: 1}, {}, {}],
    }


def test_records_are_read_as_they_were_written(tmp_path):
    records = [CREATED, asked(3.0, 0, fault="silent"), ROTATED, GONE, Event(9.0, "cut")]
    file = tmp_path / "records"
    file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in records))
    assert read(file) == records
