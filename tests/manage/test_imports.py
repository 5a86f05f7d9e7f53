"""Imports: what goes in decides, what is wrong is told, what is there is left alone."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections import Counter
from typing import Any

import bcrypt
import pytest
import sqlalchemy as sa
from tests.world import FILES, World, asking, chain_faults, until

from latchgate.core.scope import Scopes
from latchgate.core.secret import BASE62
from latchgate.manage import keys
from latchgate.manage.errors import InvalidError
from latchgate.manage.import_lines import ImportLine, made_line
from latchgate.manage.imports import Bounds, Defaults, Importer, Outcome
from latchgate.manage.listing import Query
from latchgate.signin import password
from latchgate.store import schema
from latchgate.store.journal import Actor

pytestmark = pytest.mark.both_databases

ACTOR = Actor(name="local:test", tenant_id=None)
ACME = """
provider = "acme"
title = "Acme"
dialect = "problem"

[kinds.imported_key]
pattern = "ak_(live|test)_[0-9A-Za-z]{24,64}"
headers = ["Authorization", "X-Acme-Key"]
hash = "sha256"

[kinds.account_password]

[services.acme]
title = "Acme"

[services.acme.scopes]
"acme:read" = "Read"
"acme:write" = "Write"

[[areas]]
path = "/acme"
service = "acme"
accepts = ["imported_key", "account_password"]
rules = [{ methods = ["GET"], scope = "acme:read" }, { methods = ["*"], scope = "acme:write" }]
"""


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    """Argon2id as ever, at a thousandth of its cost: what is tested is not how slow it is."""
    monkeypatch.setattr(password, "_MEMORY_KIB", 64)
    monkeypatch.setattr(password, "_LANES", 1)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.publish({**FILES, "acme.toml": ACME})
    yield made
    made.close()


def drawn(length: int = 40) -> str:
    return "ak_live_" + "".join(secrets.choice(BASE62) for _ in range(length))


def importer(world: World, **how) -> Importer:
    defaults = how.pop("defaults", None) or Defaults(line=ImportLine(owner=world.owner.user_id))
    return Importer(
        world.store,
        world.engine().policy,
        ACTOR,
        how.pop("tenant_id", world.owner.tenant_id),
        defaults=defaults,
        entropy=secrets.token_bytes,
        **how,
    )


def take(world: World, *lines: dict[str, Any], **how) -> Outcome:
    numbered = [(at, made_line(line)) for at, line in enumerate(lines, 1)]
    return importer(world, **how).take(numbered, now=time.time())


def asked(engine, headers: dict[str, str], *, target: str = "/acme/a", method: str = "GET"):
    return engine.decide(asking(headers=headers, target=target, method=method))


def basic(login: str, password: str) -> dict[str, Any]:
    return {"authorization": "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()}


def digests(world: World) -> dict[str, bytes]:
    return {row.id: bytes(row.digest) for row in world.all(sa.select(schema.credential))}


def problems(outcome: Outcome) -> dict[int, str]:
    return {failure.line: failure.problem for failure in outcome.failed}


def key_line(text: str, **more) -> dict[str, Any]:
    return {"kind": "acme.imported_key", "secret": text, "scopes": ["acme:read"], **more}


def test_a_foreign_key_decides_by_its_text_though_only_its_hash_is_known_elsewhere(world):
    raw, hashed = drawn(), drawn()
    told = hashlib.sha256(hashed.encode()).hexdigest()
    line = {"kind": "acme.imported_key", "hash": told, "scopes": ["acme:read"]}
    outcome = take(world, key_line(raw), line)
    assert (outcome.imported, outcome.failed) == (2, [])
    engine = world.engine()
    for text in (raw, hashed):
        for headers in ({"authorization": f"Bearer {text}"}, {"x-acme-key": text}):
            assert asked(engine, headers).allowed
        assert not asked(engine, {"x-acme-key": text + "0"}).allowed
        assert not asked(engine, {"x-acme-key": text}, method="PUT").allowed
    dump = "\n".join(map(str, world.all(sa.select(schema.credential))))
    assert raw not in dump
    assert told not in dump
    assert not chain_faults(world.database)


def test_an_imported_key_is_listed_and_revoked_like_any_other_key(world):
    text = drawn()
    assert take(world, key_line(text, name="theirs")).imported == 1
    engine, caller = world.engine(), world.acting(world.admin)
    assert asked(engine, {"x-acme-key": text}).allowed
    listed, _ = keys.listed(world.store, caller, Query(q="theirs"), now=time.time())
    (key,) = listed
    assert (key.kind, key.scopes, key.services) == ("acme.imported_key", ["acme:read"], ["acme"])
    keys.revoke(world.store, caller, key.id)
    assert not asked(engine, {"x-acme-key": text}).allowed


def test_a_native_key_comes_as_it_is_or_by_its_sha_256_or_sha_512(world):
    made = {name: f"wayscloud_storage_old{name}_Xy_Z789SecretKeyOfTheOldDays" for name in "abc"}
    lines = [
        {"secret": made["a"]},
        {"hash": hashlib.sha256(made["b"].encode()).hexdigest(), "id": "oldb"},
        {"hash": f"sha512:{hashlib.sha512(made['c'].encode()).hexdigest()}", "id": "oldc"},
    ]
    told = {"kind": "wayscloud.service_key", "services": ["storage"]}
    outcome = take(world, *({**told, **line} for line in lines))
    assert (outcome.imported, outcome.failed) == (3, [])
    engine, target = world.engine(), "/v1/storage/bucket/object"
    for text in made.values():
        assert asked(engine, {"authorization": f"Bearer {text}"}, target=target).allowed
        other = {"authorization": f"Bearer {text}0"}
        assert not asked(engine, other, target=target).allowed
    # The hash that was stolen with the old database opens nothing.
    stolen = {"authorization": f"Bearer wayscloud_storage_oldb_{lines[1]['hash']}"}
    assert not asked(engine, stolen, target=target).allowed


def test_what_is_imported_is_bounded_by_what_its_owner_may_do_then(world):
    owner = world.somebody("acme:read", tenant_id=world.owner.tenant_id)
    text = drawn()
    line = key_line(text, owner=owner.user_id, scopes=["acme:read", "acme:write"])
    assert take(world, line).imported == 1
    engine = world.engine()
    assert asked(engine, {"x-acme-key": text}).allowed
    assert not asked(engine, {"x-acme-key": text}, method="PUT").allowed


def test_each_wrong_line_is_told_and_the_rest_goes_in(world):
    text = drawn()
    wrong: dict[str, dict[str, Any]] = {
        "kind: 'acme.nothing'": key_line(drawn(), kind="acme.nothing"),
        "does not match the pattern": key_line("ak_live_short"),
        "not random": key_line("ak_live_" + "a" * 40),
        "give either secret or hash": key_line(drawn(), hash="0" * 64),
        "sha256 in 64": {"kind": "acme.imported_key", "hash": "zz", "scopes": ["acme:read"]},
        "scopes: acme:fly not among": key_line(drawn(), scopes=["acme:fly"]),
        "scopes: * not among": key_line(drawn(), scopes=["*"], services=["acme"]),
        "services: storage": key_line(drawn(), scopes=["storage:read"]),
        "services: name": {"kind": "acme.imported_key", "secret": drawn()},
        "owner: the tenant has no user": key_line(drawn(), owner="nobody"),
        "project: the tenant has none": key_line(drawn(), project="nowhere"),
        "networks": key_line(drawn(), networks=["300.0.0.1"]),
        "expires_at: is over": key_line(drawn(), expires_at="2001-01-01T00:00:00Z"),
        "expires_at: 'soon'": key_line(drawn(), expires_at="soon"),
        "created_at: is still": key_line(drawn(), created_at="2999-01-01T00:00:00Z"),
        "id: a hash needs": {"kind": "wayscloud.service_key", "hash": "0" * 64},
        "hash: must be SHA-256": {"kind": "wayscloud.service_key", "hash": "0" * 40, "id": "x"},
        "hash: is no hash": {"kind": "acme.account_password", "login": "ada", "hash": "secret"},
        "by its hash": {"kind": "acme.account_password", "login": "ada", "secret": "secret"},
        "login: 'π'": {"kind": "acme.account_password", "login": "π", "hash": "0" * 40},
        "an earlier line": {"kind": "wayscloud.service_key", "secret": "wayscloud_dns_one_secret2"},
    }
    first: dict[str, Any] = {"kind": "wayscloud.service_key", "secret": "wayscloud_dns_one_secret1"}
    first["services"] = wrong["an earlier line"]["services"] = ["dns"]
    lines = [first, *wrong.values(), key_line(text), key_line(text)]
    outcome = take(world, *lines)
    told = problems(outcome)
    assert list(told) == list(range(2, len(wrong) + 2))
    for problem, wanted in zip(told.values(), wrong, strict=True):
        assert wanted in problem
    assert (outcome.imported, outcome.skipped) == (2, 1)
    for line in lines:
        for secret in (line.get("secret"), line.get("hash")):
            assert secret is None or secret == "secret" or secret not in str(told)


def test_a_second_run_skips_what_is_there_and_tells_what_is_there_otherwise(world):
    key, service = drawn(), "wayscloud_dns_one_secret1"
    strong = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    weak = (
        "{SHA}" + base64.b64encode(hashlib.sha1(b"right", usedforsecurity=False).digest()).decode()
    )
    lines: list[dict[str, Any]] = [
        key_line(key),
        {"kind": "wayscloud.service_key", "secret": service, "services": ["dns"]},
        {"kind": "acme.account_password", "login": "ada", "hash": strong},
        {"kind": "acme.account_password", "login": "bob", "hash": weak},
    ]
    lines[3]["owner"] = world.somebody(tenant_id=world.owner.tenant_id).user_id
    assert take(world, *lines).imported == 4
    before, head = digests(world), world.head()
    again = take(world, *lines)
    assert (again.imported, again.skipped, again.failed) == (0, 4, [])
    assert (digests(world), world.head()) == (before, head)
    lines[1] |= {"secret": service + "x"}
    lines[3] |= {
        "hash": "{SHA}"
        + base64.b64encode(hashlib.sha1(b"left", usedforsecurity=False).digest()).decode()
    }
    other = take(world, *lines)
    assert (other.imported, other.skipped) == (0, 2)
    assert set(problems(other)) == {2, 4}
    assert digests(world) == before


def test_a_dry_run_says_exactly_what_would_happen_and_changes_nothing(world):
    lines = [key_line(drawn()), key_line("short"), key_line(drawn(), owner="new user")]
    line = ImportLine(owner=world.owner.user_id, project=world.owner.project_id)
    defaults = Defaults(line=line, create_users=True)
    before, head = digests(world), world.head()
    said = take(world, *lines, defaults=defaults, dry_run=True)
    assert (digests(world), world.head()) == (before, head)
    done = take(world, *lines, defaults=defaults)
    assert (said.imported, said.skipped, said.users) == (2, 0, 1)
    assert (done.imported, done.skipped, done.users, done.failed) == (2, 0, 1, said.failed)


def test_a_missing_owner_is_made_with_the_role_that_was_named_and_with_nothing_else(world):
    tenant = world.owner.tenant_id
    role = world.role(tenant, ["acme:read"])
    line = ImportLine(project=world.owner.project_id)
    text = drawn()
    defaults = Defaults(line=line, create_users=True, user_role=role)
    assert take(world, key_line(text, owner="newcomer"), defaults=defaults).users == 1
    assert asked(world.engine(), {"x-acme-key": text}).allowed
    assert take(world, key_line(drawn(), owner="newcomer"), defaults=defaults).users == 0


def test_nothing_is_imported_for_a_suspended_tenant(world):
    owner = world.somebody()
    with world.changing() as change:
        change.execute(
            sa.update(schema.tenant)
            .where(schema.tenant.c.id == owner.tenant_id)
            .values(active=False)
        )
    with pytest.raises(InvalidError, match="suspended"):
        take(world, key_line(drawn(), owner=owner.user_id), tenant_id=owner.tenant_id)


def test_nobody_hands_out_what_they_do_not_hold(world):
    outcome = take(world, key_line(drawn()), bounds=Bounds(Scopes.of(["acme:write"])))
    assert problems(outcome) == {1: "scopes: you don't hold acme:read"}
    line = {"kind": "acme.account_password", "login": "ada", "hash": "0" * 40}
    assert "don't hold *" in problems(take(world, line, bounds=Bounds(Scopes.of(["acme:read"]))))[1]


def test_an_imported_password_opens_and_its_hash_is_replaced_once_however_many_use_it(world):
    hashed = bcrypt.hashpw("grüße".encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
    outcome = take(world, {"kind": "acme.account_password", "login": "Ada", "hash": hashed})
    assert (outcome.imported, outcome.failed) == (1, [])
    engines = [world.engine() for _ in range(3)]
    assert not asked(engines[0], basic("ada", "wrong")).allowed
    assert not world.rehashed
    right: list[bool] = []

    def use(engine) -> None:
        right.append(asked(engine, basic("ada", "grüße")).allowed)

    threads = [threading.Thread(target=use, args=(engine,)) for engine in engines for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert right == [True] * 6
    until(lambda: any(world.rehashed), seconds=30, what="the new hash")
    for pool in world._passwords:
        pool.close()
    actions = Counter(row.action for row in world.journal())
    assert actions["credential.rehash"] == 1
    (kept,) = [one for one in digests(world).values() if one.startswith(b"$argon2id$v=19$m=64,")]
    assert hashed.encode() not in digests(world).values()
    fresh = world.engine()
    assert asked(fresh, basic("ada", "grüße")).allowed
    assert not asked(fresh, basic("ada", "wrong")).allowed
    # And the file can be run again.
    assert (
        take(world, {"kind": "acme.account_password", "login": "Ada", "hash": hashed}).skipped == 1
    )
    assert kept in digests(world).values()
    assert not chain_faults(world.database)


def test_an_application_credential_of_keystone_comes_with_roles_rules_and_its_hash(world):
    role = world.role(world.owner.tenant_id, ["storage:read"])
    secret = secrets.token_urlsafe(64)
    hashed = bcrypt.hashpw(secret.encode()[:72], bcrypt.gensalt(4)).decode()
    line = {
        "kind": "kakaocloud.access_key",
        "id": "c" * 32,
        "name": "backup",
        "hash": hashed,
        "roles": [role],
        "access_rules": [{"service": "storage", "method": "GET", "path": "/v1/**"}],
        "project": world.owner.project_id,
    }
    outcome = take(world, line)
    assert (outcome.imported, outcome.failed) == (1, [])
    row = world.one(sa.select(schema.credential).where(schema.credential.c.id == "c" * 32))
    assert row.roles == f'["{role}"]'
    assert '"GET"' in row.access_rules
    assert bytes(row.digest) == f"first72:{hashed}".encode()
    assert take(world, line).skipped == 1
    taken = take(world, {**line, "id": "d" * 32})
    assert problems(taken) == {1: "name: is taken already"}


def test_many_lines_go_in_as_fast_as_a_move_needs_and_the_chain_holds(world):
    lines = [(at, made_line(key_line(drawn()))) for at in range(1, 5_001)]
    with_batches = importer(world)
    for at in range(0, len(lines), 2_000):
        with_batches.take(lines[at : at + 2_000], now=time.time())
    count = sa.select(sa.func.count()).where(schema.credential.c.kind == "acme.imported_key")
    assert world.one(count)[0] == 5_000
    assert not chain_faults(world.database)
