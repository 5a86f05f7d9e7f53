"""`ShadowLog` and `ShadowReader` over a real database."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from tests.doors.verify.test_protocol import AREA, decided, granted
from tests.world import raw_rows

from latchgate.core.model import Request
from latchgate.core.network import parse_address
from latchgate.core.reason import Reason
from latchgate.core.redact import redactor
from latchgate.core.shadow import Outcome
from latchgate.store import shadows
from latchgate.store.migrate import migrate
from latchgate.store.shadows import ShadowLog, ShadowReader

NOW = 1_800_000_000.0
SECRET = "wayscloud_storage_abcdefghijkl_" + "s" * 40


def asked(target: str = "/v1/storage/a") -> Request:
    return Request("GET", "api.example.com", target, {}, client=parse_address("192.0.2.1"))


def in_area(reason: Reason, path: str = "/v1/storage"):
    found = decided(reason, granted() if reason is Reason.ALLOWED else None)
    area = dataclasses.replace(AREA, path=path)
    credential = granted().credential if reason is not Reason.CREDENTIAL_UNKNOWN else None
    return msgspec.structs.replace(found, area=area, credential=credential)


@pytest.fixture
def database(request, usage_at, tmp_path):
    if usage_at == "postgres":
        return request.getfixturevalue("postgres_usage")
    path = tmp_path / "usage.db"
    migrate(path, "usage")
    return path


def log(database, *, now: float = NOW, **more: int) -> ShadowLog:
    return ShadowLog(
        database,
        redact=redactor([r"(wayscloud_)[a-z]+_[a-z0-9]+_[a-z0-9]+"]),
        ticks=lambda: now,
        clock=lambda: now,
        **more,
    )


def test_comparisons_are_counted_and_differences_kept(database):
    one, other = log(database), log(database)
    for noted in (one, other):
        noted.note(Outcome.SAME, in_area(Reason.ALLOWED), asked(), 200, NOW)
        noted.note(Outcome.LOOSER, in_area(Reason.ALLOWED), asked(), 403, NOW)
        noted.close()
    last = log(database)
    refused = in_area(Reason.CREDENTIAL_EXPIRED)
    last.note(Outcome.STRICTER, refused, asked(f"/v1/storage/{SECRET}?key={SECRET}"), 200, NOW + 1)
    last.close()
    reader = ShadowReader(database)
    hour = NOW // 3600 * 3600
    assert [dataclasses.astuple(one) for one in reader.comparisons(NOW)] == [
        ("/v1/storage", Outcome.LOOSER, "allowed", 2, hour),
        ("/v1/storage", Outcome.SAME, "allowed", 2, hour),
        ("/v1/storage", Outcome.STRICTER, "credential_expired", 1, hour),
    ]
    assert reader.comparisons(NOW + 3600) == []
    found = reader.last(["/v1/storage", "/x"], since=0.0, limit=2)
    assert found["/x"] == []
    newest, before = found["/v1/storage"]
    assert dataclasses.astuple(newest) == (
        NOW + 1, "/v1/storage", "stricter", "credential_expired", "d1", 200, "k1", "GET",
        "api.example.com", "/v1/storage/wayscloud_***", "192.0.2.1",
    )  # fmt: skip
    assert (before.outcome, before.decision_id, before.status) == ("looser", None, 403)
    reader.close()
    assert SECRET not in repr(raw_rows(database, "SELECT * FROM shadow_difference"))


def test_a_path_that_no_text_of_the_database_may_hold_is_kept_all_the_same(database):
    noted = log(database)
    noted.note(Outcome.STRICTER, in_area(Reason.SECRET_WRONG), asked("/a\x00b\udcff"), 200, NOW)
    noted.close()
    reader = ShadowReader(database)
    (found,) = reader.last(["/v1/storage"], since=0.0, limit=2)["/v1/storage"]
    assert (found.path[:2], found.path[3:]) == ("/a", "b?")
    reader.close()


def test_the_thread_writes_by_itself(database):
    noted = log(database)
    noted.note(Outcome.SAME, in_area(Reason.ALLOWED), asked(), 200, NOW)
    noted.close()
    noted.close()  # once more does no harm


def test_memory_and_rows_are_bounded(database, monkeypatch):
    monkeypatch.setattr(shadows, "MAX_PENDING", 5)
    monkeypatch.setattr(shadows, "MAX_COUNTERS", 2)
    monkeypatch.setattr(shadows, "TRIM_SECONDS", 0.0)
    noted = log(database, keep=3)
    noted.pause()  # nothing is written meanwhile
    for number in range(7):
        refused = in_area(Reason.SECRET_WRONG, f"/a{number % 3}")
        noted.note(Outcome.STRICTER, refused, asked(), 200, NOW)
    assert noted.dropped == 2 + 2
    noted.resume()
    noted.close()
    reader = ShadowReader(database)
    kept = reader.last([f"/a{number}" for number in range(3)], since=0.0, limit=9)
    assert sum(map(len, kept.values())) == 3
    reader.close()


def test_what_is_old_goes(database):
    noted = log(database)
    noted.note(Outcome.STRICTER, in_area(Reason.SECRET_WRONG), asked(), 200, NOW)
    noted.close()
    monthly = NOW + shadows.KEEP_SECONDS + 7200
    ticks = iter([0.0, shadows.TRIM_SECONDS * 2, shadows.TRIM_SECONDS * 2, *[1e6] * 99])
    later = ShadowLog(database, redact=str, ticks=lambda: next(ticks), clock=lambda: monthly)
    later.note(Outcome.SAME, in_area(Reason.ALLOWED), asked(), 200, monthly)
    later.close()
    reader = ShadowReader(database)
    assert reader.last(["/v1/storage"], since=0.0, limit=9) == {"/v1/storage": []}
    assert [one.outcome for one in reader.comparisons(0.0)] == [Outcome.SAME]
    reader.close()
