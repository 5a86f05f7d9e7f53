"""The published key: nobody's until an operator says whose, and a key like any other then."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.asking import basic
from tests.world import FILES, asking, compiled

from latchgate.core.reason import Reason
from latchgate.manage import applications, developers
from latchgate.manage import basic as basic_manage
from latchgate.manage.applications import ApplicationSpec, Verb
from latchgate.manage.basic import BasicSpec
from latchgate.manage.developers import Proof
from latchgate.manage.errors import InvalidError, UnprovenError
from latchgate.manage.published_key import TEST_ID, PublishedKeySpec, set_published_key, shown
from latchgate.store import schema
from latchgate.store.errors import ConflictError

POLICY = compiled(FILES, 1)
KEY = "FEF5078EA41D182EEF89A21E034BD680"
OTHER = "00112233445566778899AABBCCDDEEFF"


@pytest.fixture
def operator(world):
    return world.acting(world.admin)


class Ask:
    """Users of two tenants who ask the REST API, each with an app password."""

    def __init__(self, world):
        self.world, self.engine = world, world.engine()
        self.own, self.foreign = world.tenant(), world.tenant()
        self.headers = {self.own: self.login(self.own), self.foreign: self.login(self.foreign)}

    def login(self, tenant_id):
        owner = self.world.somebody(tenant_id=tenant_id)
        who = self.world.acting(self.world.key("own", owner=owner))
        _, issued, _ = basic_manage.enable(
            self.world.store,
            POLICY,
            who,
            owner.user_id,
            spec=BasicSpec(login=tenant_id),
            now=self.world.clock(),
            entropy=secrets.token_bytes,
        )
        assert issued is not None
        return basic(tenant_id, issued.secret.reveal())["Authorization"]

    def __call__(self, tenant_id, key=KEY):
        """Return the reason of what is decided."""
        sent = {"authorization": self.headers[tenant_id], "x-teracloud-api-key": key}
        request = asking(None, target="/v2/api/user", headers=sent, client="127.0.0.1")
        return self.engine.decide(request).reason


@pytest.fixture
def ask(world):
    return Ask(world)


def put(world, caller, *tenants, key=KEY):
    return set_published_key(world.store, POLICY, caller, PublishedKeySpec(key, list(tenants)))


def test_it_opens_for_users_of_its_tenants_and_for_nobody_before(world, operator, ask):
    assert ask(ask.own) is Reason.APPLICATION_UNKNOWN
    put(world, operator)
    assert ask(ask.own) is Reason.APPLICATION_KEY_OF_ANOTHER
    put(world, operator, ask.own)
    assert ask(ask.own) is Reason.ALLOWED
    assert ask(ask.foreign) is Reason.APPLICATION_KEY_OF_ANOTHER
    put(world, operator, ask.foreign)
    assert ask(ask.own) is Reason.APPLICATION_KEY_OF_ANOTHER
    assert ask(ask.foreign) is Reason.ALLOWED


def test_another_key_takes_its_place_and_the_first_can_come_back(world, operator, ask):
    put(world, operator, ask.own)
    put(world, operator, ask.own, key=OTHER)
    assert ask(ask.own) is Reason.APPLICATION_KEY_REVOKED
    assert ask(ask.own, OTHER) is Reason.ALLOWED
    put(world, operator, ask.own)
    assert (ask(ask.own), ask(ask.own, OTHER)) == (Reason.ALLOWED, Reason.APPLICATION_KEY_REVOKED)


def test_the_same_again_writes_nothing(world, operator, ask):
    _, n = put(world, operator, ask.own, ask.foreign)
    _, again = put(world, operator, ask.foreign, ask.own, ask.own)
    assert again == n == world.head()


def test_the_operator_suspends_it_like_any_other(world, operator, ask):
    put(world, operator, ask.own)
    applications.decide(world.store, operator, TEST_ID, Verb.SUSPEND, "enough")
    assert ask(ask.own) is Reason.APPLICATION_NOT_APPROVED
    put(world, operator, ask.own)  # setting the key again does not lift it
    assert ask(ask.own) is Reason.APPLICATION_NOT_APPROVED


def test_no_token_is_its_developers(world, operator):
    put(world, operator)
    for token in ("", "lgdev_", applications.new_token(secrets.token_bytes).reveal()):
        with pytest.raises(UnprovenError):
            developers.standing(world.store, POLICY, Proof(TEST_ID, token, None), now=world.clock())


def test_a_key_of_a_real_application_is_none(world, operator):
    spec = ApplicationSpec("Sync", "Example", "a@example.com", "Quotas.", "individual")
    made, token = applications.request(world.store, spec, address=None, entropy=secrets.token_bytes)
    applications.decide(world.store, operator, made.id, Verb.APPROVE, "fine")
    _, issued, _ = developers.issue_key(
        world.store, POLICY, Proof(made.id, token.reveal(), None), None,
        replace=None, entropy=secrets.token_bytes,
    )  # fmt: skip
    before = world.head()
    with pytest.raises(ConflictError):
        put(world, operator, key=issued.secret.reveal())
    assert world.head() == before


@pytest.mark.parametrize("key", ["", KEY.lower(), KEY[:-1], f"{KEY}0", f"{KEY}\n"])
def test_what_is_no_key_is_refused_by_field(world, operator, key):
    with pytest.raises(InvalidError, match="api_key"):
        put(world, operator, key=key)
    assert world.all(sa.select(schema.application.c.id)) == []


def test_a_tenant_that_does_not_exist_is_refused_by_field(world, operator):
    before = world.head()
    with pytest.raises(InvalidError, match="there is no tenant 't-nowhere'"):
        put(world, operator, world.owner.tenant_id, "t-nowhere")
    assert world.head() == before


def test_the_key_that_is_taken_now_is_shown_and_none_before(world, operator):
    assert shown(world.store) is None
    tenant = world.tenant()
    for key, tenants in ((KEY, [tenant]), (OTHER, [])):
        spec = PublishedKeySpec(key, tenants)
        found, _ = set_published_key(world.store, POLICY, operator, spec)
        assert shown(world.store) == found
