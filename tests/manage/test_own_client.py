"""The command line's own client: made once, kept to the program's scopes and nothing else."""

import sqlalchemy as sa
from tests.minting import with_issuer
from tests.world import ACTOR, FILES

from latchgate.manage import oauth_clients, own_client
from latchgate.manage.client_terms import Terms, check
from latchgate.manage.oauth_clients import ClientPatch
from latchgate.store import schema
from latchgate.store.journal import stored

POLICY = with_issuer(FILES, 1)


def shown(world):
    return oauth_clients.shown(world.store, POLICY, own_client.CLI, now=world.clock())


def test_it_is_made_once_as_a_client_that_could_be_made_by_hand(world):
    assert own_client.ensure(world.store, ACTOR, POLICY)
    head = world.head()
    assert not own_client.ensure(world.store, ACTOR, POLICY)
    assert world.head() == head
    made = shown(world)
    assert (made.public, made.first_party, made.secrets) == (True, True, [])
    assert made.application_state == "approved"
    row = world.one(sa.select(schema.oauth_client))
    check(POLICY, Terms.of_row(stored(row._mapping), {}))
    offered = {scope.partition(":")[0] for scope in made.scopes if ":" in scope}
    assert offered == {"own", "manage"}


def test_an_upgrade_brings_its_scopes_and_leaves_what_the_operator_decided(world):
    own_client.ensure(world.store, ACTOR, POLICY)
    before = shown(world).scopes
    operator = world.acting(world.admin)
    told = ClientPatch(scopes=["openid"])
    oauth_clients.change_client(world.store, POLICY, operator, own_client.CLI, told)
    oauth_clients.disable(world.store, POLICY, operator, own_client.CLI)
    assert own_client.ensure(world.store, ACTOR, POLICY)
    after = shown(world)
    assert (after.scopes, after.state) == (before, "disabled")
