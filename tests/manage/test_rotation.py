"""Rotation: a successor that opens the same and no more, a grace that ends by the clock."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, MadeKey, Owner, asking, chain_faults, compiled

from latchgate.core.event import Event
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Decision, Token
from latchgate.core.reason import Reason
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import access_keys, basic, disabling, keys, lifetimes, rotation, tokens
from latchgate.manage.actor import Caller
from latchgate.manage.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StaleError,
    StepUpError,
)
from latchgate.manage.idempotency import Once
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.manage.rotation import Asked
from latchgate.manage.rotation_terms import WEEK, RotationSpec
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.verify.gather import minted
from latchgate.verify.walk import Claim

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)
DAY = 86_400.0


class Clock:
    """A time that tests set."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(tmp_path, clock):
    from tests.world import World

    made = World(tmp_path, clock=clock)
    yield made
    made.close()


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def rotate(world, caller, record, *, rows=None, once=None, match=None, **spec):
    asked = Asked(record, RotationSpec(**spec), world.clock(), once, match or IfMatch(None))
    which = rows if rows is not None else keys.rows(caller)
    found: tuple[Any, Any, int] = rotation.rotate(
        world.store, POLICY, caller, asked, rows=which, entropy=secrets.token_bytes
    )
    return found


def row_of(world, record):
    return world.one(sa.select(schema.credential).where(schema.credential.c.id == record))


def decide(world, text):
    return world.engine().decide(asking(headers={"authorization": f"Bearer {text}"}))


def test_a_successor_opens_the_same_for_the_same_owner(world, admin):
    made = world.key(
        "storage",
        scopes=["storage:read"],
        networks=["192.0.2.0/24"],
        environment="staging",
        external_id="crm/7",
        metadata={"team": "blue"},
        description="two\nlines",
    )
    rotated, issued, n = rotate(world, admin, made.id)
    old, new = row_of(world, made.id), row_of(world, rotated.successor.id)
    own = {"id", "digest", "hint", "created_at", "created_by", "version", "predecessor_id"}
    own |= {"expires_at", "superseded_by", "superseded_at"}
    for column in set(schema.credential.c.keys()) - own:
        assert getattr(new, column) == getattr(old, column), column
    assert (new.predecessor_id, new.expires_at, new.superseded_by) == (made.id, None, None)
    assert (old.superseded_by, old.superseded_at) == (new.id, world.clock())
    assert (old.expires_at, rotated.ends_at) == (world.clock() + WEEK,) * 2
    assert n == old.version
    assert issued.secret.reveal().startswith(f"wayscloud_storage_{new.id}_")
    assert issued.secret.reveal() not in "".join(row.detail for row in world.journal())
    assert chain_faults(world.database) == []


def test_both_work_through_the_grace_and_the_old_one_ends_at_its_edge(world, admin, clock):
    made = world.key()
    rotated, issued, _ = rotate(world, admin, made.id, grace="2d")
    assert decide(world, made.text).allowed
    assert decide(world, issued.secret.reveal()).allowed
    clock.now = rotated.ends_at - 0.001
    assert decide(world, made.text).allowed
    clock.now = rotated.ends_at
    assert decide(world, made.text).reason is Reason.CREDENTIAL_SUPERSEDED
    assert decide(world, issued.secret.reveal()).allowed


def test_a_clock_that_was_set_back_gives_nobody_more_than_the_grace(world, admin, clock):
    made = world.key()
    rotated, _, _ = rotate(world, admin, made.id, grace="1h")
    clock.now -= 30 * DAY
    assert decide(world, made.text).allowed
    clock.now = rotated.ends_at + 1
    assert decide(world, made.text).reason is Reason.CREDENTIAL_SUPERSEDED


def test_the_end_that_a_key_had_is_not_put_off_by_a_grace(world, admin, clock):
    made = world.key(expires_at=clock.now + DAY)
    rotated, _, _ = rotate(world, admin, made.id, grace="7d")
    assert rotated.ends_at == clock.now + DAY


def test_without_a_grace_the_old_one_ends_in_the_same_change(world, admin):
    made = world.key()
    rotated, issued, _ = rotate(world, admin, made.id, grace="0")
    assert rotated.revoked_at == world.clock()
    refused = decide(world, made.text)
    assert refused.reason is Reason.CREDENTIAL_SUPERSEDED
    assert decide(world, issued.secret.reveal()).allowed


def test_a_successor_lives_as_long_as_the_old_one_was_made_for(world, admin, clock):
    made = world.key(expires_at=clock.now + 90 * DAY)
    clock.now += 80 * DAY
    rotated, _, _ = rotate(world, admin, made.id)
    assert rotated.successor.expires_at == clock.now + 90 * DAY
    again, _, _ = rotate(world, admin, rotated.successor.id, expires_in="5d")
    assert again.successor.expires_at == clock.now + 5 * DAY
    stays, _, _ = rotate(world, admin, world.key().id)
    assert stays.successor.expires_at is None


@pytest.mark.parametrize("kind", ["*", "wayscloud.service_key"])
def test_a_successor_lives_no_longer_than_its_tenant_lets_it(world, admin, clock, kind):
    forever, year, week = (
        world.key(),
        world.key(expires_at=clock.now + 365 * DAY),
        world.key(expires_at=clock.now + 7 * DAY),
    )
    told = lifetimes.LifetimeSpec(maximum_life="30d")
    lifetimes.set_lifetime(world.store, POLICY, admin, kind, told)
    before = world.head()
    later = {"expires_at": "1970-02-12T00:00:00Z"}
    for spec, field in (({"expires_in": "31d"}, "expires_in"), (later, "expires_at")):
        with pytest.raises(InvalidError, match="at most 30d") as refused:
            rotate(world, admin, year.id, **spec)
        assert [name for name, _ in refused.value.faults] == [field]
    assert world.head() == before
    ends = [rotate(world, admin, one.id)[0].successor.expires_at for one in (forever, year, week)]
    assert ends == [clock.now + days * DAY for days in (30, 30, 7)]
    asked, _, _ = rotate(world, admin, world.key().id, expires_in="30d")
    assert asked.successor.expires_at == clock.now + 30 * DAY


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"grace": "91d"}, "grace"),
        ({"grace": "soon"}, "grace"),
        ({"grace": "-1d"}, "grace"),
        ({"until_quiet": "8d"}, "until_quiet"),
        ({"grace": "0", "until_quiet": "1h"}, "until_quiet"),
        ({"expires_in": "1d", "expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "1970-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_what_cant_be_asked_for_is_said_and_nothing_changes(world, admin, spec, field):
    made, before = world.key(), world.head()
    with pytest.raises(InvalidError) as refused:
        rotate(world, admin, made.id, **spec)
    assert [name for name, _ in refused.value.faults] == [field]
    assert world.head() == before


def test_a_second_rotation_is_a_conflict_that_names_the_successor(world, admin):
    made = world.key()
    rotated, _, _ = rotate(world, admin, made.id)
    with pytest.raises(ConflictError, match=rotated.successor.id):
        rotate(world, admin, made.id)


def test_what_ended_or_is_disabled_is_not_rotated(world, admin, clock):
    revoked, expired, disabled = world.key(), world.key(expires_at=clock.now + 1), world.key()
    keys.revoke(world.store, admin, revoked.id)
    disabling.disable(world.store, admin, disabled.id)
    clock.now += 1
    for made, why in ((revoked, "revoked"), (expired, "expired"), (disabled, "disabled")):
        with pytest.raises(ConflictError, match=why):
            rotate(world, admin, made.id)


def test_revoking_the_old_one_in_its_grace_leaves_the_successor(world, admin):
    made = world.key()
    rotated, issued, _ = rotate(world, admin, made.id)
    keys.revoke(world.store, admin, made.id)
    assert not decide(world, made.text).allowed
    assert decide(world, issued.secret.reveal()).allowed
    assert rotation.shown(world.store, made.id, keys.rows(admin)).revoked_at == world.clock()
    assert rotated.revoked_at is None


def test_a_repeat_finds_the_rotation_without_the_secret(world, admin):
    made, once = world.key(), Once("k", b"r")
    rotated, issued, _ = rotate(world, admin, made.id, once=once)
    again, none, _ = rotate(world, admin, made.id, once=once)
    assert issued is not None
    assert none is None
    assert again == rotated


def test_only_the_version_that_was_meant_is_rotated(world, admin):
    made = world.key()
    with pytest.raises(StaleError):
        rotate(world, admin, made.id, match=IfMatch(frozenset({1})))


def test_what_stands_below_moves_to_the_successor_and_without_a_grace_ends(world, admin):
    parent, leaked = world.key(), world.key()
    child, orphan = world.key(parent=parent), world.key(parent=leaked)
    rotated, _, _ = rotate(world, admin, parent.id)
    assert row_of(world, child.id).parent_id == rotated.successor.id
    keys.revoke(world.store, admin, parent.id)
    assert decide(world, child.text).allowed
    rotate(world, admin, leaked.id, grace="0")
    assert row_of(world, orphan.id).parent_id == leaked.id
    assert decide(world, orphan.text).reason is Reason.PARENT_GONE


def test_a_key_of_another_tenant_is_not_there(world):
    made = world.key()
    stranger = world.acting(world.key("manage", owner=world.somebody()))
    with pytest.raises(NotFoundError):
        rotate(world, stranger, made.id)


def test_a_rotation_tells_whoever_listens(world, admin):
    made = world.key()
    rotated, _, _ = rotate(world, admin, made.id)
    told = world.one(sa.select(schema.notification))
    assert (told.event, told.record) == (Event.CREDENTIAL_ROTATED, made.id)
    data = msgspec.json.decode(told.data)
    assert (data["credential_id"], data["successor"]) == (made.id, rotated.successor.id)
    assert data["ends_at"] == "1970-01-19T13:46:40Z"  # people read it, in e-mails


def test_states_of_lists_tell_the_grace_from_its_end(world, admin, clock):
    made, off = world.key(name="turned"), world.key(name="off")
    rotated, _, _ = rotate(world, admin, made.id)
    disabling.disable(world.store, admin, off.id)

    def ids(state):
        query = Query(limit=100, after=None, q=None, sort=(), filters={"state": state})
        return {one.id for one in keys.listed(world.store, admin, query, now=clock.now)[0]}

    assert ids("superseded") == {made.id}
    assert ids("disabled") == {off.id}
    assert rotated.successor.id in ids("active")
    assert not ids("active") & {made.id, off.id}
    clock.now = rotated.ends_at
    assert made.id in ids("expired")


# --- who may (ATTACKS D5.38, D5.41)


def test_an_expiring_key_never_gives_itself_a_longer_life(world, clock):
    owner = world.somebody()
    maker = world.key("manage", owner=owner, expires_at=clock.now + DAY)
    clock.now += DAY / 2
    caller = world.acting(maker)
    for spec in ({}, {"expires_in": "1d"}, {"expires_at": "2100-01-01T00:00:00Z"}):
        with pytest.raises(ForbiddenError, match="can't outlive"):
            rotate(world, caller, maker.id, **spec)
    rotated, _, _ = rotate(world, caller, maker.id, expires_in="12h")
    assert rotated.successor.expires_at == clock.now + DAY / 2


def test_a_restricted_credential_rotates_nothing_wider(world):
    owner = world.somebody()
    wide, everywhere = (
        world.key("storage", owner=owner),
        world.key(owner=owner, scopes=["storage:read"]),
    )
    narrow = world.acting(world.key("manage", owner=owner, scopes=["storage:read"]))
    with pytest.raises(ForbiddenError, match="opens all"):
        rotate(world, narrow, wide.id)
    bound = world.acting(world.key("manage", owner=owner, networks=["192.0.2.0/24"]))
    with pytest.raises(ForbiddenError, match=r"192\.0\.2\.0/24"):
        rotate(world, bound, everywhere.id)
    rotated, _, _ = rotate(world, narrow, everywhere.id)
    assert rotated.successor.name == "made by a test"


def test_rights_in_another_project_are_held_before_they_are_renewed(world):
    owner = world.somebody("storage:read")
    richer = world.project(owner.tenant_id)
    world.assign(owner.user_id, richer, world.role(owner.tenant_id, ["storage:write"]))
    there = world.key(owner=Owner(owner.tenant_id, richer, owner.user_id))
    caller = world.acting(world.key("manage", owner=owner), Scopes.of(["storage:read"]))
    all_here = msgspec.structs.replace(caller.grant.credential, scopes=ALL)
    grant = msgspec.structs.replace(caller.grant, credential=all_here)
    with pytest.raises(ForbiddenError, match="storage:write"):
        rotate(world, type(caller)(grant, None), there.id)


def test_an_administrator_needs_to_hold_what_somebody_elses_key_opens(world, admin):
    owner = world.somebody("storage:read", "storage:write", tenant_id=admin.tenant_id)
    all_of_it = world.key(owner=owner)
    scoped = world.key(owner=owner, scopes=["storage:read"])
    reader = world.acting(world.key("manage"), Scopes.of(["storage:read"]))
    with pytest.raises(ForbiddenError, match="storage:write"):
        rotate(world, reader, all_of_it.id)
    rotated, _, _ = rotate(world, reader, scoped.id)
    new = row_of(world, rotated.successor.id)
    assert (new.owner_id, new.project_id) == (owner.user_id, owner.project_id)
    rotate(world, admin, all_of_it.id)


def test_a_token_of_a_rotated_access_key_is_told_the_earlier_of_both_ends(world, admin, clock):
    asked = msgspec.convert({"name": "deploy"}, access_keys.AccessKeySpec)
    made, _, _ = access_keys.create(
        world.store, POLICY, admin, asked, now=world.clock(), entropy=secrets.token_bytes
    )
    rows = access_keys.rows(POLICY, admin, clock.now)
    rotated, _, _ = rotate(world, admin, made.id, rows=rows, grace="1h")
    source = world.acting(MadeKey(made.id, "", world.owner)).credential
    for ends_at, told in ((clock.now + 43_200, rotated.ends_at), (clock.now + 60,) * 2):
        token = Token("t", made.id, "p", (), issues=False, issued_at=clock.now, expires_at=ends_at)
        credential = minted("kakaocloud.project_token", token, source, b"")
        assert (credential.expires_at, credential.superseded_at) == (told, clock.now)


def test_what_may_not_make_keys_rotates_none(world, admin):
    made = world.key()
    held = msgspec.structs.replace(admin.credential, issues=False)
    grant = msgspec.structs.replace(admin.grant, credential=held)
    with pytest.raises(ForbiddenError, match="may not make others"):
        rotate(world, type(admin)(grant, None), made.id)


# --- API tokens


def token(world, caller, **spec):
    told = {"name": "t", "expires_in": "10h"} | spec
    made, issued, _ = tokens.create(
        world.store,
        POLICY,
        caller,
        msgspec.convert(told, tokens.TokenSpec),
        now=world.clock(),
        entropy=secrets.token_bytes,
    )
    assert issued is not None
    return made, issued.secret.reveal()


def test_a_token_is_rotated_by_its_owner_alone(world, admin, clock):
    made, text = token(world, admin)
    rows = tokens.rows(POLICY, admin)
    rotated, issued, _ = rotate(world, admin, made.id, rows=rows, grace="1h")

    def opens(text):
        headers = {"authorization": f"Bearer {text}"}
        asked = asking(target="/1.3/server", headers=headers, client="127.0.0.1")
        return world.engine().decide(asked).allowed

    new = issued.secret.reveal()
    assert opens(text)
    assert opens(new)
    assert rotated.successor.expires_at == clock.now + 10 * 3_600
    clock.now += 3_600
    assert not opens(text)
    assert opens(new)
    other = world.acting(world.key("manage", owner=world.somebody("*", tenant_id=admin.tenant_id)))
    with pytest.raises(NotFoundError):
        rotate(world, other, rotated.successor.id, rows=tokens.rows(POLICY, other))


def test_a_token_never_lives_longer_than_tokens_may(world, admin):
    made, _ = token(world, admin)
    with pytest.raises(InvalidError, match="8760h"):
        rotate(world, admin, made.id, rows=tokens.rows(POLICY, admin), expires_in="366d")


def test_a_token_rotates_only_what_was_made_with_it(world, admin):
    maker, _ = token(world, admin, can_create_tokens=True)
    sibling, _ = token(world, admin)
    grant = msgspec.structs.replace(
        admin.grant,
        credential=msgspec.structs.replace(admin.credential, id=maker.id, kind="upcloud.api_token"),
    )
    with_token = type(admin)(grant, None)
    child, _ = token(world, with_token)
    rows = tokens.rows(POLICY, with_token)
    for other in (sibling.id, maker.id):
        with pytest.raises(ForbiddenError, match="made with it"):
            rotate(world, with_token, other, rows=rows)
    rotated, _, _ = rotate(world, with_token, child.id, rows=rows)
    assert row_of(world, rotated.successor.id).parent_id == maker.id


# --- what a login finds: app passwords, and access keys by their name


def basic_of(login, password):
    told = base64.b64encode(f"{login}:{password}".encode()).decode()
    asked = asking(method="PROPFIND", target="/dav/a", headers={"authorization": f"Basic {told}"})
    return msgspec.structs.replace(asked, tls=True)


def enabled(world, admin):
    found, issued, _ = basic.enable(
        world.store,
        POLICY,
        admin,
        admin.owner.id,
        spec=basic.BasicSpec(login="ada"),
        now=world.clock(),
        entropy=secrets.token_bytes,
    )
    assert issued is not None
    return found, issued.secret.reveal()


def turn(world, admin, **spec):
    """Rotate the administrator's app password; returns the new one."""
    which = basic.rotated_rows(world.store, POLICY, admin, admin.owner.id, "teracloud")
    rotated, issued, _ = rotate(world, admin, which[0], rows=which[1], **spec)
    return rotated, issued.secret.reveal()


def test_an_app_password_has_no_grace_unless_one_is_asked_for(world, admin):
    _, first = enabled(world, admin)
    engine = world.engine()
    assert engine.decide(basic_of("ada", first)).allowed
    _, second = turn(world, admin)
    refused = engine.decide(basic_of("ada", first))
    assert (refused.allowed, refused.reason) == (False, Reason.CREDENTIAL_SUPERSEDED)
    assert engine.decide(basic_of("ada", second)).allowed


def test_a_login_takes_each_password_that_is_in_its_grace_and_no_other(world, admin, clock):
    _, first = enabled(world, admin)
    _, second = turn(world, admin, grace="2d")
    clock.now += DAY
    rotated, third = turn(world, admin, grace="2d")
    engine = world.engine()
    for _warm in range(2):
        for password in (first, second, third, first):
            assert engine.decide(basic_of("ada", password)).allowed
        wrong = engine.decide(basic_of("ada", _another(world)))
        assert wrong.reason is Reason.SECRET_WRONG
        assert wrong.grant is None
    clock.now += DAY
    assert engine.decide(basic_of("ada", first)).reason is Reason.CREDENTIAL_SUPERSEDED
    assert engine.decide(basic_of("ada", second)).allowed
    clock.now = rotated.ends_at
    assert engine.decide(basic_of("ada", second)).reason is Reason.CREDENTIAL_SUPERSEDED
    assert engine.decide(basic_of("ada", third)).allowed


def _another(world):
    kind = POLICY.issued("teracloud.app_password")
    return kind.issue(Spec(service=""), secrets.token_bytes(kind.entropy_bytes)).secret.reveal()


@pytest.mark.parametrize("end", [basic.disable, basic.reissue])
def test_taking_basic_back_ends_those_in_their_grace_too(world, admin, end):
    _, first = enabled(world, admin)
    turn(world, admin, grace="2d")
    more = {"now": world.clock(), "entropy": secrets.token_bytes} if end is basic.reissue else {}
    end(world.store, POLICY, admin, admin.owner.id, "teracloud", **more)
    assert not world.engine().decide(basic_of("ada", first)).allowed


def test_an_access_keys_name_is_its_successors_and_finds_the_old_secret_too(world, admin, clock):
    asked = msgspec.convert({"name": "deploy"}, access_keys.AccessKeySpec)
    made, secret, _ = access_keys.create(
        world.store, POLICY, admin, asked, now=world.clock(), entropy=secrets.token_bytes
    )
    rows = access_keys.rows(POLICY, admin, clock.now)
    rotated, issued, _ = rotate(world, admin, made.id, rows=rows, grace="1d")
    kind = POLICY.kinds["kakaocloud.access_key"]
    assert isinstance(kind, AccessKey)
    assert secret is not None
    assert issued is not None
    engine = world.engine()

    def opens(text):
        presented = kind.claim(text, login="deploy")
        claim = Claim(kind, presented, access_keys.login_namespace(admin.owner.id))
        asked = asking(method="POST", target="/identity/v3/auth/tokens")
        request = msgspec.structs.replace(asked, tls=True)
        decision = engine.attempt(request, None, claim)
        assert isinstance(decision, Decision)
        return decision

    for text in (secret.reveal(), issued.secret.reveal()):
        assert opens(text).allowed, opens(text)
    access_keys.delete(world.store, POLICY, admin, made.id, proven=True, now=clock.now)
    assert not opens(secret.reveal()).allowed
    found = opens(issued.secret.reveal()).credential
    assert found is not None
    assert found.id == rotated.successor.id


def test_an_access_key_ends_at_once_only_for_who_proves_who_they_are(world):
    owner = world.somebody()
    caller = world.acting(world.key("own", owner=owner, scopes=["own:access-keys.write"]))
    wide = world.acting(world.key("own", owner=owner))
    asked = msgspec.convert({"name": "deploy"}, access_keys.AccessKeySpec)
    made, _, _ = access_keys.create(
        world.store, POLICY, wide, asked, now=world.clock(), entropy=secrets.token_bytes
    )
    rows = access_keys.rows(POLICY, caller, world.clock())
    for grace in ("0", "1d"):  # nor does it stand for the owner's roles
        with pytest.raises((ForbiddenError, StepUpError)):
            rotate(world, caller, made.id, rows=rows, grace=grace)
    rotate(world, wide, made.id, rows=access_keys.rows(POLICY, wide, world.clock()), grace="0")


def signed_in(world, owner, *scopes: str) -> Caller:
    """Return somebody who came with a session, and may do this much."""
    person = world.acting(world.key("manage", scopes=scopes, owner=owner), Scopes.of(scopes))
    stands_for = msgspec.structs.replace(
        person.credential, id="s-1", kind=session.KIND, services=None, scopes=ALL
    )
    grant = msgspec.structs.replace(person.grant, credential=stands_for)
    return Caller(grant, "192.0.2.1", "s-1")


def test_somebody_signed_in_renews_what_they_could_make_and_no_more(world):
    owner = world.somebody()
    caller = signed_in(world, owner, "storage:read")
    mine = world.key(owner=owner, scopes=["storage:read"])
    rotated = rotate(world, caller, mine.id)[0]
    assert rotated.successor.id != mine.id
    journal = world.journal()[-1]
    assert (journal.actor, journal.credential_id) == (f"user:{owner.user_id} session:s-1", None)
    wider = world.key(owner=owner, scopes=["storage:read", "storage:write"])
    with pytest.raises(ForbiddenError, match="storage:write"):
        rotate(world, caller, wider.id)
