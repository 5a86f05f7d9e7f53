"""Clients: bounded by what was said of them, and ended with all that they were given."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import sqlalchemy as sa
from tests.minting import APPLICATION, Minting, approved, client, with_issuer
from tests.world import FILES, asking

from latchgate.core.model import Noun
from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.manage import applications, blocks, client_secrets, developers, grants, oauth_clients
from latchgate.manage.applications import Verb
from latchgate.manage.client_terms import DEVICE, INTROSPECTION
from latchgate.manage.developers import Proof
from latchgate.manage.errors import ForbiddenError, InvalidError, StaleError, UnprovenError
from latchgate.manage.idempotency import Once
from latchgate.manage.listing import Query
from latchgate.manage.oauth_clients import ClientPatch, ClientSpec
from latchgate.manage.records import IfMatch
from latchgate.store import schema
from latchgate.store.errors import ConflictError

POLICY = with_issuer(FILES, 1)
READ = "own:account.read"


@pytest.fixture
def operator(world):
    return world.acting(world.admin)


@pytest.fixture
def ask(world):
    """Mint a token from a grant of a client, and decide a request with it."""
    minting = Minting(world)
    engine = world.engine(compile_policy=with_issuer)

    class Ask:
        def __init__(self) -> None:
            self.minting = minting

        def given(self, made, *scopes, issues=False):
            grant_id = minting.grant(made, world.owner, *(scopes or (READ,)), issues=issues)
            return grant_id, minting.token(grant_id)

        def __call__(self, token, target="/manage/v1/account") -> Reason:
            headers = {"authorization": f"Bearer {token}"}
            reason: Reason = engine.decide(asking(target=target, headers=headers)).reason
            return reason

    return Ask()


def change(world, operator, client_id, **patch):
    told = ClientPatch(**patch)
    return oauth_clients.change_client(world.store, POLICY, operator, client_id, told)


def faults(error: pytest.ExceptionInfo[InvalidError]) -> set[str]:
    return {field for field, _ in error.value.faults}


def test_a_client_is_made_with_a_secret_that_only_its_digest_is_kept_of(world, operator):
    spec = ClientSpec(
        scopes=["openid", "storage:read"],
        application_id=approved(world),
        redirect_uris=["https://photos.example/cb"],
    )
    made, issued, new = oauth_clients.create(
        world.store, POLICY, operator, spec, now=world.clock(), entropy=secrets.token_bytes
    )
    assert new
    assert issued is not None
    assert [one.id for one in made.secrets] == [issued.id]
    table = schema.application_key
    row = world.one(sa.select(table).where(table.c.id == issued.id))
    assert (row.kind, bytes(row.digest)) == ("latchgate.client_secret", issued.digest)
    assert issued.secret.reveal() not in "".join(one.detail for one in world.journal())
    told = world.journal()[-2]
    assert (told.action, told.noun) == ("oauth_client.create", str(Noun.OAUTH_CLIENT))


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"scopes": ["storage:fly"]}, {"scopes"}),
        ({"scopes": ["*"]}, {"scopes"}),
        ({"scopes": ["openid", "openid"]}, {"scopes"}),
        ({"redirect_uris": []}, {"redirect_uris"}),
        ({"redirect_uris": ["http://photos.example/"]}, {"redirect_uris[0]"}),
        ({"redirect_uris": ["com.example.app:/cb"]}, {"redirect_uris[0]"}),
        ({"post_logout_redirect_uris": ["https://a.example/#"]}, {"post_logout_redirect_uris[0]"}),
        ({"grant_types": [DEVICE]}, {"redirect_uris"}),
        ({"grant_types": ["refresh_token"], "redirect_uris": []}, {"grant_types"}),
        (
            {"public": True, "grant_types": ["client_credentials"], "redirect_uris": []},
            {"grant_types"},
        ),
        ({"grant_types": ["client_credentials"], "redirect_uris": []}, {"tenant_id"}),
        (
            {"public": True, "grant_types": [INTROSPECTION], "redirect_uris": []},
            {"grant_types"},
        ),
        ({"tenant_id": "t-nowhere"}, {"tenant_id"}),
        ({"application_id": "app-nothing"}, {"application_id"}),
        ({"application": APPLICATION}, {"application_id"}),
    ],
)
def test_what_does_not_go_together_is_refused_and_nothing_is_made(world, told, wrong):
    application_id = approved(world)
    head = world.head()
    with pytest.raises(InvalidError) as error:
        client(world, POLICY, **{"application_id": application_id, **told})
    assert faults(error) == wrong
    assert world.head() == head


def test_only_an_approved_application_has_clients_and_one_of_them_has_its_secrets(world, operator):
    asked, _ = applications.request(
        world.store, APPLICATION, address=None, entropy=secrets.token_bytes
    )
    with pytest.raises(ConflictError, match="only what is approved"):
        client(world, POLICY, application_id=asked.id)
    first = client(world, POLICY)
    with pytest.raises(ConflictError, match=first.id):
        client(world, POLICY, application_id=first.application_id)
    beside = client(world, POLICY, application_id=first.application_id, public=True)
    assert beside.secrets == []
    oauth_clients.withdraw(world.store, POLICY, operator, first.id)
    again = client(world, POLICY, application_id=first.application_id)
    assert len(again.secrets) == 1
    assert again.id != first.id


def test_a_new_application_takes_the_right_to_make_one(world):
    made = client(world, POLICY, application_id=None, application=APPLICATION)
    assert (made.application_name, made.application_state) == ("Photos", "approved")
    proof = Proof(made.application_id, "", None)
    with pytest.raises(UnprovenError):  # it is nobody's but the operator's
        developers.standing(world.store, POLICY, proof, now=world.clock())
    narrow = world.acting(world.admin, Scopes.of(["operator:oauth-clients.write"]))
    spec = ClientSpec(scopes=[], application=APPLICATION, public=True, grant_types=[DEVICE])
    with pytest.raises(ForbiddenError, match=r"operator:applications\.write"):
        oauth_clients.create(
            world.store, POLICY, narrow, spec, now=world.clock(), entropy=secrets.token_bytes
        )


def test_a_client_and_the_key_of_its_application_leave_each_other_alone(world, operator):
    asked, token = applications.request(
        world.store, APPLICATION, address=None, entropy=secrets.token_bytes
    )
    applications.decide(world.store, operator, asked.id, Verb.APPROVE, "welcome")
    made = client(world, POLICY, application_id=asked.id)
    proof = Proof(asked.id, token.reveal(), None)
    key, _, _ = developers.issue_key(
        world.store, POLICY, proof, None, replace=None, entropy=secrets.token_bytes
    )
    developers.issue_key(world.store, POLICY, proof, None, replace=0, entropy=secrets.token_bytes)
    shown = oauth_clients.shown(world.store, POLICY, made.id, now=world.clock())
    assert shown.secrets == made.secrets
    client_secrets.renew(
        world.store,
        POLICY,
        operator,
        made.id,
        client_secrets.SecretSpec(),
        entropy=secrets.token_bytes,
    )
    keys = developers.standing(world.store, POLICY, proof, now=world.clock()).keys
    assert len(keys) == 1
    assert keys[0].id not in {key.id, *(one.id for one in made.secrets)}


def test_what_a_client_loses_its_grants_lose_at_once(world, operator, ask):
    made = client(world, POLICY)
    grant_id, token = ask.given(made, READ, "storage:read")
    assert ask(token) is Reason.ALLOWED
    changed, n = change(world, operator, made.id, scopes=["openid", "storage:read"])
    assert ask(token) is Reason.SCOPE_NOT_GRANTED
    assert ask.minting.row(grant_id)["scopes"] == ["storage:read"]
    assert (changed.scopes, n) == (["openid", "storage:read"], world.head())
    change(world, operator, made.id, scopes=["openid", READ])
    assert ask.minting.row(grant_id)["scopes"] == []  # what was taken does not come back


def test_a_change_is_checked_as_a_whole_and_against_its_version(world, operator):
    made = client(world, POLICY)
    with pytest.raises(InvalidError) as error:
        change(world, operator, made.id, grant_types=[DEVICE])
    assert faults(error) == {"redirect_uris"}
    with pytest.raises(StaleError):
        oauth_clients.change_client(
            world.store,
            POLICY,
            operator,
            made.id,
            ClientPatch(scopes=[]),
            match=IfMatch(frozenset({made.version - 1})),
        )
    same, n = change(world, operator, made.id, scopes=list(made.scopes))
    assert (same.version, n) == (made.version, world.head())


def test_switched_off_a_client_takes_its_grants_with_it_and_brings_them_back(world, operator, ask):
    made = client(world, POLICY)
    _, token = ask.given(made)
    before_id, before = ask.given(made)
    with world.changing() as under_way:
        row = ask.minting.row(before_id)
        grants.alter(under_way, "disable", row, disabled_at=1.0)
    disabled, _ = oauth_clients.disable(world.store, POLICY, operator, made.id)
    assert disabled.state == "disabled"
    assert ask(token) is Reason.PARENT_GONE
    assert oauth_clients.disable(world.store, POLICY, operator, made.id)[1] == world.head()
    enabled, _ = oauth_clients.enable(world.store, POLICY, operator, made.id)
    assert enabled.state == "active"
    assert ask(token) is Reason.ALLOWED
    assert ask(before) is Reason.PARENT_GONE  # it was switched off by itself


def test_withdrawn_a_client_ends_with_its_grants_secrets_and_consents(world, operator, ask):
    made = client(world, POLICY)
    _, token = ask.given(made)
    row = {"id": f"{world.owner.user_id}:{made.id}", "user_id": world.owner.user_id}
    row |= {"client_id": made.id, "scopes": "[]", "given_at": 1.0, "version": 0}
    world.change(Noun.CONSENT, row["id"], sa.insert(schema.consent).values(**row))
    gone, n = oauth_clients.withdraw(world.store, POLICY, operator, made.id)
    assert (gone.state, gone.secrets) == ("withdrawn", [])
    assert ask(token) is Reason.PARENT_GONE
    assert world.all(sa.select(schema.consent)) == []
    assert oauth_clients.withdraw(world.store, POLICY, operator, made.id)[1] == n == world.head()
    for act in (oauth_clients.enable, oauth_clients.disable):
        with pytest.raises(ConflictError, match="for good"):
            act(world.store, POLICY, operator, made.id)
    with pytest.raises(ConflictError, match="for good"):
        change(world, operator, made.id, scopes=[])


def test_what_becomes_of_its_application_becomes_of_its_tokens(world, operator, ask):
    made = client(world, POLICY)
    _, token = ask.given(made)
    application_id = made.application_id

    def decide(verb):
        applications.decide(world.store, operator, application_id, verb, "because")

    assert ask(token) is Reason.ALLOWED
    decide(Verb.SUSPEND)
    assert ask(token) is Reason.APPLICATION_NOT_APPROVED
    decide(Verb.REINSTATE)
    assert ask(token) is Reason.ALLOWED
    blocks.block(world.store, operator, application_id)
    assert ask(token) is Reason.APPLICATION_BLOCKED
    blocks.unblock(world.store, operator, application_id)
    assert ask(token) is Reason.ALLOWED


def test_a_token_does_no_more_than_its_scope_grant_and_owner(world, ask):
    made = client(world, POLICY)
    grant_id, _ = ask.given(made, READ, "storage:read")
    narrow = ask.minting.token(grant_id, "storage:read")
    assert ask(narrow) is Reason.SCOPE_NOT_GRANTED
    wide = ask.minting.token(grant_id, READ, "own:basic.read")  # more than was granted
    assert ask(wide, "/manage/v1/account/basic") is Reason.SCOPE_NOT_GRANTED
    assert ask(wide) is Reason.ALLOWED


def test_a_list_tells_states_and_a_creation_sent_twice_makes_one(world, operator):
    one, other = client(world, POLICY), client(world, POLICY)
    oauth_clients.disable(world.store, POLICY, operator, other.id)

    def listed(**filters: Any) -> list[str]:
        query = Query(filters=filters)
        found, _ = oauth_clients.listed(world.store, POLICY, query, now=world.clock())
        return [each.id for each in found]

    assert listed(state="active", scope="storage:read") == [one.id]
    assert listed(state="disabled", grant_type="authorization_code") == [other.id]
    assert listed(state="withdrawn") == []
    spec = ClientSpec(
        scopes=[], application_id=one.application_id, public=True, grant_types=[DEVICE]
    )
    once = Once.of("k", "POST", spec)
    made = [
        oauth_clients.create(
            world.store,
            POLICY,
            operator,
            spec,
            now=world.clock(),
            entropy=secrets.token_bytes,
            once=once,
        )
        for _ in range(2)
    ]
    assert [new for _, _, new in made] == [True, False]
    assert made[0][0].id == made[1][0].id
