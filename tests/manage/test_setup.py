"""The first records, and the way back in."""

from __future__ import annotations

import re
import secrets

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, MadeKey, World, asking, chain_faults, compiled

from latchgate.core.model import Noun
from latchgate.core.secret import BASE62
from latchgate.manage import records, setup
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate

pytestmark = pytest.mark.both_databases

HASH = "hash of "


@pytest.fixture
def store(tmp_path):
    migrate(tmp_path / "latchgate.db", "main")
    made = Store(tmp_path / "latchgate.db", clock=lambda: 1_000.0)
    yield made
    made.close()


def initialize(store, **how):
    with_entropy = {"entropy": secrets.token_bytes, "hash_password": lambda text: HASH + text} | how
    return setup.initialize(store, compiled(FILES, 1), FILES, **with_entropy)


def rows(store, table):
    with store.reading() as connection:
        return connection.execute(sa.select(table)).all()


def recover(world, who="root"):
    return setup.recover(world.store, compiled(FILES, 1), who=who, entropy=secrets.token_bytes)


def test_there_is_one_tenant_one_project_one_user_with_every_scope_and_a_token(store):
    first = initialize(store)
    (tenant,) = rows(store, schema.tenant)
    (project,) = rows(store, schema.project)
    (user,) = rows(store, schema.user)
    (role,) = rows(store, schema.role)
    (assignment,) = rows(store, schema.role_assignment)
    password, token = rows(store, schema.credential)
    assert (password.kind, token.kind) == ("latchgate.account_password", "latchgate.service_key")
    assert (first.tenant_id, first.tenant, first.admin) == (tenant.id, "default", "admin")
    assert (user.name, user.active, user.tenant_id) == ("admin", True, tenant.id)
    assert (project.tenant_id, project.active) == (tenant.id, True)
    assert (role.tenant_id, role.scopes) == (tenant.id, '["*"]')
    assert assignment == (user.id, project.id, role.id)
    assert (token.owner_id, token.project_id, token.tenant_id) == (user.id, project.id, tenant.id)
    assert msgspec.json.decode(token.services) == ["manage", "own", "operator", "verifier"]
    assert (token.scopes, token.expires_at, token.revoked_at) == ('["*"]', None, None)


def test_the_policy_is_published_as_version_1(store):
    initialize(store)
    (version,) = rows(store, schema.policy_version)
    assert (version.version, msgspec.json.decode(version.files)) == (1, FILES)


def test_every_first_record_stands_in_the_journal(store):
    initialize(store)
    journal = rows(store, schema.journal)
    assert [row.action for row in journal] == [
        "tenant.create",
        "project.create",
        "role.create",
        "user.create",
        "role.assign",
        "login.create",
        "basic.create",
        "login.change",
        "key.create",
        "policy.apply",
    ]
    assert {row.actor for row in journal} == {"local:init"}
    assert chain_faults(store.database) == []


def test_neither_password_nor_token_is_kept_or_written_into_the_journal(store):
    first = initialize(store)
    password, token = first.password.reveal(), first.token.reveal()
    kept, _ = rows(store, schema.credential)
    assert kept.digest == (HASH + password).encode()
    told = str(rows(store, schema.journal)) + str(rows(store, schema.user))
    assert password not in told
    assert token not in told
    assert HASH not in told


def test_the_password_is_made_by_the_system_and_long(store):
    password = initialize(store).password.reveal()
    assert len(password) == 24  # of base62: 142 bits
    assert set(password) <= set(BASE62)


def test_two_latchgates_share_nothing(store, tmp_path):
    migrate(tmp_path / "other.db", "main")
    other = Store(tmp_path / "other.db", clock=lambda: 1_000.0)
    one, two = initialize(store), initialize(other)
    assert one.tenant_id != two.tenant_id
    assert one.token.reveal() != two.token.reveal()
    assert one.password.reveal() != two.password.reveal()
    other.close()


def test_a_second_initialization_is_refused_and_changes_nothing(store):
    initialize(store)
    before = rows(store, schema.journal)
    with pytest.raises(ConflictError):
        initialize(store)
    assert rows(store, schema.journal) == before
    assert len(rows(store, schema.credential)) == 2


def test_an_initialization_that_fails_leaves_no_record(store):
    def fail(_text):
        raise RuntimeError("no memory for the hash")

    with pytest.raises(RuntimeError):
        initialize(store, hash_password=fail)
    assert rows(store, schema.tenant) == rows(store, schema.journal) == []


def test_ids_are_random_and_say_what_they_are_of():
    ids = {records.new_id("t", secrets.token_bytes) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"t-[0-9a-hjkmnp-tv-z]{16}", one) for one in ids)


# --- recover


def test_a_recovered_token_opens_everything_the_first_one_did(world):
    issued = recover(world)
    key = MadeKey(issued.id, issued.secret.reveal(), world.owner)
    engine = world.engine()
    for target in ("/manage/v1/keys", "/manage/v1/policy"):
        assert engine.decide(asking(key, target=target)).allowed


def test_recovering_leaves_other_tokens_alone(world):
    recover(world)
    assert world.engine().decide(asking(world.admin, target="/manage/v1/keys")).allowed


def test_the_journal_says_who_recovered(world):
    issued = recover(world, who="operator")
    row = world.journal()[-1]
    assert (row.actor, row.action, row.record) == ("local:operator", "key.create", issued.id)
    assert issued.secret.reveal() not in row.detail
    assert chain_faults(world.database) == []


def test_recovering_needs_an_administrator_who_is_active(world):
    table = schema.user
    world.change(
        Noun.USER,
        world.owner.user_id,
        sa.update(table).where(table.c.id == world.owner.user_id).values(active=False),
    )
    before = world.head()
    with pytest.raises(NotFoundError, match="no active user"):
        recover(world)
    assert world.head() == before


def test_recovering_never_picks_a_user_with_less_than_every_scope(world):
    world.somebody("manage:keys.read")
    table = schema.role
    world.change(
        Noun.ROLE,
        world.role_id,
        sa.update(table).where(table.c.id == world.role_id).values(scopes='["manage:keys.read"]'),
    )
    with pytest.raises(NotFoundError):
        recover(world)


def test_the_first_administrator_gets_it_when_there_are_several(tmp_path):
    now = [2_000_000_000.0]
    world = World(tmp_path, clock=lambda: now[0])
    world.somebody("*")
    assert world.acting(MadeKey(recover(world).id, "", world.owner)).owner.id == world.owner.user_id
    world.close()


@pytest.mark.parametrize("whose", ["tenant_id", "project_id"])
def test_a_recovered_token_works_even_if_the_first_administrators_tenant_or_project_is_disabled(
    world, whose
):
    # Else the way back in would end at a door that stays shut.
    other = world.somebody("*")
    table, noun = {
        "tenant_id": (schema.tenant, Noun.TENANT),
        "project_id": (schema.project, Noun.PROJECT),
    }[whose]
    record = getattr(world.owner, whose)
    world.change(noun, record, sa.update(table).where(table.c.id == record).values(active=False))
    issued = recover(world)
    key = MadeKey(issued.id, issued.secret.reveal(), other)
    assert world.engine().decide(asking(key, target="/manage/v1/keys")).allowed
