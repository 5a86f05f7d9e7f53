"""What proves whose a leaked secret is, however it is kept and whatever it looks like."""

from __future__ import annotations

import hashlib
import secrets
import string
import time
from dataclasses import replace

import bcrypt
import msgspec
import pytest
import sqlalchemy as sa

from latchgate.core.kinds import ImportedKey
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.manage import leak_proof, leaks
from latchgate.manage.import_lines import made_line
from latchgate.manage.imports import Defaults, Importer
from latchgate.manage.leaks import LeakedToken, LeakLookup
from latchgate.store import schema
from latchgate.store.journal import Actor

ACTOR = Actor(name="local:test", tenant_id=None)
KIND = "wayscloud.service_key"


@pytest.fixture
def policy(world):
    return world.engine().policy


def words(length):
    """Return random letters alone: what looks like no secret, and is one."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(length))


def taken(world, policy, **line):
    importer = Importer(
        world.store,
        policy,
        ACTOR,
        world.owner.tenant_id,
        defaults=Defaults(),
        entropy=secrets.token_bytes,
    )
    told = made_line({"owner": world.owner.user_id} | line)
    outcome = importer.take([(1, told)], now=time.time())
    assert (outcome.imported, outcome.failed) == (1, [])


def record_of(world, policy, text):
    found = leak_proof.proven(world.store, policy, text)
    return found.row["id"] if found is not None else None


def replaced(world, **values):
    """Make a key whose row is that of another kind."""
    key, table = world.key(), schema.credential
    with world.changing() as change:
        change.execute(sa.update(table).where(table.c.id == key.id).values(values))


@pytest.mark.parametrize("drawn", [secrets.token_hex, words])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", None])
def test_a_service_key_of_another_system_is_proven_by_its_text(world, policy, algorithm, drawn):
    key_id = secrets.token_hex(6)
    text = f"wayscloud_storage_{key_id}_{drawn(20)}"
    if algorithm is None:
        taken(world, policy, kind=KIND, secret=text, services=("storage",))
    else:
        told = hashlib.new(algorithm, text.encode()).hexdigest()
        taken(world, policy, kind=KIND, id=key_id, hash=told, services=("storage",))
    assert record_of(world, policy, f"wayscloud_storage_{key_id}_{drawn(20)}") is None
    assert record_of(world, policy, text) == key_id


@pytest.mark.parametrize("drawn", [secrets.token_hex, words])
@pytest.mark.parametrize("algorithm", ["latchgate", "sha256"])
@pytest.mark.parametrize("anchor", ["ak_", ""])
def test_an_imported_key_of_any_shape_is_proven(world, policy, anchor, algorithm, drawn):
    told = {"pattern": f"{anchor}[0-9a-z]{{26,40}}", "hash": algorithm}
    kind = ImportedKey.configured("acme.imported_key", told)
    text = anchor + drawn(14)[:28] + words(12)
    made = kind.of_text(text)
    replaced(world, id=made.credential_id, digest=made.digest, kind=kind.name)
    known = replace(policy, kinds={**policy.kinds, kind.name: kind})
    assert record_of(world, known, anchor + words(30)) is None
    assert record_of(world, known, text) == made.credential_id


def test_an_api_token_of_letters_alone_is_proven(world, policy):
    kind = policy.kinds["upcloud.api_token"]
    text = f"{kind.prefix}_" + "".join(secrets.choice("ABCDEFGHJKMNPQRS") for _ in range(26))
    claimed = kind.claim(text)
    replaced(world, id=claimed.credential_id, digest=claimed.digest, kind=kind.name)
    assert record_of(world, policy, text) == claimed.credential_id


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_lookup_knows_a_foreign_hash_by_what_a_scan_sends_of_it(world, policy, algorithm):
    key_id = secrets.token_hex(6)
    text = f"wayscloud_storage_{key_id}_{secrets.token_hex(20)}"
    told = hashlib.new(algorithm, text.encode()).hexdigest()
    taken(world, policy, kind=KIND, id=key_id, hash=told, services=("storage",))
    kind = policy.kinds[KIND]
    assert isinstance(kind, ServiceKey)
    read = kind.recognise(text)
    assert read is not None
    sent = [
        {"kind": KIND, "digest": f"{word.decode()}:{raw.hex()}"}
        for word, raw in (one.split(b":", 1) for one in read.others)
    ]
    asked = msgspec.convert({"digests": sent}, LeakLookup)
    owner = world.acting(world.key())
    (found,) = leaks.known(world.store, owner, asked, now=time.time())
    assert (found.credential_id, found.digest.partition(":")[0]) == (key_id, algorithm)
    # Without the word it is a digest of our own, which nobody has.
    bare = [{"kind": KIND, "digest": one["digest"].rpartition(":")[2]} for one in sent]
    asked = msgspec.convert({"digests": bare}, LeakLookup)
    assert leaks.known(world.store, owner, asked, now=time.time()) == []


def test_an_access_key_under_a_slow_hash_is_proven_by_its_id_and_work(world, policy):
    secret = secrets.token_urlsafe(64)
    hashed = bcrypt.hashpw(secret.encode()[:72], bcrypt.gensalt(4)).decode()
    role = world.role(world.owner.tenant_id, ["storage:read"])
    key_id = "c" * 32
    line = {"kind": "kakaocloud.access_key", "id": key_id, "name": "backup", "roles": (role,)}
    taken(world, policy, **line, hash=hashed, project=world.owner.project_id)
    assert record_of(world, policy, secret) is None
    guess = leak_proof.guessed(world.store, policy, secret, key_id)
    assert guess is not None
    assert (guess.account, guess.stored) == (f"access_key:{key_id}", f"first72:{hashed}".encode())
    assert secret not in repr(guess)
    # An unknown id takes the same work, and so does one of another kind; what we made takes none.
    for other in ("d" * 32, world.key().id):
        nobody = leak_proof.guessed(world.store, policy, secret, other)
        assert nobody is not None
        assert (nobody.stored, nobody.account) == (None, f"access_key:{other}")
    kind = policy.issued("kakaocloud.access_key")
    ours = kind.issue(None, secrets.token_bytes(kind.entropy_bytes))
    assert leak_proof.guessed(world.store, policy, ours.secret.reveal(), key_id) is None
    assert leak_proof.guessed(world.store, policy, "a" * 1_025, key_id) is None
    # An id without the work proves nothing.
    told = LeakedToken(secret, "", "log", key_id)

    def report(*, worked_out):
        return leaks.report(
            world.store,
            policy,
            ACTOR,
            told,
            redact=str,
            entropy=secrets.token_bytes,
            worked_out=worked_out,
        )

    assert report(worked_out=False)[0] is None
    leak, _ = report(worked_out=True)
    assert (leak.record, leak.action) == (key_id, "revoke")
    table = schema.credential
    row = world.one(sa.select(table).where(table.c.id == key_id))
    assert row.revoked_at is not None
