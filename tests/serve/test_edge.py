"""Edges follow a real server: decisions, receipts, outages, and what they are never told."""

from __future__ import annotations

import json
import time
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from tests.asking import basic
from tests.doors.keystone.cloud import PUBLISHED, Cloud
from tests.e2e.test_attacks_journal import approved_application, somebody
from tests.edges import EdgeProcess, Question, decided
from tests.minting import Minting, client
from tests.test_verifier import forked
from tests.world import Server, World, http_request, latchgate, raw_rows

from latchgate import Verifier
from latchgate.config import load
from latchgate.core.model import Noun
from latchgate.keyring import master
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

TARGET = "/v1/storage/bucket/object"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


@pytest.fixture(scope="module")
def world(server):
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture(scope="module")
def cloud(server, world):
    return Cloud(server, world)


def follower(server, **more):
    return server.create("verifier", **more)["key"]


@pytest.fixture(scope="module")
def edge(server, cloud, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge")
    made = EdgeProcess(folder, server.addresses["api"], follower(server))
    made.start("--node", "edge-1")
    yield made
    made.stop()


@pytest.fixture
def verifier(server):
    with Verifier(url=server.addresses["api"], token=follower(server), node="in-process") as made:
        yield made


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def stored(key, headers=None):
    return Question(TARGET, headers or key.headers)


def keys(world):
    """Service keys that stand and that don't, each for another reason."""
    owner = world.somebody("storage:read")
    yield world.key(owner=owner)
    yield world.key(scopes=[])
    yield world.key(networks=["192.0.2.0/24"])
    yield world.key(expires_at=time.time() - 1)
    yield world.key(owner=world.somebody("dns:read"))
    parent = world.key()
    yield world.key(parent=parent)
    world.revoke(parent)
    revoked = world.key()
    world.revoke(revoked)
    yield revoked


def everything(server, world, cloud):
    """Requests with each kind of credential, in places that take it and in places that don't."""
    call, user = server.call, somebody(server)
    app = call("POST", f"/manage/v1/users/{user}/basic", {}).json
    whose = world.somebody("*", tenant_id=world.owner.tenant_id)
    spec = {"namespace": "upcloud", "login": "sub", "project_id": whose.project_id}
    chosen = call("POST", f"/manage/v1/users/{whose.user_id}/password", spec).json
    path, developer = approved_application(server)
    program = call("POST", path, {}, token=developer).json["api_key"]
    token = call("POST", "/manage/v1/account/tokens", {"name": "t", "expires_in": "1h"}).json
    access = cloud.key()
    asked = {"methods": ["application_credential"], "application_credential": access.by_id}
    url = f"{server.addresses['api']}/identity/v3/auth/tokens"
    answer = http_request("POST", url, body=json.dumps({"auth": {"identity": asked}}).encode())
    project = answer.headers["x-subject-token"]
    key = master.load(load(server.config).master_key)
    minting = Minting(world, issuer=server.addresses["console"], master=key)
    made = client(world, minting.policy, scopes=["dav:read"])
    signed = minting.token(minting.grant(made, world.somebody("dav:read"), "dav:read"))
    by_password = basic(app["login"], app["password"])
    shown = [
        *((TARGET, one.headers) for one in keys(world)),
        ("/1.3/server", bearer(token["token"])),
        ("/1.3/account", bearer(token["token"])),
        ("/dav/a", by_password),
        ("/1.3/account", basic(chosen["login"], chosen["password"])),
        ("/v2/api/dataset/(capacity)", by_password),
        ("/v2/api/dataset/(capacity)", {**by_password, "X-TeraCLOUD-API-KEY": program}),
        ("/v2/api/dataset/(capacity)", {**by_password, "X-TeraCLOUD-API-KEY": "0" * 32}),
        ("/compute/machines", {"X-Auth-Token": project}),
        ("/identity/v3/users", {"X-Auth-Token": project}),
        ("/v2/dav/a", bearer(signed)),
        ("/v2/dav/a", bearer(signed[:-4] + "AAAA")),
        (TARGET, {"X-API-Key": server.create("storage")["key"]}),
        ("/manage/v1/keys", bearer(server.token)),
        ("/healthz", {}),
        ("/nowhere", bearer(server.token)),
        ("/v1/storage/../dns", bearer(server.token)),
    ]
    for target, headers in shown:
        yield Question(target, headers)
        yield Question(target, headers, method="DELETE")


def told_by(verifier, question):
    """Return what an in-process verifier says, in the words of the verify address."""
    one = verifier.decide(
        question.method,
        question.target,
        question.headers,
        host="api.example",
        client=question.client,
        tls=True,
    )
    return one.allowed, one.status, dict(one.identity), one.body.decode()


def test_every_kind_of_credential_is_decided_as_the_server_decides(
    server, world, cloud, edge, verifier
):
    asked = list(everything(server, world, cloud))
    wanted = decided(server.addresses["verify"], asked)
    kinds = {
        one["identity"]["X-Latchgate-Kind"] for one in wanted if one["allowed"] and one["identity"]
    }
    assert kinds >= {
        "wayscloud.service_key",
        "upcloud.api_token",
        "teracloud.app_password",
        "upcloud.account_password",
        "kakaocloud.project_token",
        "latchgate.oauth_token",
    }
    assert {one["status"] for one in wanted} >= {200, 400, 401, 403}
    assert decided(edge.verify, asked) == wanted
    found = [told_by(verifier, one) for one in asked]
    for one, answer in zip(found, wanted, strict=True):
        assert one == (answer["allowed"], answer["status"], answer["identity"], answer["body"])


def test_a_receipt_names_the_edges_and_none_of_them_accepts_afterwards(
    server, world, edge, verifier
):
    key = world.key()
    assert edge.decide(stored(key))["allowed"]
    assert verifier.decide("GET", TARGET, key.headers).allowed
    receipt = server.call("DELETE", f"/manage/v1/keys/{key.id}").json["receipt"]
    assert edge.decide(stored(key))["status"] == 401
    assert verifier.decide("GET", TARGET, key.headers).status == 401
    said = {one["node"]: one for one in receipt["verifiers"] if one["kind"] == "edge"}
    assert {"edge-1", "in-process"} <= set(said)
    assert {said[name]["trust_seconds"] for name in ("edge-1", "in-process")} == {2.0}


def test_a_fork_follows_with_a_memory_and_a_row_of_its_own(world, verifier):
    key = world.key()
    assert verifier.decide("GET", TARGET, key.headers).allowed

    def child():
        verdict = verifier.decide("GET", TARGET, key.headers)
        verifier.close()
        return verdict.allowed

    before = raw_rows(world.database, "SELECT COUNT(*) FROM verifier")
    assert forked(child) == "True"
    assert raw_rows(world.database, "SELECT COUNT(*) FROM verifier") == before
    assert verifier.decide("GET", TARGET, key.headers).allowed
    rows = "SELECT node FROM verifier WHERE node = 'in-process' AND state = 'live'"
    assert raw_rows(world.database, rows)  # the parent's is still there


def test_a_published_policy_holds_at_an_edge_with_its_receipt(server, cloud, edge):
    area = '\n[[areas]]\npath = "/v1/open"\npublic = true\nmethods = ["GET"]\n'
    question = Question("/v1/open/x", {})
    assert edge.decide(question)["status"] == 404
    files = {**PUBLISHED, "wayscloud.toml": PUBLISHED["wayscloud.toml"] + area}
    assert server.call("PUT", "/manage/v1/policy", {"files": files}).status == 200
    assert edge.decide(question)["status"] == 200


def test_an_edge_says_whether_it_can_decide(edge):
    assert edge.get("/healthz").json["status"] == "ok"
    assert (edge.get("/readyz").status, edge.get("/readyz").json) == (200, {"status": "ready"})


def test_an_edge_of_one_tenant_knows_nobody_else(server, world, tmp_path):
    mine, other = world.somebody("storage:read"), world.somebody("storage:read")
    known, unknown = world.key(owner=mine), world.key(owner=other)
    made = EdgeProcess(tmp_path / "edge", server.addresses["api"], follower(server))
    made.start("--tenant", mine.tenant_id)
    try:
        assert made.decide(stored(known))["allowed"]
        assert made.decide(stored(unknown))["status"] == 401
        assert server.allows(unknown.text)
    finally:
        assert made.stop() == 0
    left = raw_rows(world.database, "SELECT node FROM verifier WHERE tenants IS NOT NULL")
    assert left == []  # it gave its row back


def test_a_token_that_is_revoked_ends_trust_and_one_that_takes_its_place_brings_it_back(
    server, world, tmp_path
):
    first, second, key = server.create("verifier"), follower(server), world.key()
    made = EdgeProcess(tmp_path / "edge", server.addresses["api"], first["key"])
    made.start("--lease", "1")
    try:
        assert made.decide(stored(key))["allowed"]
        assert server.call("DELETE", f"/manage/v1/keys/{first['id']}").status == 200
        made.until_status(stored(key), 503)
        assert made.get("/readyz").status == 503
        assert "it does not take the token" in made.log
        assert first["key"] not in made.log
        made.token_file.write_text(second, encoding="utf-8")
        made.until_status(stored(key), 200)
    finally:
        made.stop()


def test_an_edge_outlives_its_upstream_by_its_lease_and_goes_on_when_it_is_back(tmp_path):
    upstream = Server.started(tmp_path / "lg")
    world = World.beside(upstream)
    try:
        warm, other = stored(world.key()), world.key()
        api = upstream.addresses["api"]
        made = EdgeProcess(tmp_path / "edge", api, follower(upstream)).start("--lease", "1")
        stale = EdgeProcess(tmp_path / "stale", api, follower(upstream)).start(
            "--lease", "1", "--stale-while-unreachable", "600"
        )
        try:
            assert made.decide(warm)["allowed"]
            assert stale.decide(warm)["allowed"]
            upstream.kill()
            made.until_status(warm, 503)
            assert stale.decide(warm)["allowed"]
            assert stale.decide(stored(other))["status"] == 503  # never read: it can't be known
            port = urlsplit(api).netloc
            upstream.start("--listen", port)
            made.until_status(warm, 200)
            world.revoke(other)
            stale.until_status(stored(other), 401)
        finally:
            made.stop()
            stale.stop()
    finally:
        world.close()
        upstream.kill()


def test_a_key_without_the_scope_starts_no_edge(server, tmp_path):
    env = {"LATCHGATE_TOKEN": server.create("manage")["key"]}
    options = ["--listen", "127.0.0.1:0", "--upstream", server.addresses["api"]]
    done = latchgate("edge", *options, env=env, cwd=tmp_path)
    assert done.code == 1
    assert "the token may not follow there" in done.err
    assert env["LATCHGATE_TOKEN"] not in done.err


def test_the_journal_said_of_each_record_whose_it_is(world):
    """What an edge is told rests on it: a change under another tenant's name would be missed."""
    journal, found = schema.journal, []
    for noun, table in (
        (Noun.CREDENTIAL, schema.credential),
        (Noun.USER, schema.user),
        (Noun.PROJECT, schema.project),
        (Noun.ROLE, schema.role),
    ):
        named = sa.select(journal.c.action).join(table, table.c.id == journal.c.record)
        named = named.where(journal.c.noun == str(noun), journal.c.tenant_id.is_not(None))
        assert world.all(named), noun
        found += world.all(named.where(journal.c.tenant_id != table.c.tenant_id))
    assert found == []
