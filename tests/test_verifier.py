"""In process: decisions without a server, exact beside a running one, across threads and forks."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.store.test_shadows import asked, in_area
from tests.world import FILES, Server, World, raw_rows, run, until

from latchgate import Verifier
from latchgate.config import ConfigError
from latchgate.core.model import Noun
from latchgate.core.reason import Reason
from latchgate.core.shadow import Outcome
from latchgate.store import schema, shadows
from latchgate.store.bell import Bell
from latchgate.store.errors import StoreError
from latchgate.store.recorder import Usage
from latchgate.store.usage import UsageReader
from latchgate.verify import bell_engine as engine

TARGET = "/v1/storage/bucket/object"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    (tmp_path / "latchgate.toml").write_text("")
    yield made
    made.close()


@pytest.fixture
def config(world):
    return world.database.with_name("latchgate.toml")


@pytest.fixture
def verifier(config):
    with Verifier(config) as made:
        yield made


def decide(verifier, key=None, *, method="GET", target=TARGET, client="192.0.2.1", **how):
    headers = key.headers if key is not None else {}
    return verifier.decide(method, target, headers, client=client, **how)


# --- verdicts


def test_an_allowed_request_says_for_whom(verifier, world):
    key = world.key(scopes=["storage:read"], environment="dev", external_id="crm/7")
    verdict = decide(verifier, key)
    assert (verdict.allowed, verdict.status, verdict.body, verdict.headers) == (True, 200, b"", ())
    assert verdict.decision_id is None
    assert verdict.identity == {
        "X-Latchgate-Tenant": key.owner.tenant_id,
        "X-Latchgate-Project": key.owner.project_id,
        "X-Latchgate-User": key.owner.user_id,
        "X-Latchgate-Credential": key.id,
        "X-Latchgate-Kind": "wayscloud.service_key",
        "X-Latchgate-Service": "storage",
        "X-Latchgate-Scope": "storage:read",
        "X-Latchgate-Environment": "dev",
        "X-Latchgate-External-Id": "crm/7",
    }


def test_what_an_application_writes_into_an_identity_stays_its_own(verifier, world):
    key = world.key()
    first = decide(verifier, key)
    for _ in range(3):  # from the second on it is remembered
        verdict = decide(verifier, key)
        assert verdict == first
        verdict.identity["X-Latchgate-User"] = "somebody else"


def test_a_refused_request_says_what_to_answer(verifier, world):
    verdict = decide(verifier, world.key(scopes=[]))
    assert (verdict.allowed, verdict.status, verdict.identity) == (False, 403, {})
    assert verdict.body == (
        b'{"error":"API key does not have permission for this service",'
        b'"code":"INSUFFICIENT_PERMISSIONS"}'
    )
    headers = dict(verdict.headers)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Latchgate-Decision"] == verdict.decision_id
    assert 'scope="storage:read"' in headers["WWW-Authenticate"]


def test_without_a_key_the_answer_asks_for_one(verifier):
    verdict = decide(verifier)
    assert verdict.status == 401
    assert dict(verdict.headers)["WWW-Authenticate"] == 'Bearer realm="WAYSCloud"'


def test_a_public_path_is_allowed_for_nobody_in_particular(verifier):
    verdict = decide(verifier, target="/healthz")
    assert (verdict.allowed, verdict.identity) == (True, {})


@pytest.mark.parametrize(
    "headers",
    [
        lambda key: {"Authorization": f"Bearer {key.text}"},
        lambda key: {"AUTHORIZATION": f"Bearer {key.text}"},
        lambda key: [("authorization", f"Bearer {key.text}"), ("x-a", "1"), ("X-A", "2")],
        lambda key: iter([("x-api-key", key.text)]),
    ],
    ids=["mapping", "upper case", "pairs", "iterator"],
)
def test_headers_come_as_a_mapping_or_as_pairs(verifier, world, headers):
    assert verifier.decide("GET", TARGET, headers(world.key())).allowed


def test_a_header_that_comes_twice_is_seen_to_come_twice(verifier, world):
    key = world.key()
    pairs = [("Authorization", f"Bearer {key.text}")] * 2
    assert verifier.decide("GET", TARGET, pairs).status == 401


def test_a_mapping_with_one_name_in_two_cases_is_seen_to_hold_it_twice(verifier, world):
    value = f"Bearer {world.key().text}"
    headers = {"Authorization": value, "authorization": value}
    assert verifier.decide("GET", TARGET, headers).status == 401


def test_the_host_is_taken_from_the_argument_or_the_header(verifier, world):
    key = world.key()
    assert decide(verifier, key, host="api.example").allowed
    assert decide(verifier, key, host="bad host").status == 400
    headers = {**key.headers, "Host": "bad host"}
    assert verifier.decide("GET", TARGET, headers).status == 400


@pytest.mark.parametrize(
    ("client", "status"),
    [
        ("192.0.2.1", 200),
        ("198.51.100.1", 403),
        ("::ffff:192.0.2.1", 200),
        ("nonsense", 400),
        ("", 400),
        ("192.0.2.1:80", 400),
        (None, 400),
    ],
)
def test_the_client_address_binds_a_key_with_networks(verifier, world, client, status):
    assert decide(verifier, world.key(networks=["192.0.2.0/24"]), client=client).status == status


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("get", TARGET, 400),
        ("", TARGET, 400),
        ("PATCH", TARGET, 405),
        ("GET", "", 400),
        ("GET", "v1", 400),
        ("GET", "/v1/storage/../x", 400),
        ("GET", "/v1/storage/%00", 400),
        ("GET", "/v1/nothing", 404),
        ("GET", "/" + "a" * 100_000, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_whatever_is_asked_gets_a_verdict(verifier, world, method, target, status):
    verdict = decide(verifier, world.key(), method=method, target=target)
    assert (verdict.allowed, verdict.status) == (False, status)


def test_text_that_no_file_can_hold_gets_a_verdict_and_spoils_no_record(config, world):
    # Servers that decode with surrogateescape hand such text on.
    reader = UsageReader(world.usage_database)
    with Verifier(config) as verifier:
        before = decide(verifier, target="/v1/nothing")
        odd = decide(verifier, target="/v1/\udcff")
        after = decide(verifier, target="/v1/nothing")
    assert (odd.allowed, odd.status) == (False, 400)
    assert reader.refusal(before.decision_id) is not None
    assert reader.refusal(after.decision_id) is not None
    reader.close()


def test_a_key_that_is_not_text_of_ours_gets_a_verdict(verifier):
    for value in ("", " ", "\x00", "Bearer \ud800", "Bearer " + "x" * 100_000, "ü"):
        assert verifier.decide("GET", TARGET, {"Authorization": value}).status == 401


# --- exact


def test_a_revocation_by_this_process_holds_for_the_next_request(verifier, world):
    key = world.key()
    assert decide(verifier, key).allowed
    world.revoke(key)
    assert decide(verifier, key).status == 401


def test_rights_follow_the_owner_at_once(verifier, world):
    owner = world.somebody("storage:read")
    key = world.key(owner=owner)
    assert decide(verifier, key).allowed
    table = schema.user
    world.change(
        Noun.USER,
        owner.user_id,
        sa.update(table).where(table.c.id == owner.user_id).values(active=False),
    )
    assert decide(verifier, key).status == 401


def test_a_new_policy_is_followed(verifier, world):
    key = world.key()
    assert decide(verifier, key).allowed
    world.publish({})
    assert decide(verifier, key).status == 404
    world.publish(FILES)
    assert decide(verifier, key).allowed


def test_an_idle_verifier_acknowledges_by_itself(verifier, world):
    n = world.revoke(world.key())
    until(
        lambda: [one.acknowledged for one in world.store.bell.listeners()] == [n],
        seconds=1.0,
        what="the acknowledgement",
    )


def test_following_goes_on_after_a_policy_that_cannot_be_used(verifier, world):
    key = world.key()
    world.publish({"bad.toml": "not TOML"})
    time.sleep(0.2)
    assert decide(verifier, key).status == 503
    world.publish(FILES)
    n = world.revoke(world.key())
    until(lambda: [one.acknowledged for one in world.store.bell.listeners()] == [n])
    assert decide(verifier, key).allowed


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_verifier_beside_a_running_server_sees_its_revocations_at_once(tmp_path):
    server = Server.started(tmp_path / "lg")
    try:
        with Verifier(server.config) as verifier:
            for _ in range(20):
                made = server.create()
                headers = {"Authorization": f"Bearer {made['key']}"}
                assert verifier.decide("GET", TARGET, headers).allowed
                answer = server.call("DELETE", f"/manage/v1/keys/{made['id']}")
                assert verifier.decide("GET", TARGET, headers).status == 401
                told = {one["process"]: one["state"] for one in answer.json["receipt"]["verifiers"]}
                assert told == {server.pid: "acknowledged", os.getpid(): "acknowledged"}
        # A verifier that was closed is waited for no more.
        made = server.create()
        receipt = server.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
        assert [one["process"] for one in receipt["verifiers"]] == [server.pid]
    finally:
        server.kill()


# --- use


def test_use_and_refusals_are_recorded_for_the_server_to_show(verifier, world):
    key = world.key(scopes=["storage:read"])
    decide(verifier, key)
    refused = decide(verifier, key, method="PUT")
    reader = UsageReader(world.usage_database)
    until(lambda: reader.refusal(refused.decision_id), seconds=1.0, what="the refusal")
    until(lambda: reader.last_uses([key.id]), seconds=1.0, what="the use")
    assert reader.last_uses([key.id])[key.id].address == "192.0.2.1"
    reader.close()


def test_closing_writes_what_was_recorded(config, world):
    key = world.key()
    with Verifier(config) as verifier:
        decide(verifier, key)
    (row,) = raw_rows(world.usage_database, "SELECT credential_id, count FROM use_day")
    assert row == (key.id, 1)


def test_closing_twice_is_closing_once(config, world):
    verifier = Verifier(config)
    verifier.close()
    verifier.close()
    assert world.store.bell.listeners() == []


def threads_of_ours():
    return {thread.name for thread in threading.enumerate()} & {"latchgate-follow", "usage"}


def files_open():
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_closing_leaves_no_thread(config):
    verifier = Verifier(config)
    assert threads_of_ours() == {"latchgate-follow", "usage"}
    verifier.close()
    until(lambda: not threads_of_ours(), what="the end of the threads")


def test_what_cannot_be_written_keeps_nothing_from_being_closed(config, world, monkeypatch):
    monkeypatch.setattr(shadows, "BATCH_SECONDS", 3_600.0)  # nothing is written before
    verifier = Verifier(config)
    differences = verifier._parts().differences
    assert differences is not None
    noted = in_area(Reason.CREDENTIAL_UNKNOWN)
    differences.note(Outcome.STRICTER, noted, asked(), 200, 1_800_000_000.0)
    run(world.usage_database, "ALTER TABLE shadow_difference RENAME TO away")
    with pytest.raises(StoreError, match="shadow_difference"):
        verifier.close()
    until(lambda: not threads_of_ours(), what="the end of the threads")
    assert world.store.bell.listeners() == []


def test_closing_leaves_no_file_open(config):
    counts = []
    for _ in range(5):
        with Verifier(config) as verifier:
            decide(verifier)
        counts.append(files_open())
    # SQLite itself keeps some until the process's last connection to the file is closed.
    assert len(set(counts[1:])) == 1


# --- threads


def test_verdicts_of_many_threads_match_their_callers(verifier, world):
    with world.changing() as change:
        made = [world.key_in(change, external_id=f"x-{at}") for at in range(200)]
    wrong = []

    def work(seed):
        order = list(range(len(made)))
        random.Random(seed).shuffle(order)
        for at in order:
            verdict = decide(verifier, made[at])
            if verdict.identity.get("X-Latchgate-External-Id") != f"x-{at}":
                wrong.append((at, verdict))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- forks


def forked(work) -> str:
    """Run `work` in a forked child; returns what it returned, as text."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of forking beside threads; that is what is tested.
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        try:
            said = repr(work())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            said = f"raised {error!r}"
        os.write(writable, said.encode())
        os._exit(0)
    os.close(writable)
    told = b""
    deadline = time.monotonic() + 15
    os.set_blocking(readable, False)
    while time.monotonic() < deadline:
        try:
            chunk = os.read(readable, 65_536)
        except BlockingIOError:
            time.sleep(0.005)
            continue
        if not chunk:
            break
        told += chunk
    else:
        os.kill(child, 9)
    os.close(readable)
    os.waitpid(child, 0)
    return told.decode()


def test_a_forked_child_decides_with_a_memory_of_its_own(verifier, world):
    key = world.key()
    assert decide(verifier, key).allowed

    def work():
        first = decide(verifier, key).allowed
        names = {one.process_id for one in Bell.beside(world.database).listeners()}
        return first, len(names), os.getpid() in names

    assert forked(work) == "(True, 2, True)"
    assert decide(verifier, key).allowed


def test_a_forked_child_and_its_parent_both_see_a_revocation_at_once(verifier, world):
    key = world.key()
    assert decide(verifier, key).allowed

    def work():
        before = decide(verifier, key).allowed
        world_of_child = World.__new__(World)
        world_of_child.database, world_of_child.usage_database = (
            world.database,
            world.usage_database,
        )
        world_of_child._attach(time.time)
        world_of_child.revoke(key)
        return before, decide(verifier, key).status

    assert forked(work) == "(True, 401)"
    assert decide(verifier, key).status == 401


def test_a_parents_verifier_is_not_harmed_when_its_child_ends(verifier, world):
    key = world.key()
    for _ in range(5):
        assert forked(lambda: decide(verifier, key).allowed) == "True"
        assert decide(verifier, key).allowed
    assert decide(verifier, world.key()).allowed


def test_children_forked_while_threads_decide_always_decide_too(verifier, world):
    # A lock that some thread held when the child was made is held there for ever: SQLite's own
    # among them, so no thread may be inside it while a process forks.
    key = world.key()
    stop, wrong = threading.Event(), []

    def work(seed):
        order = random.Random(seed)
        while not stop.is_set():
            unknown = f"Bearer wayscloud_storage_{order.getrandbits(64)}_secret"
            verdict = verifier.decide("GET", TARGET, {"Authorization": unknown})
            if verdict.status != 401:
                wrong.append(verdict)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    told: list[str] = []
    try:
        while len(told) < 15 and told == ["True"] * len(told):
            told.append(forked(lambda: decide(verifier, key).allowed))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert told == ["True"] * 15
    assert wrong == []


@pytest.mark.parametrize("where", ["deciding", "recording"])
def test_no_thread_of_ours_is_inside_the_database_while_a_process_forks(
    verifier, world, monkeypatch, where
):
    # About one fork in sixty hung on SQLite's own mutex where one was.
    inside, left = threading.Event(), threading.Event()

    def slowly(real):
        def wrapped(*args, **kwargs):
            inside.set()
            time.sleep(0.5)
            inside.clear()
            left.set()
            return real(*args, **kwargs)

        return wrapped

    if where == "deciding":
        monkeypatch.setattr(engine, "read_records", slowly(vars(engine)["read_records"]))
    else:
        monkeypatch.setattr(Usage, "_write", slowly(Usage._write))
    key = world.key()
    thread = threading.Thread(target=decide, args=(verifier, key))
    thread.start()
    assert inside.wait(5)
    told = forked(lambda: (inside.is_set(), left.is_set()))
    thread.join()
    until(lambda: not inside.is_set())
    assert told == "(False, True)"


def test_a_forked_child_without_a_database_is_refused_and_not_thrown_at(verifier, world):
    key = world.key()
    assert decide(verifier, key).allowed

    def work():
        world.database.rename(f"{world.database}.away")
        verdict = decide(verifier, key)
        return verdict.allowed, verdict.status

    try:
        assert forked(work) == "(False, 503)"
    finally:
        Path(f"{world.database}.away").rename(world.database)


# --- starting


def test_a_configuration_that_is_wrong_is_said_at_once(config):
    config.write_text("unknown = 1")
    with pytest.raises(ConfigError, match="unknown"):
        Verifier(config)
    with pytest.raises(ConfigError):
        Verifier(config.with_name("nothing.toml"))


def test_a_database_that_cannot_be_used_is_said_at_once(config, world):
    world.close()
    for path in (world.database, world.usage_database):
        kept = path.read_bytes()
        path.write_bytes(b"not a database" * 1_000)
        with pytest.raises(StoreError):
            Verifier(config)
        path.unlink()
        with pytest.raises(StoreError):
            Verifier(config)
        assert not world.database.parent.joinpath("nothing").exists()
        path.unlink(missing_ok=True)
        path.write_bytes(kept)
    world._attach(time.time)


def test_starting_in_vain_leaves_nothing_open(config, world):
    world.publish({"bad.toml": "not TOML"})
    counts = []
    for _ in range(5):
        with pytest.raises(Exception, match="not TOML"):
            Verifier(config)
        counts.append(files_open())
    assert len(set(counts[1:])) == 1
    assert not threads_of_ours()
    assert world.store.bell.listeners() == []


def test_the_path_may_be_text(config):
    with Verifier(str(config)) as verifier:
        assert decide(verifier).status == 401


def test_the_package_offers_the_verifier_and_its_version_and_no_more():
    import latchgate

    assert latchgate.Verifier is Verifier
    assert latchgate.__version__
    assert set(latchgate.__all__) == {"Verifier", "__version__"}
    with pytest.raises(AttributeError, match="nothing"):
        latchgate.nothing  # noqa: B018 - asking is the test


def test_a_program_that_just_ends_ends(config, world):
    script = (
        "import sys; from latchgate import Verifier;"
        " print(Verifier(sys.argv[1]).decide('GET', '/', {}).status)"
    )
    command = [sys.executable, "-c", script, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("404\n", "")


# --- what an integration asks besides


def test_a_scope_asked_for_takes_the_place_of_the_policys(verifier, world):
    key = world.key(scopes=["storage:delete"])
    assert decide(verifier, key).status == 403
    allowed = decide(verifier, key, scope="storage:delete")
    assert (allowed.allowed, allowed.identity["X-Latchgate-Scope"]) == (True, "storage:delete")
    reader = world.key(scopes=["storage:read"])
    assert decide(verifier, reader).allowed
    refused = decide(verifier, reader, scope="storage:delete")
    assert 'scope="storage:delete"' in dict(refused.headers)["WWW-Authenticate"]


def test_a_scope_asked_for_needs_its_own_service_and_somebody(verifier, world):
    key = world.key("storage")
    assert decide(verifier, key, scope="dns:manage").status == 403
    assert decide(verifier, world.key("storage", "dns"), scope="dns:manage").allowed
    assert decide(verifier, target="/healthz").allowed
    assert not decide(verifier, target="/healthz", scope="storage:read").allowed


def test_a_doubt_about_the_path_refuses_and_is_explained(verifier, world):
    refused = decide(verifier, world.key(), doubt="something else would be served")
    assert (refused.allowed, refused.status) == (False, 400)
    reader = UsageReader(world.usage_database)
    until(lambda: reader.refusal(refused.decision_id), seconds=1.0, what="the refusal")
    assert "something else would be served" in str(reader.refusal(refused.decision_id))
    reader.close()
