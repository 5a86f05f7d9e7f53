"""Access keys: roles out of the owner's own, names, proofs, secrets, and what ends with what."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, Owner, asking, compiled, raw_rows

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.model import AccessRule, Facts, Noun, Refused
from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.core.standing import MAX_PARENTS, standing
from latchgate.manage import access_keys, access_rules, passwords, roles
from latchgate.manage.access_keys import AccessKeySpec
from latchgate.manage.actor import Caller
from latchgate.manage.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StaleError,
    StepUpError,
)
from latchgate.manage.granted import RoleNotHeldError, RoleUnknownError
from latchgate.manage.idempotency import Once
from latchgate.manage.listing import Query
from latchgate.manage.passwords import FirstPassword
from latchgate.manage.records import IfMatch
from latchgate.manage.users import Held
from latchgate.signin.password import hash_password
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.tokens.mint import draft
from latchgate.verify.walk import Claim, Derive

POLICY = compiled(FILES, 1)
KIND = next(kind for kind in POLICY.kinds.values() if isinstance(kind, AccessKey))
TOKENS = next(kind for kind in POLICY.kinds.values() if isinstance(kind, ProjectToken))
CHOSEN = "correct horse battery staple 7"
RULE = {"service": "identity", "method": "GET", "path": "/identity/v3/projects/*"}


def create(world, caller, name="deploy", *, hashed=None, once=None, **spec):
    asked = msgspec.convert({"name": name} | spec, AccessKeySpec)
    return access_keys.create(
        world.store,
        POLICY,
        caller,
        asked,
        now=world.clock(),
        entropy=secrets.token_bytes,
        hashed=hashed,
        once=once,
    )


def delete(world, caller, key_id, *, proven=True, now=None, **more):
    at = world.clock() if now is None else now
    return access_keys.delete(world.store, POLICY, caller, key_id, proven=proven, now=at, **more)


def named(world, tenant_id, name, scopes, *implies):
    """Make a role with a name, which implies others."""
    made = world.role(tenant_id, scopes)
    changed = sa.update(schema.role).where(schema.role.c.id == made)
    told = msgspec.json.encode(list(implies)).decode()
    world.change(Noun.ROLE, made, changed.values(name=name, implies=told))
    return made


class Person:
    """A user who is Admin, and so Member, and so Reader, of one project; and comes with a key."""

    def __init__(self, world):
        self.world = world
        tenant = world.tenant()
        self.reader = named(world, tenant, "Reader", ["storage:read"])
        self.member = named(world, tenant, "Member", ["storage:write"], self.reader)
        self.admin = named(world, tenant, "Admin", ["own:access-keys.write"], self.member)
        project, user = world.project(tenant), world.user(tenant)
        world.assign(user, project, self.admin)
        self.owner = Owner(tenant, project, user)
        self.key = world.key("own", owner=self.owner)

    @property
    def caller(self):
        """With a credential that stands for all of them."""
        world = self.world
        caller = world.acting(self.key)
        scopes = ["storage:read", "storage:write", "own:access-keys.write"]
        grant = msgspec.structs.replace(caller.grant, rights=Scopes.of(scopes))
        return Caller(grant, None)

    def facts(self, key_id, project_id=None, **more):
        """What a token of a key stands for now."""
        engine = self.world.engine()
        source = engine.records([(Noun.CREDENTIAL, key_id)])[Noun.CREDENTIAL, key_id]
        token = draft(
            TOKENS,
            source,
            project_id=project_id or source.project_id,
            roles=source.roles or more["roles"],
            issues=source.issues,
            now=more.get("at", self.world.clock()),
            entropy=secrets.token_bytes,
        )
        found = engine.standing(TOKENS.name, token)
        assert isinstance(found, Facts)
        return found

    def token(self, key_id, **more):
        """Whoever comes with a token of a key."""
        grant = self.facts(key_id, **more).grant
        assert grant is not None
        return Caller(grant, "192.0.2.1")

    def login(self, *, at=None):
        """Whoever comes with a token that they got for their password."""
        row = self.world.one(
            sa.select(schema.credential.c.id).where(
                schema.credential.c.owner_id == self.owner.user_id,
                schema.credential.c.kind == "kakaocloud.account_password",
            )
        )
        at = self.world.clock() if at is None else at
        caller = self.token(row.id, project_id=self.owner.project_id, roles=(self.admin,), at=at)
        bounds = msgspec.structs.replace(caller.credential, issues=True)
        return Caller(msgspec.structs.replace(caller.grant, credential=bounds), None)

    def with_password(self, text="a password of the owner's"):
        """Give them an account password where KakaoCloud's people log in."""
        issued = passwords.draw(POLICY, "kakaocloud", entropy=secrets.token_bytes)
        digest = hash_password(text, bytes(16)).encode()
        passwords.set_first(
            self.world.store,
            POLICY,
            self.world.acting(self.key),
            self.owner.user_id,
            spec=FirstPassword(namespace="kakaocloud", login="ada", project_id=None),
            issued=replace(issued, digest=digest),
        )


@pytest.fixture
def ada(world):
    return Person(world)


def attempt(world, secret, **named_by):
    """Decide on an access key as the door that exchanges it does."""
    engine = world.engine()
    user_id = named_by.pop("user_id", "")
    presented = KIND.claim(secret, **named_by)
    claim = Claim(KIND, presented, access_keys.login_namespace(user_id))
    request = asking(method="POST", target="/identity/v3/auth/tokens", client="127.0.0.1")
    for _ in range(3):
        found = engine.attempt(request, None, claim)
        if not isinstance(found, Derive):
            return found
        engine._passwords.submit(found).result()
    raise AssertionError("no decision")


# --- roles


def test_absent_roles_are_all_that_the_owner_has_there(world, ada):
    key, secret, new = create(world, ada.caller)
    assert new
    assert secret is not None
    assert {role.id for role in key.roles} == {ada.admin, ada.member, ada.reader}
    assert {role.name for role in key.roles} == {"Admin", "Member", "Reader"}
    assert (key.project_id, key.owner_id) == (ada.owner.project_id, ada.owner.user_id)
    assert not key.unrestricted
    assert key.access_rules is None
    assert ada.facts(key.id).grant.roles == {ada.admin, ada.member, ada.reader}


def test_a_subset_is_named_by_id_or_name_and_gives_no_more(world, ada):
    by_name, _, _ = create(world, ada.caller, "one", roles=["Member"])
    by_id, _, _ = create(world, ada.caller, "two", roles=[ada.reader, "Reader"])
    assert [role.id for role in by_name.roles] == [ada.member]
    assert [role.id for role in by_id.roles] == [ada.reader]
    assert ada.facts(by_name.id).grant.roles == {ada.member, ada.reader}
    grant = ada.facts(by_id.id).grant
    assert (grant.roles, grant.rights.listed()) == ({ada.reader}, ["storage:read"])


def test_a_role_that_is_not_held_there_is_refused_and_nothing_is_written(world, ada):
    other = named(world, ada.owner.tenant_id, "Billing", ["storage:read"])
    foreign = named(world, world.tenant(), "Foreign", ["storage:read"])
    elsewhere = world.project(ada.owner.tenant_id)
    world.assign(ada.owner.user_id, elsewhere, other)
    nobodys = world.project(ada.owner.tenant_id)
    before = world.head()
    for role in (other, "Billing"):
        with pytest.raises(RoleNotHeldError):
            create(world, ada.caller, roles=["Reader", role])
    for role in (foreign, "Foreign", "nonesuch"):
        with pytest.raises(RoleUnknownError) as error:
            create(world, ada.caller, roles=[role])
        assert error.value.role == role
    for project in (nobodys, world.owner.project_id, "p-none"):
        with pytest.raises(InvalidError, match="hold no role"):
            create(world, ada.caller, project_id=project)
    assert world.head() == before
    key, _, _ = create(world, ada.caller, project_id=elsewhere)
    assert [role.id for role in key.roles] == [other]


def test_a_name_of_two_roles_is_not_guessed(world, ada):
    second = named(world, ada.owner.tenant_id, "Reader", ["storage:read"])
    world.assign(ada.owner.user_id, ada.owner.project_id, second)
    with pytest.raises(InvalidError, match="several"):
        create(world, ada.caller, roles=["Reader"])
    key, _, _ = create(world, ada.caller, roles=[second])
    assert [role.id for role in key.roles] == [second]


def test_admin_made_member_leaves_a_live_key_with_members_rights(world, ada):
    key, _, _ = create(world, ada.caller, roles=["Admin"])
    world.assign(ada.owner.user_id, ada.owner.project_id, ada.member)
    owner = ada.owner
    table = schema.role_assignment
    mine = sa.and_(table.c.user_id == owner.user_id, table.c.role_id == ada.admin)
    world.change(Noun.USER, owner.user_id, sa.delete(table).where(mine))
    assert ada.facts(key.id).grant.roles == {ada.member, ada.reader}
    with pytest.raises(RoleNotHeldError):
        create(world, ada.caller, "two", roles=["Admin"])
    world.change(Noun.USER, owner.user_id, sa.delete(table).where(table.c.user_id == owner.user_id))
    assert ada.facts(key.id).gap is Reason.ROLES_WITHDRAWN


@pytest.mark.parametrize("scopes", [["own:access-keys.write"], ["storage:read", "storage:write"]])
def test_a_credential_of_certain_scopes_gives_no_role(world, ada, scopes):
    key = world.key("own", "storage", owner=ada.owner, scopes=scopes)
    with pytest.raises(ForbiddenError, match="certain scopes"):
        create(world, world.acting(key), roles=["Reader"])


def test_roles_take_rights_that_the_maker_holds(world, ada):
    caller = world.acting(ada.key)
    poor = msgspec.structs.replace(caller.grant, rights=Scopes.of(["storage:read"]))
    with pytest.raises(ForbiddenError, match="storage:write"):
        create(world, Caller(poor, None), roles=["Member"])
    assert create(world, Caller(poor, None), roles=["Reader"])[2]


# --- made with tokens


def test_only_an_unrestricted_keys_token_makes_keys_which_end_with_it(world, ada):
    plain, _, _ = create(world, ada.caller, "plain")
    with pytest.raises(ForbiddenError, match="may not make others"):
        create(world, ada.token(plain.id), "child")
    open_, _, _ = create(world, ada.caller, "open", unrestricted=True, roles=["Member"])
    maker = ada.token(open_.id)
    with pytest.raises(RoleNotHeldError):
        create(world, maker, "child", roles=["Admin"])
    child, _, _ = create(world, maker, "child")
    assert child.parent_id == open_.id
    assert {role.id for role in child.roles} == {ada.member, ada.reader}
    assert ada.facts(child.id).grant is not None
    delete(world, ada.caller, open_.id)
    assert ada.facts(child.id).gap is None
    told = standing(ada.facts(child.id), asking(), world.clock(), [])
    assert isinstance(told, Refused)
    assert told.reason is Reason.PARENT_GONE
    with pytest.raises(ForbiddenError, match="gone"):
        create(world, maker, "late")


def test_a_token_makes_keys_of_its_own_project_that_live_no_longer_than_its_key(world, ada):
    until = world.clock() + 90 * 86_400
    key, _, _ = create(world, ada.caller, unrestricted=True, expires_in="90d")
    maker = ada.token(key.id)
    elsewhere = world.project(ada.owner.tenant_id)
    world.assign(ada.owner.user_id, elsewhere, ada.reader)
    with pytest.raises(ForbiddenError, match="one project"):
        create(world, maker, "two", project_id=elsewhere, expires_in="1d")
    for spec in ({}, {"expires_in": "91d"}):
        with pytest.raises(ForbiddenError, match="outlive"):
            create(world, maker, "two", **spec)
    # Longer than the token itself, which lasts for hours.
    child, _, _ = create(world, maker, "two", expires_in="80d")
    assert child.expires_at is not None
    assert child.expires_at < until


def test_networks_and_access_rules_stay_those_of_what_made_it(world, ada):
    bound = world.key("own", owner=ada.owner, networks=["192.0.2.0/24"])
    caller = ada.caller
    narrow = world.acting(bound)
    grant = msgspec.structs.replace(narrow.grant, rights=caller.rights)
    rules = [RULE, RULE | {"method": "POST"}]
    key, _, _ = create(world, Caller(grant, None), unrestricted=True, access_rules=rules)
    maker = ada.token(key.id)
    same, _, _ = create(world, maker, "same")
    assert [one.request for one in same.access_rules] == sorted(
        one.request for one in key.access_rules
    )
    one, _, _ = create(world, maker, "one", access_rules=[RULE])
    assert len(one.access_rules) == 1
    with pytest.raises(ForbiddenError, match="DELETE identity"):
        create(world, maker, "wide", access_rules=[RULE, RULE | {"method": "DELETE"}])
    for made in (key, same, one):
        row = world.one(sa.select(schema.credential).where(schema.credential.c.id == made.id))
        assert row.networks == '["192.0.2.0/24"]'


def test_a_chain_of_keys_is_as_long_as_a_decision_looks(world, ada):
    key, _, _ = create(world, ada.caller, "k0", unrestricted=True)
    for depth in range(1, MAX_PARENTS):
        key, _, _ = create(world, ada.token(key.id), f"k{depth}", unrestricted=True)
        assert ada.facts(key.id).grant is not None
    with pytest.raises(ForbiddenError, match="further up"):
        create(world, ada.token(key.id), "deep")


def test_a_token_of_no_project_makes_no_key(world, ada):
    ada.with_password()
    caller = ada.login()
    bare = msgspec.structs.replace(caller.credential, project_id="", roles=())
    caller = Caller(msgspec.structs.replace(caller.grant, credential=bare), None)
    with pytest.raises(InvalidError, match="no project"):
        create(world, caller)


# --- names


def test_a_name_is_its_owners_once_exact_and_free_after_deletion(world, ada):
    first, secret, _ = create(world, ada.caller, "deploy")
    with pytest.raises(ConflictError) as error:
        create(world, ada.caller, "deploy")
    assert "deploy" in error.value.detail
    other = Person(world)
    create(world, other.caller, "deploy")
    assert create(world, ada.caller, "Deploy")[2]
    by_name = {"login": "deploy", "user_id": ada.owner.user_id}
    assert attempt(world, secret.reveal(), **by_name).allowed
    assert not attempt(world, secret.reveal(), login="deploy", user_id=other.owner.user_id).allowed
    delete(world, ada.caller, first.id)
    assert not attempt(world, secret.reveal(), **by_name).allowed
    second, again, _ = create(world, ada.caller, "deploy")
    assert second.id != first.id
    assert attempt(world, again.reveal(), **by_name).grant.credential.id == second.id
    assert not attempt(world, secret.reveal(), **by_name).allowed
    # The first one's second deletion leaves the name to the one that has it now.
    delete(world, ada.caller, first.id)
    assert attempt(world, again.reveal(), **by_name).allowed


def test_of_two_at_once_with_one_name_one_is_made(world, ada):
    caller = ada.caller
    together, told = threading.Barrier(4), []

    def make():
        together.wait(30)
        try:
            told.append(create(world, caller, "race")[0].id)
        except ConflictError:
            told.append(None)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    made = [one for one in told if one is not None]
    assert (len(told), len(made)) == (4, 1)
    found, _ = access_keys.listed(world.store, POLICY, caller, Query(), now=world.clock())
    assert [key.id for key in found] == made


# --- secrets


def test_a_made_secret_is_shown_once_and_kept_as_a_digest(world, ada):
    once = Once.of("a-key", "POST /x", {"name": "deploy"})
    key, secret, _ = create(world, ada.caller, once=once)
    assert attempt(world, secret.reveal(), key_id=key.id).allowed
    again, none, new = create(world, ada.caller, once=once)
    assert (again, none, new) == (key, None, False)
    assert secret.reveal() not in repr(raw_rows(world.database, "SELECT * FROM credential"))
    assert secret.reveal() not in repr(raw_rows(world.database, "SELECT * FROM journal"))
    assert secret.reveal() not in repr(key)


def test_a_chosen_secret_is_kept_as_argon2id_and_nowhere_in_clear(world, ada):
    spec = AccessKeySpec(name="chosen", secret=CHOSEN)
    assert CHOSEN not in repr(spec)
    checked = access_keys.check_secret(POLICY, ada.caller, spec)
    assert checked is not None
    hashed = hash_password(checked.reveal(), secrets.token_bytes(16)).encode()
    key, none, new = create(world, ada.caller, "chosen", secret=CHOSEN, hashed=hashed)
    assert (none, new) == (None, True)
    assert attempt(world, CHOSEN, key_id=key.id).allowed
    assert attempt(world, CHOSEN, login="chosen", user_id=ada.owner.user_id).allowed
    wrong = attempt(world, CHOSEN + "8", key_id=key.id)
    assert wrong.reason is Reason.SECRET_WRONG
    for table in ("credential", "journal", "login", "idempotency"):
        rows = repr(raw_rows(world.database, f"SELECT * FROM {table}"))  # noqa: S608
        assert CHOSEN not in rows
        assert table == "credential" or "argon2id" not in rows


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("my-secret", "at least 15"),
        ("x" * 1_025, "at most"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "guessed"),
        ("with a \x07 bell in the middle", "control"),
    ],
)
def test_a_chosen_secret_is_as_strong_as_a_password(ada, secret, why):
    with pytest.raises(InvalidError, match=why) as error:
        access_keys.check_secret(POLICY, ada.caller, AccessKeySpec(name="n", secret=secret))
    assert [field for field, _ in error.value.faults] == ["secret"]
    assert secret not in str(error.value)


def test_what_only_the_system_spells_is_no_chosen_secret(world, ada):
    _, made, _ = create(world, ada.caller)
    with pytest.raises(InvalidError, match="that Latchgate makes"):
        access_keys.check_secret(POLICY, ada.caller, AccessKeySpec(name="n", secret=made.reveal()))
    assert access_keys.check_secret(POLICY, ada.caller, AccessKeySpec(name="n")) is None


@pytest.mark.parametrize("spec", [{"secret": CHOSEN}, {"hashed": b"$argon2id$x"}])
def test_a_secret_without_its_hash_is_a_fault(world, ada, spec):
    with pytest.raises(ValueError, match="chosen secret"):
        create(world, ada.caller, **spec)


# --- expiry


@pytest.mark.parametrize(
    "spec",
    [
        {"expires_in": "1y"},
        {"expires_at": "tomorrow"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_in": "1h", "expires_at": "2099-01-01T00:00:00Z"},
    ],
)
def test_an_expiry_is_one_time_ahead(world, ada, spec):
    with pytest.raises(InvalidError) as error:
        create(world, ada.caller, **spec)
    assert error.value.faults[0][0] in spec


def test_a_key_ends_with_its_expiry_and_outlives_nothing_that_made_it(world, ada):
    key, secret, _ = create(world, ada.caller, expires_in="1h")
    late = world.engine(clock=lambda: world.clock() + 3_601)
    claim = Claim(KIND, KIND.claim(secret.reveal(), key_id=key.id), "")
    request = asking(method="POST", target="/identity/v3/auth/tokens", client="127.0.0.1")
    assert late.attempt(request, None, claim).reason is Reason.CREDENTIAL_EXPIRED
    states = {"expired": [key.id], "active": []}
    for state, ids in states.items():
        query = Query(filters={"state": state})
        found, _ = access_keys.listed(
            world.store, POLICY, ada.caller, query, now=world.clock() + 3_601
        )
        assert [one.id for one in found] == ids
    short = world.key("own", owner=ada.owner, expires_at=world.clock() + 60)
    maker = world.acting(short)
    grant = msgspec.structs.replace(maker.grant, rights=ada.caller.rights)
    with pytest.raises(ForbiddenError, match="outlive"):
        create(world, Caller(grant, None), "two")


# --- access rules


def test_rules_are_kept_reused_and_go_when_unused(world, ada):
    key, _, _ = create(world, ada.caller, access_rules=[RULE, RULE])
    (rule,) = key.access_rules
    assert len(rule.id) == 32
    again, _, _ = create(world, ada.caller, "two", access_rules=[{"id": rule.id}])
    third, _, _ = create(world, ada.caller, "three", access_rules=[RULE])
    assert again.access_rules == third.access_rules == [rule]
    assert access_rules.listed(world.store, ada.caller) == [rule]
    assert access_rules.shown(world.store, ada.caller, rule.id) == rule
    engine = world.engine()
    record = engine.records([(Noun.CREDENTIAL, key.id)])[Noun.CREDENTIAL, key.id]
    assert record.access_rules == (AccessRule(**RULE),)
    for one in (key, again):
        delete(world, ada.caller, one.id)
    with pytest.raises(ConflictError, match="in use"):
        access_rules.delete(world.store, ada.caller, rule.id)
    delete(world, ada.caller, third.id)
    other = Person(world)
    for stranger in (access_rules.shown, access_rules.delete):
        with pytest.raises(NotFoundError):
            stranger(world.store, other.caller, rule.id)
    assert access_rules.delete(world.store, ada.caller, rule.id) == rule
    assert access_rules.listed(world.store, ada.caller) == []
    assert world.journal()[-1].action == "access_rule.delete"
    with pytest.raises(NotFoundError):
        access_rules.delete(world.store, ada.caller, rule.id)


@pytest.mark.parametrize(
    "rule",
    [{}, {"service": "identity", "method": "GET"}, RULE | {"id": "0" * 32}, {"id": "0" * 32}],
)
def test_a_rule_is_whole_or_an_id_of_ones_own(world, ada, rule):
    with pytest.raises(InvalidError) as error:
        create(world, ada.caller, access_rules=[RULE, rule])
    assert [field for field, _ in error.value.faults] == ["access_rules[1]"]
    assert access_rules.listed(world.store, ada.caller) == []


@pytest.mark.parametrize(
    "change",
    [
        {"method": "OPTIONS"},
        {"method": "get"},
        {"path": "identity"},
        {"path": "/" + "x" * 225},
        {"path": "/a\nb"},
        {"service": ""},
        {"more": "x"},
    ],
)
def test_a_rule_names_a_service_a_method_and_a_path(world, ada, change):
    with pytest.raises(msgspec.ValidationError):
        create(world, ada.caller, access_rules=[RULE | change])


def test_offered_are_the_roles_of_the_project_that_its_owner_may_hand_out_by_name(world, ada):
    found = access_keys.offered_roles(world.store, ada.caller)
    assert [one.name for one in found] == ["Admin", "Member", "Reader"]
    assert found[1].scopes == ["storage:read", "storage:write"]
    assert found[1].implies == ["Reader"]
    reader = msgspec.structs.replace(ada.caller.grant, rights=Scopes.of(["storage:read"]))
    few = access_keys.offered_roles(world.store, Caller(reader, None))
    assert [one.name for one in few] == ["Reader"]
    world.change(
        Noun.USER,
        ada.owner.user_id,
        sa.delete(schema.role_assignment).where(
            schema.role_assignment.c.user_id == ada.owner.user_id
        ),
    )
    with pytest.raises(InvalidError, match="no role"):
        access_keys.offered_roles(world.store, ada.caller)


# --- deletion


def test_deleting_takes_a_proof_and_ends_key_and_tokens_at_once(world, ada):
    key, secret, _ = create(world, ada.caller)
    before = world.head()
    with pytest.raises(StepUpError) as error:
        delete(world, ada.caller, key.id, proven=False)
    assert error.value.max_age == 300
    assert world.head() == before
    gone, n = delete(world, ada.caller, key.id)
    assert (gone.revoked_at is not None, n) == (True, world.head())
    assert attempt(world, secret.reveal(), key_id=key.id).reason is Reason.CREDENTIAL_REVOKED
    with pytest.raises(NotFoundError):
        access_keys.shown(world.store, POLICY, ada.caller, key.id)
    found, _ = access_keys.listed(world.store, POLICY, ada.caller, Query(), now=world.clock())
    assert found == []
    # A repeat, whose first answer may have been lost, changes nothing and has its receipt.
    again, number = delete(world, ada.caller, key.id)
    assert (again.revoked_at, number) == (gone.revoked_at, world.head())
    assert [row.action for row in world.journal()[-2:]] == ["login.delete", "access_key.delete"]


def test_the_scope_goes_without_a_password(world, ada):
    key, _, _ = create(world, ada.caller)
    grant = msgspec.structs.replace(ada.caller.grant, rights=Scopes.of(["own:access-keys.delete"]))
    assert delete(world, Caller(grant, None), key.id, proven=False)[0].revoked_at is not None


def test_a_sign_in_with_the_password_proves_it_for_five_minutes(world, ada):
    ada.with_password()
    now = world.clock()
    key, _, _ = create(world, ada.login(), "made by a sign-in")
    assert key.parent_id is None
    assert key.expires_at is None
    caller = ada.login(at=now)
    with pytest.raises(StepUpError):
        delete(world, caller, key.id, proven=False, now=now + 300.1)
    assert delete(world, caller, key.id, proven=False, now=now + 300)[0].revoked_at is not None


def test_a_keys_own_token_is_no_sign_in(world, ada):
    open_, _, _ = create(world, ada.caller, "open", unrestricted=True)
    plain, _, _ = create(world, ada.caller, "plain")
    with pytest.raises(StepUpError):
        delete(world, ada.token(open_.id), plain.id, proven=False)
    with pytest.raises(ForbiddenError, match="may not manage"):
        delete(world, ada.token(plain.id), open_.id)
    assert delete(world, ada.token(open_.id), plain.id)[0].revoked_at is not None


def test_nobody_elses_key_is_there_but_for_the_tenants_administrator(world, ada):
    key, secret, _ = create(world, ada.caller)
    other, admin = Person(world), world.acting(world.admin)
    user = ada.owner.user_id
    for caller in (other.caller, admin):
        with pytest.raises(NotFoundError):
            access_keys.shown(world.store, POLICY, caller, key.id)
        with pytest.raises(NotFoundError):
            delete(world, caller, key.id)
        with pytest.raises(NotFoundError):
            access_keys.delete_of(world.store, POLICY, caller, user, key.id)
    with pytest.raises(ForbiddenError, match="your own"):
        access_keys.delete_of(world.store, POLICY, ada.caller, user, key.id)
    chief = world.somebody("*", tenant_id=ada.owner.tenant_id)
    caller = world.acting(world.key("manage", owner=chief))
    told, _ = access_keys.listed(
        world.store, POLICY, caller, Query(), now=world.clock(), user_id=user
    )
    assert [one.id for one in told] == [key.id]
    assert access_keys.shown(world.store, POLICY, caller, key.id, user_id=user).id == key.id
    assert access_keys.delete_of(world.store, POLICY, caller, user, key.id)[0].revoked_at
    assert not attempt(world, secret.reveal(), key_id=key.id).allowed


def test_a_key_is_deleted_at_the_version_that_was_seen(world, ada):
    key, _, _ = create(world, ada.caller)
    with pytest.raises(StaleError):
        delete(world, ada.caller, key.id, match=IfMatch(frozenset({key.version - 1})))
    assert delete(world, ada.caller, key.id, match=IfMatch(frozenset({key.version})))


def test_lists_search_filter_and_page(world, ada):
    for name in ("a", "b", "c"):
        create(world, ada.caller, name, unrestricted=name == "b", roles=["Reader"])
    create(world, ada.caller, "d", description="nightly")

    def names(**query):
        found, following = access_keys.listed(
            world.store, POLICY, ada.caller, Query(**query), now=world.clock()
        )
        return [one.name for one in found], following

    assert names()[0] == ["a", "b", "c", "d"]
    assert names(q="night")[0] == ["d"]
    assert names(filters={"unrestricted": "true"})[0] == ["b"]
    assert names(filters={"role_id": ada.admin})[0] == ["d"]
    assert names(filters={"name": "c"})[0] == ["c"]
    first, following = names(limit=3, sort=("-name",))
    assert first == ["d", "c", "b"]
    assert names(limit=3, sort=("-name",), after=following)[0] == ["a"]
    with pytest.raises(InvalidError):
        names(filters={"secret": "x"})


def test_a_deleted_roles_key_gives_nothing_and_can_be_shown(world, ada):
    extra = named(world, ada.owner.tenant_id, "Extra", ["storage:read"])
    world.assign(ada.owner.user_id, ada.owner.project_id, extra)
    key, _, _ = create(world, ada.caller, roles=["Extra"])
    admin = world.acting(world.key("manage", owner=world.somebody(tenant_id=ada.owner.tenant_id)))
    roles.take(world.store, admin, ada.owner.user_id, Held(ada.owner.project_id, extra))
    roles.delete(world.store, admin, extra)
    shown = access_keys.shown(world.store, POLICY, ada.caller, key.id)
    assert [(one.id, one.name) for one in shown.roles] == [(extra, None)]
    assert ada.facts(key.id).gap is Reason.ROLES_WITHDRAWN


def test_without_a_provider_that_has_access_keys_there_are_none(world, ada):
    bare = compiled({}, 0)
    with pytest.raises(NotFoundError, match="access keys"):
        access_keys.listed(world.store, bare, ada.caller, Query(), now=world.clock())
