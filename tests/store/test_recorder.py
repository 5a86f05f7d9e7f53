"""Use, last use and refusals: batched, bounded, trimmed, and without a secret."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.world import FILES, asking, compiled, mode, raw_rows, run, until

from latchgate.core.model import Application, Noun
from latchgate.core.redact import redactor
from latchgate.store import batch, refusals, schema, sqlite, tally
from latchgate.store import recorder as recording
from latchgate.store.batch import HOUR
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.recorder import AGE_SECONDS, TRIM_SECONDS, Usage
from latchgate.store.refusals import KEEP_SECONDS
from latchgate.store.sqlite import connect
from latchgate.store.tally import Tally
from latchgate.store.usage import Ever, LastUse, Source, UsageReader

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
USES = (
    "SELECT credential_id, reason, scope, at, count FROM use_hour WHERE credential_id <> ''"
    " ORDER BY 1, 2, 3, 4"
)
TABLES = ("use_minute", "use_hour", "use_day")
REFUSALS = "SELECT id, ring, credential_id, reason FROM refusal ORDER BY at"


def everything(at):
    """Return all that is kept: the files, or the rows, of usage."""
    if isinstance(at, Path):
        beside = at.parent.glob(f"{at.name}*")
        return b"".join(path.read_bytes() for path in beside)
    return repr([raw_rows(at, f"SELECT * FROM {name}") for name in schema.usage.tables]).encode()  # noqa: S608


class Recorder:
    """A recorder, an engine that tells it each decision, and clocks to turn."""

    def __init__(self, world, **how):
        self.world = world
        self.now, self.ticks = NOON, 0.0
        self.recorder = Usage(
            world.usage_database,
            redact=redactor(compiled(FILES, 1).patterns()),
            ticks=lambda: self.ticks,
            clock=lambda: self.now,
            **how,
        )
        self.engine = world.engine(clock=lambda: self.now, on_decision=self.recorder.note)
        self.reader = UsageReader(world.usage_database)

    def decide(self, key=None, *, at=None, **how):
        self.now = at if at is not None else self.now
        return self.engine.decide(asking(key, **how))

    def rows(self, statement):
        return raw_rows(self.world.usage_database, statement)

    def close(self):
        self.reader.close()
        self.recorder.close()


@pytest.fixture
def world(usage_world):
    """In either database."""
    return usage_world


@pytest.fixture
def recorder(world):
    made = Recorder(world)
    yield made
    made.close()


# --- refusals


def test_a_refusal_is_found_by_its_id_once_its_batch_is_written(recorder):
    refused = recorder.decide(client="192.0.2.7")
    assert recorder.reader.refusal(refused.id) is None
    recorder.recorder.flush()
    ring, kept = recorder.reader.refusal(refused.id)
    assert ring == ""
    assert (kept["id"], kept["reason"], kept["client"]) == (
        refused.id,
        "credential_missing",
        "192.0.2.7",
    )
    assert [step["step"] for step in kept["steps"]] == [str(step) for step, _, _ in refused.trace]


def test_a_refusal_of_a_known_credential_lies_in_the_ring_of_its_tenant(world, recorder):
    owner = world.somebody()
    key = world.key(scopes=[], owner=owner)
    refused = recorder.decide(key)
    recorder.recorder.flush()
    ring, kept = recorder.reader.refusal(refused.id)
    assert (ring, kept["credential"], kept["tenant"]) == (owner.tenant_id, key.id, owner.tenant_id)


def test_a_wrong_secret_lies_in_nobodys_ring(world, recorder):
    key = world.key()
    refused = recorder.decide(headers={"authorization": f"Bearer wayscloud_storage_{key.id}_wrong"})
    assert refused.reason == "secret_wrong"
    recorder.recorder.flush()
    assert recorder.rows(REFUSALS) == [(refused.id, "", None, "secret_wrong")]


def test_an_allowed_request_leaves_no_trace(world, recorder):
    assert recorder.decide(world.key()).allowed
    recorder.recorder.flush()
    assert recorder.rows(REFUSALS) == []


def test_an_unknown_id_is_not_found(recorder):
    assert recorder.reader.refusal("nothing") is None


def test_the_newest_refusals_of_a_ring_come_first_and_page_by_page(world, recorder):
    owner = world.somebody()
    key, other = world.key(scopes=[], owner=owner), world.key(scopes=[], owner=owner)
    keys = [key, other, None, key, key, other]
    made = [recorder.decide(used, at=NOON + at // 2).id for at, used in enumerate(keys)]
    recorder.recorder.flush()

    def ids(ring, **how):
        return [kept["id"] for kept in recorder.reader.refusals(ring, **({"limit": 9} | how))]

    every = ids(None)
    assert sorted(every) == sorted(made)
    assert set(every[:2]) == set(made[4:])  # of one moment: by their ids
    assert ids(None, limit=2) + ids(None, limit=9, after=every[1]) == every
    theirs = [one for one in every if one != made[2]]
    assert ids(owner.tenant_id) == theirs
    after = every[every.index(made[2]) + 1 :]
    assert ids(owner.tenant_id, after=made[2]) == after
    assert set(made[:2]) <= set(after)
    assert ids(owner.tenant_id, credential_id=key.id) == [
        one for one in every if one in {made[0], made[3], made[4]}
    ]
    assert ids("") == [made[2]]
    assert ids(None, after="nothing") == []


def test_refusals_of_several_recorders_are_found_by_any_reader(world, recorder):
    other = Recorder(world)
    ids = [each.decide().id for each in (recorder, other)]
    recorder.recorder.flush()
    other.recorder.flush()
    assert all(recorder.reader.refusal(one) for one in ids)
    other.close()


def test_more_refusals_than_a_batch_holds_are_dropped_and_counted(world, monkeypatch):
    monkeypatch.setattr(refusals, "MAX_PENDING", 5)
    recorder = Recorder(world)
    for _ in range(8):
        recorder.decide()
    assert recorder.recorder.dropped == 3
    recorder.recorder.flush()
    assert len(recorder.rows(REFUSALS)) == 5
    recorder.decide()
    assert recorder.recorder.dropped == 3
    recorder.close()


def test_a_flood_is_kept_in_samples_and_whoever_is_refused_seldom_is_kept_beside_it(
    world, monkeypatch
):
    monkeypatch.setattr(refusals, "BURST", 60)
    recorder = Recorder(world)
    flooding, other = (world.key(scopes=[], owner=world.somebody()) for _ in range(2))
    kept = []
    for _ in range(5):
        for _ in range(100):
            recorder.decide(flooding)
        seldom = [recorder.decide(other).id, recorder.decide().id]
        recorder.recorder.flush()
        assert all(recorder.reader.refusal(one) for one in seldom), "a flood took their room"
        kept.append(len(recorder.rows(REFUSALS)))
    most = refusals.PER_BATCH + 2
    assert kept[0] == refusals.BURST + 2
    assert [later - sooner for sooner, later in itertools.pairwise(kept)] == [most] * 4
    assert recorder.recorder.dropped == 5 * 102 - kept[-1]
    recorder.close()


def test_the_first_batch_of_a_flood_leaves_room_for_whoever_is_refused_seldom(world, monkeypatch):
    monkeypatch.setattr(refusals, "MAX_PENDING", 50)
    monkeypatch.setattr(refusals, "RESERVE", 4)
    recorder = Recorder(world)
    flooding, other = (world.key(scopes=[], owner=world.somebody()) for _ in range(2))
    for _ in range(100):
        recorder.decide(flooding)
    seldom = [recorder.decide(other).id for _ in range(3)]
    recorder.recorder.flush()
    assert all(recorder.reader.refusal(one) for one in seldom), "a flood took their room"
    assert len(recorder.rows(REFUSALS)) <= 50
    recorder.close()


def test_no_number_of_sources_makes_a_flood_of_what_is_kept(world, monkeypatch):
    monkeypatch.setattr(refusals, "BURST", 0)
    monkeypatch.setattr(refusals, "RESERVE", 4)
    monkeypatch.setattr(refusals, "SELDOM", 2)
    recorder = Recorder(world)
    keys = [world.key(scopes=[], owner=world.somebody()) for _ in range(5)]
    for key in keys * 3:
        recorder.decide(key)
    recorder.recorder.flush()
    assert len(recorder.rows(REFUSALS)) == 4
    recorder.close()


def test_a_request_that_cannot_be_written_down_spoils_no_other_record(world):
    recorder = Recorder(world)
    key = world.key(scopes=[])
    kept = [recorder.decide(key)]
    recorder.decide(target="/v1/\udcff")
    kept.append(recorder.decide(key))
    recorder.recorder.flush()
    assert all(recorder.reader.refusal(one.id) for one in kept)
    assert [row[-1] for row in recorder.rows(USES)] == [2]
    recorder.close()


# --- counters


def test_use_is_counted_by_credential_outcome_scope_and_hour(world, recorder):
    one = world.key(scopes=["storage:read"])
    other = world.key()
    for _ in range(3):
        recorder.decide(one)
    recorder.decide(one, method="PUT")
    recorder.decide(other, method="PUT")
    recorder.decide(one, at=NOON + HOUR)
    recorder.recorder.flush()
    hour = int(NOON)
    wanted = [
        (one.id, "allowed", "storage:read", hour, 3),
        (one.id, "allowed", "storage:read", hour + HOUR, 1),
        (one.id, "scope_not_granted", "storage:write", hour, 1),
        (other.id, "allowed", "storage:write", hour, 1),
    ]
    assert recorder.rows(USES) == sorted(wanted)


def test_counts_of_several_batches_and_processes_are_summed(world, recorder):
    key, other = world.key(), Recorder(world)
    for each, times in ((recorder, 2), (other, 3), (recorder, 4)):
        for _ in range(times):
            each.decide(key)
        each.recorder.flush()
    assert [row[-1] for row in recorder.rows(USES)] == [9]
    other.close()


@pytest.mark.parametrize("usage_at", ["sqlite"], indirect=True)
def test_counts_of_many_threads_are_exact(world, recorder):
    key = world.key()

    def work():
        for _ in range(200):
            recorder.decide(key)
            recorder.recorder.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row[-1] for row in recorder.rows(USES)] == [800]


def test_each_table_of_counts_is_complete_by_itself(world, recorder):
    key, place = world.key(), "tenant_id, project_id, area, scope, reason"
    for at in (NOON, NOON + 59, NOON + 60, NOON + HOUR, NOON + 86_400):
        recorder.decide(key, at=at)
    recorder.recorder.flush()
    owner = key.owner
    for table, wanted in zip(TABLES, (4, 3, 2), strict=True):
        rows = recorder.rows(f"SELECT {place}, at, count FROM {table}")  # noqa: S608
        assert len(rows) == wanted
        assert sum(row[-1] for row in rows) == 5
        tenant, project = owner.tenant_id, owner.project_id
        named = (tenant, project, "/v1/storage", "storage:read", "allowed")
        assert {row[:5] for row in rows} == {named}
    assert recorder.rows("SELECT MIN(at), MAX(at) FROM use_day") == [
        (int(NOON) // 86_400 * 86_400, int(NOON) // 86_400 * 86_400 + 86_400)
    ]


def test_a_batch_that_spans_a_minute_is_counted_in_both(world, recorder):
    key = world.key()
    for at in (NOON + 59.9, NOON + 60.0, NOON + 59.95):  # a clock was set back
        recorder.decide(key, at=at)
    recorder.recorder.flush()
    assert recorder.rows("SELECT at, count FROM use_minute ORDER BY at") == [
        (int(NOON), 2),
        (int(NOON) + 60, 1),
    ]


def test_d7_62_those_who_prove_nothing_are_counted_together_whatever_they_send(world, recorder):
    key = world.key()
    for number in range(50):
        guess = f"wayscloud_storage_{key.id}_{number}"
        told = {"authorization": f"Bearer {guess}", "user-agent": f"guess {number}"}
        recorder.decide(headers=told, client=f"192.0.2.{number}")
    recorder.recorder.flush()
    assert recorder.rows("SELECT credential_id, reason, count FROM use_hour") == [
        ("", "secret_wrong", 50)
    ]
    assert (
        recorder.rows("SELECT * FROM use_source") == recorder.rows("SELECT * FROM last_use") == []
    )


def test_when_there_are_too_many_sources_counts_stay_right_and_addresses_are_left_out(
    world, monkeypatch
):
    monkeypatch.setattr(tally, "MAX_SOURCES", 3)
    recorder = Recorder(world)
    key, other = world.key(), world.key()
    for number in range(10):
        recorder.decide(key, client=f"192.0.2.{number}")
    recorder.decide(other)
    recorder.recorder.flush()
    assert {row[0]: row[-1] for row in recorder.rows(USES)} == {key.id: 10, other.id: 1}
    addresses = {source.address for source in recorder.reader.sources(key.id, since=0)}
    assert addresses == {"192.0.2.0", "192.0.2.1", "192.0.2.2", None}
    assert recorder.recorder.uncounted == 0
    recorder.close()


def test_decisions_that_there_is_no_room_to_count_are_counted_as_lost(world, monkeypatch):
    monkeypatch.setattr(tally, "MAX_SOURCES", 2)
    monkeypatch.setattr(tally, "MAX_KEYS", 3)
    recorder = Recorder(world)
    keys = [world.key() for _ in range(5)]
    for key in keys:
        recorder.decide(key)
    assert recorder.recorder.uncounted == 2
    recorder.decide(keys[0])
    assert recorder.recorder.uncounted == 2
    recorder.recorder.flush()
    assert sorted(row[-1] for row in recorder.rows(USES)) == [1, 1, 2]
    assert Ever("dropped", "", "count", 2) in recorder.reader.ever()
    recorder.decide(keys[4])  # there is room again
    recorder.recorder.flush()
    assert [row[-1] for row in recorder.rows(USES) if row[0] == keys[4].id] == [1]
    recorder.close()


def test_one_key_used_from_everywhere_fills_no_table_with_its_sources(world, monkeypatch):
    monkeypatch.setattr(batch, "SOURCES_A_MINUTE", 5)
    recorder = Recorder(world)
    key = world.key()
    for number in range(40):
        recorder.decide(key, headers={"user-agent": f"agent {number}"})
    recorder.recorder.flush()
    assert len(recorder.rows("SELECT * FROM use_source")) == 6
    assert sum(one.count for one in recorder.reader.sources(key.id, since=0)) == 40
    recorder.close()


def test_totals_only_grow_and_add_up_over_processes(world, recorder):
    key, other = world.key(scopes=["storage:read"]), Recorder(world)
    recorder.decide(key)
    recorder.decide(key, method="PUT")
    other.decide(key)
    other.decide()
    recorder.recorder.flush()
    other.recorder.flush()
    assert recorder.reader.ever() == [
        Ever("decision", "/v1/storage", "allowed", 2),
        Ever("decision", "/v1/storage", "credential_missing", 1),
        Ever("decision", "/v1/storage", "scope_not_granted", 1),
    ]
    other.close()


def test_only_allowed_requests_are_billed_each_at_the_price_of_its_time(world, recorder):
    key = world.key(scopes=["storage:read"])
    head, scopes = 'dialect = "wayscloud"', "[services.storage.scopes]"
    for price in ("0.0004", "0.0005"):
        told = f'[services.storage.prices]\n"storage:read" = "{price}"\n'
        told += f'"storage:write" = "1"\n\n{scopes}'
        text = FILES["wayscloud.toml"].replace(head, f'{head}\ncurrency = "NOK"', 1)
        world.publish({**FILES, "wayscloud.toml": text.replace(scopes, told, 1)})
        for _ in range(3):
            recorder.decide(key)
        recorder.decide(key, method="PUT")
    recorder.recorder.flush()
    days = "SELECT scope, reason, price, currency, count FROM use_day ORDER BY 1, 3"
    assert recorder.rows(days) == [
        ("storage:read", "allowed", 400, "NOK", 3),
        ("storage:read", "allowed", 500, "NOK", 3),
        ("storage:write", "scope_not_granted", 0, "", 2),
    ]


# --- sources


def test_an_applications_key_has_sources_and_a_last_use_of_its_own(world, recorder):
    key = world.key()
    made = []
    world.engine(on_decision=lambda *told: made.append(told)).decide(asking(key))
    ((decision, request, _),) = made
    program = Application(id="app-1", name="Photos", approved=True)
    for key_id in ("old", "new", "new"):
        grant = replace(decision.grant, application=program, application_key_id=key_id)
        recorder.recorder.note(replace(decision, grant=grant), request, NOON)
    recorder.recorder.flush()
    reader = recorder.reader
    assert [(one.application_id, one.count) for one in reader.sources("new", since=0)] == [
        ("app-1", 2)
    ]
    assert [one.count for one in reader.sources("old", since=0)] == [1]
    assert [(one.application_id, one.count) for one in reader.sources(key.id, since=0)] == [
        ("app-1", 3)
    ]
    assert set(reader.last_uses(["old", "new", "app-1", key.id])) == {"old", "new", "app-1", key.id}
    counted = recorder.rows("SELECT credential_id, application_id, count FROM use_day")
    assert counted == [(key.id, "app-1", 3)]


def test_a_source_says_from_where_with_which_program_how_often_and_when(world, recorder):
    key = world.key(scopes=["storage:read"])
    told = {"user-agent": "rclone/1.60"}
    recorder.decide(key, at=NOON, headers=told)
    recorder.recorder.flush()
    recorder.decide(key, at=NOON + 5, headers=told)
    recorder.decide(key, at=NOON + 9, headers=told, method="PUT")
    recorder.decide(key, at=NOON + 7, client="2001:db8::1")
    recorder.recorder.flush()
    assert recorder.reader.sources(key.id, since=0) == [
        Source("192.0.2.1", "rclone/1.60", "/v1/storage", None, 3, NOON, NOON + 9, 1),
        Source("2001:db8::1", "", "/v1/storage", None, 1, NOON + 7, NOON + 7),
    ]
    assert [one.address for one in recorder.reader.sources(key.id, since=NOON + 8)] == ["192.0.2.1"]


def test_d7_61_an_agent_is_kept_short_printable_and_without_secrets(world, recorder):
    key, secret = world.key(), world.key().text
    agents = [
        "line\r\nbreak\x00\x1b[31m\x7f\x9b\udcff\u202e",
        f"tool ({secret})",
        f"tool {secret[:20]}\x07{secret[20:]}",
        "a" * 590 + f" {secret}",
        "b" * 5_000,
        "c " * 5_000,
    ]
    for agent in agents:
        recorder.decide(key, headers={"user-agent": agent})
    recorder.recorder.flush()
    kept = {source.agent for source in recorder.reader.sources(key.id, since=0)}
    assert "linebreak[31m" in kept
    assert all(len(agent) <= 200 and agent.isprintable() for agent in kept)
    assert secret[-12:].encode() not in everything(world.usage_database)


# --- last use


def test_the_last_use_says_when_and_from_where(world, recorder):
    key = world.key()
    recorder.decide(key, at=NOON, client="192.0.2.1")
    recorder.decide(key, at=NOON + 5, client="2001:db8::1")
    recorder.recorder.flush()
    assert recorder.reader.last_uses([key.id]) == {key.id: LastUse(NOON + 5, "2001:db8::1")}


def test_a_refused_request_is_no_use(world, recorder):
    key = world.key(scopes=[])
    recorder.decide(key)
    recorder.recorder.flush()
    assert recorder.reader.last_uses([key.id]) == {}


def test_an_older_use_from_another_process_does_not_take_the_place_of_a_newer_one(world, recorder):
    key, other = world.key(), Recorder(world)
    recorder.decide(key, at=NOON + 60, client="192.0.2.60")
    recorder.recorder.flush()
    other.decide(key, at=NOON, client="192.0.2.0")
    other.recorder.flush()
    assert recorder.reader.last_uses([key.id])[key.id] == LastUse(NOON + 60, "192.0.2.60")
    other.close()


def test_a_use_from_an_unknown_address_is_a_use(world, recorder):
    key = world.key()
    recorder.decide(key, client=None)
    recorder.recorder.flush()
    assert recorder.reader.last_uses([key.id])[key.id].address is None


def test_last_uses_are_told_only_of_those_asked_for_and_used(world, recorder):
    used, unused, other = world.key(), world.key(), world.key()
    recorder.decide(used)
    recorder.decide(other)
    recorder.recorder.flush()
    assert set(recorder.reader.last_uses([used.id, unused.id, "nobody"])) == {used.id}


# --- trimming


def test_refusals_past_their_age_are_dropped_and_younger_ones_stay(recorder):
    old = recorder.decide(at=NOON)
    young = recorder.decide(at=NOON + 10)
    recorder.recorder.flush()
    recorder.now = NOON + 5 + KEEP_SECONDS
    recorder.recorder.trim()
    assert recorder.reader.refusal(old.id) is None
    assert recorder.reader.refusal(young.id) is not None


def test_each_ring_keeps_its_newest_refusals_whatever_happens_in_others(world):
    recorder = Recorder(world, keep_per_ring=3)
    key = world.key(scopes=[], owner=world.somebody())
    quiet = recorder.decide(key, at=NOON)
    flood = [recorder.decide(at=NOON + at) for at in range(1, 11)]
    recorder.recorder.flush()
    recorder.recorder.trim()
    kept = [one.id for one in flood if recorder.reader.refusal(one.id)]
    assert kept == [one.id for one in flood[-3:]]
    assert recorder.reader.refusal(quiet.id) is not None
    recorder.close()


def test_a_ring_that_is_just_full_loses_nothing(world):
    recorder = Recorder(world, keep_per_ring=3)
    for at in range(3):
        recorder.decide(at=NOON + at)
    recorder.recorder.flush()
    recorder.recorder.trim()
    assert len(recorder.rows(REFUSALS)) == 3
    recorder.close()


def test_refusals_of_one_moment_do_not_push_each_other_out_below_the_number_kept(world):
    recorder = Recorder(world, keep_per_ring=3)
    for _ in range(5):
        recorder.decide(at=NOON)
    recorder.recorder.flush()
    recorder.recorder.trim()
    assert len(recorder.rows(REFUSALS)) == 3
    recorder.close()


def test_trimming_goes_with_flushing_once_a_minute(world):
    recorder = Recorder(world, keep_per_ring=1)
    for ticks, wanted in ((TRIM_SECONDS - 1, 2), (TRIM_SECONDS, 1), (TRIM_SECONDS + 1, 2)):
        recorder.ticks = ticks
        recorder.now += 1
        recorder.decide()
        if ticks < TRIM_SECONDS:
            recorder.now += 1
            recorder.decide()
        recorder.recorder.flush()
        assert len(recorder.rows(REFUSALS)) == wanted
    recorder.close()


# --- secrets


def test_no_secret_reaches_the_file(world, recorder):
    key = world.key(scopes=[])
    other = world.key(owner=world.somebody())
    secrets = [key.text, other.text, "s3cr3t-password", "aGVsbG86d29ybGQhISE="]
    wanted = [
        asking(key, headers={"x-api-key": other.text}),
        asking(key, target=f"/v1/storage/{other.text}"),
        asking(key, target=f"/v1/storage/a?token={other.text}&password=s3cr3t-password"),
        asking(method=f"GET {other.text}"),
        asking(target=f"/v1/storage/a;api_key={other.text}"),
        asking(headers={"authorization": f"Bearer  {other.text}"}),
        asking(headers={"authorization": f"bearer {other.text}"}),
        asking(headers={"authorization": other.text}),
        asking(headers={"authorization": "Basic aGVsbG86d29ybGQhISE="}),
        asking(headers={"authorization": f"Bearer {other.text[:-1]}"}),
        asking(headers={"host": other.text, "user-agent": other.text, "cookie": other.text}),
    ]
    for request in wanted:
        assert not recorder.engine.decide(request).allowed
    recorder.recorder.flush()
    assert len(recorder.rows(REFUSALS)) == len(wanted)
    held = everything(world.usage_database)
    for secret in secrets:
        assert secret.encode() not in held
    # What names the key stays readable: only then can its owner recognise it.
    assert key.id.encode() in held


def test_the_query_string_is_not_kept(recorder):
    refused = recorder.decide(target="/v1/storage/a?mine=private")
    recorder.recorder.flush()
    assert recorder.reader.refusal(refused.id)[1]["path"] == "/v1/storage/a"
    assert "private" not in str(recorder.rows("SELECT decision FROM refusal"))


def test_huge_paths_and_hosts_are_kept_cut_short(world, recorder):
    refused = recorder.decide(target="/v1/storage/" + "a" * 9_000)
    recorder.recorder.flush()
    kept = recorder.reader.refusal(refused.id)[1]
    assert len(kept["path"]) <= 2_048
    assert len(recorder.rows("SELECT decision FROM refusal")[0][0]) < 8_000


# --- the writing thread


def test_counts_wait_for_less_than_the_second_that_a_crash_may_cost():
    assert recording.COUNTED_SECONDS + 2 * recording.BATCH_SECONDS < 1.0


def test_counts_are_written_with_the_first_batch_after_their_time(world, recorder):
    recorder.decide(world.key())
    recorder.ticks += recording.COUNTED_SECONDS - 0.01
    recorder.recorder.flush(everything=False)
    assert recorder.rows(USES) == []
    recorder.ticks += 0.02
    recorder.recorder.flush(everything=False)
    assert [row[-1] for row in recorder.rows(USES)] == [1]


def test_counts_that_could_not_be_written_wait_for_the_next_batch(world, nobody_writes):
    recorder = Recorder(world)
    key, new = world.key(), world.key()
    recorder.decide(key)
    recorder.decide()
    with nobody_writes(), pytest.raises(StoreError):
        recorder.recorder.flush()
    for each in (key, new):
        recorder.decide(each)
    recorder.recorder.flush()
    assert {row[0]: row[-1] for row in recorder.rows(USES)} == {key.id: 2, new.id: 1}
    assert Ever("dropped", "", "refusal", 1) in recorder.reader.ever()
    recorder.close()


def test_a_batch_is_written_by_itself_within_a_second(recorder):
    recorder.recorder.start()
    refused = recorder.decide()
    until(lambda: recorder.reader.refusal(refused.id), seconds=1.0, what="the batch")


def test_closing_writes_what_is_left(world):
    recorder = Recorder(world)
    recorder.recorder.start()
    refused = recorder.decide()
    recorder.recorder.close()
    assert recorder.reader.refusal(refused.id) is not None
    recorder.reader.close()


def test_noting_never_waits_for_the_database(world, nobody_writes, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_MS", 3_000)
    recorder = Recorder(world)
    recorder.recorder.start()
    with nobody_writes():
        begun = time.monotonic()
        ends = begun + 1.0
        while time.monotonic() < ends:
            at = time.monotonic()
            recorder.decide()
            assert time.monotonic() - at < 2.0
    recorder.close()
    assert recorder.rows(REFUSALS)


def test_a_batch_that_cannot_be_written_is_lost_aloud_and_the_next_is_not(
    world, nobody_writes, caplog
):
    recorder = Recorder(world)
    with nobody_writes():
        lost = recorder.decide()
        recorder.recorder.start()
        until(lambda: "a batch of usage was lost" in caplog.text, what="the log entry")
    kept = recorder.decide()
    until(lambda: recorder.reader.refusal(kept.id), what="the next batch")
    assert recorder.reader.refusal(lost.id) is None
    recorder.close()


def test_a_flush_that_fails_says_so(world, nobody_writes):
    recorder = Recorder(world)
    recorder.decide()
    with nobody_writes(), pytest.raises(StoreError):
        recorder.recorder.flush()
    recorder.close()


def test_a_batch_is_written_whole_or_not_at_all(world, recorder):
    recorder.decide(world.key())
    recorder.decide()
    run(world.usage_database, "ALTER TABLE last_use RENAME TO hidden")
    with pytest.raises(StoreError):
        recorder.recorder.flush()
    assert recorder.rows(REFUSALS) == recorder.rows(USES) == []
    run(world.usage_database, "ALTER TABLE hidden RENAME TO last_use")


def test_a_file_without_its_tables_is_refused_at_once(tmp_path):
    with pytest.raises(NotMigratedError):
        Usage(tmp_path / "u.db", redact=redactor(), ticks=time.monotonic, clock=time.time)


@pytest.mark.parametrize("usage_at", ["sqlite"], indirect=True)
def test_the_files_are_their_owners_alone(world, recorder):
    recorder.decide()
    recorder.recorder.flush()
    beside = list(world.usage_database.parent.glob(f"{world.usage_database.name}*"))
    assert {mode(path) for path in beside} == {0o600}


def test_a_reader_whose_file_fails_is_a_fault_of_the_store(world):
    reader = UsageReader(world.usage_database)
    reader.close()
    with pytest.raises(StoreError):
        reader.refusal("x")
    with pytest.raises(StoreError):
        reader.last_uses(["x"])


@pytest.mark.parametrize("usage_at", ["sqlite"], indirect=True)
def test_records_of_the_main_database_are_untouched_by_use(world, recorder):
    head = world.head()
    recorder.decide(world.key())
    recorder.recorder.flush()
    assert world.head() == head + 1  # the key itself
    connection = connect(world.usage_database, durable=False)
    assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    connection.close()
    assert world.journal()[-1].noun == Noun.CREDENTIAL


def test_entries_outlive_a_minute_in_which_nobody_used_them(world, monkeypatch):
    ages = []
    age = Tally.age

    def counted(self):
        ages.append(self)
        age(self)

    monkeypatch.setattr(Tally, "age", counted)
    recorder = Recorder(world)
    recorder.decide(world.key())
    for ticks, wanted in ((TRIM_SECONDS, 0), (AGE_SECONDS - 1, 0), (AGE_SECONDS, 1)):
        recorder.ticks = ticks
        recorder.recorder.flush()
        assert len(ages) == wanted
    recorder.ticks += AGE_SECONDS - 1
    recorder.recorder.flush()
    assert len(ages) == 1
    recorder.close()
