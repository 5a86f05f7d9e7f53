"""Decisions explained: requests as they are described, and who sees which refusals."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.world import FILES, asking, compiled

from latchgate.core.network import parse_address
from latchgate.core.path import read_path
from latchgate.core.redact import redactor
from latchgate.core.scope import Scopes
from latchgate.manage import decisions
from latchgate.manage.decisions import ExplainRequest
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.store.recorder import Usage
from latchgate.store.usage import UsageReader

REDACT = redactor(compiled(FILES, 1).patterns())
TENANT = Scopes.of(["manage:decisions.read"])


def described(url, **how):
    return decisions.described(ExplainRequest(method="GET", url=url, **how))


@pytest.mark.parametrize(
    ("url", "host", "target", "tls"),
    [
        ("https://a.example/b?c=d", "a.example", "/b?c=d", True),
        ("http://a.example:8080/b", "a.example:8080", "/b", False),
        ("http://[::1]:8080/b", "[::1]:8080", "/b", False),
        ("https://user:pw@a.example/b", "a.example", "/b", True),
        ("https://a.example", "a.example", "/", True),
        ("HTTPS://A.example/B", "A.example", "/B", True),
        ("/b?c=https://d/e", "", "/b?c=https://d/e", False),
        ("/b%2Fc/%2e%2e", "", "/b%2Fc/%2e%2e", False),
        ("https://a.example/b//c", "a.example", "/b//c", True),
        ("https://a.example//b", "a.example", "//b", True),
        ("//b/c", "", "//b/c", False),
    ],
)
def test_a_url_keeps_its_path_as_it_was_written(url, host, target, tls):
    request = described(url)
    assert (request.host, request.target, request.tls) == (host, target, tls)


def test_the_host_header_goes_before_the_host_in_the_url():
    request = described("https://a.example/b", headers={"Host": "c.example", "X-A": "1"})
    assert request.host == "c.example"
    assert request.headers == {"host": "c.example", "x-a": "1"}


def test_a_client_is_read():
    assert described("/b", client="192.0.2.1").client == parse_address("192.0.2.1")
    assert described("/b").client is None


@given(st.text(max_size=60))
def test_any_url_becomes_a_request_or_is_refused_by_name(url):
    try:
        request = described(url)
    except InvalidError as error:
        (named,) = [field for field, _ in error.faults]
        assert named == "url"
    else:
        read_path(request.target)


@given(st.text(max_size=30))
def test_any_client_becomes_an_address_or_is_refused_by_name(client):
    try:
        described("/b", client=client)
    except InvalidError as error:
        (named,) = [field for field, _ in error.faults]
        assert named == "client"


# --- who sees which


class Refused:
    """A database's refusals: made by an engine, written by a recorder, read by anybody."""

    def __init__(self, world):
        self.store = world.store
        self.recorder = Usage(
            world.usage_database, redact=REDACT, ticks=time.monotonic, clock=time.time
        )
        self.engine = world.engine(on_decision=self.recorder.note)
        self.reader = UsageReader(world.usage_database)

    def by(self, key, **how):
        """Have a request refused; returns the refusal's id."""
        decision = self.engine.decide(asking(key, **how))
        assert not decision.allowed
        self.recorder.flush()
        return decision.id

    def shown(self, caller, decision_id):
        """Show one to somebody."""
        found = self.reader.refusal(decision_id)
        return decisions.shown(self.store, caller, decision_id, found)

    def recent(self, caller, **how):
        """List the ids that somebody sees."""
        rows, _ = decisions.recent(self.reader, self.store, caller, **({"limit": 9} | how))
        return [row["id"] for row in rows]

    def explained(self, caller, key, **how):
        """Explain a request that nobody made to somebody."""
        request = asking(key, **how)
        decision = self.engine.explain(request)
        return decisions.explained(
            self.store, caller, decision, request, now=time.time(), redact=REDACT
        )


@pytest.fixture
def refused(world):
    made = Refused(world)
    yield made
    made.reader.close()
    made.recorder.close()


def test_a_tenant_sees_its_own_refusals_and_the_operator_every_one(world, refused):
    ours, theirs = world.key(scopes=[]), world.key(scopes=[], owner=world.somebody())
    ids = [refused.by(ours), refused.by(theirs), refused.by(None)]
    boss = world.key(scopes=["manage:decisions.read"], owner=theirs.owner)
    operator, tenant = world.acting(world.admin), world.acting(boss, TENANT)
    assert refused.recent(operator) == ids[::-1]
    assert refused.recent(tenant) == [ids[1]]
    assert refused.recent(tenant, credential=ours.id) == []
    assert refused.recent(tenant, after=ids[2]) == [ids[1]]
    assert refused.shown(operator, ids[2])["reason"] == "credential_missing"
    for foreign in (ids[0], ids[2], "nothing"):
        with pytest.raises(NotFoundError, match="7 days"):
            refused.shown(tenant, foreign)


def test_a_list_says_how_it_goes_on(world, refused):
    key = world.key(scopes=[])
    ids = [refused.by(key) for _ in range(3)]
    caller = world.acting(world.admin)

    def page(**how):
        return decisions.recent(refused.reader, world.store, caller, **how)

    rows, following = page(limit=2)
    assert ([row["id"] for row in rows], following) == (ids[:0:-1], ids[1])
    assert rows[0]["change"].startswith("Make a key with the scope storage:read")
    assert [page(limit=2, after=following)[0][0]["id"], page(limit=3)[1]] == [ids[0], None]


def test_a_strangers_key_is_explained_to_the_operator_alone(world, refused):
    theirs = world.key(scopes=["storage:read"], owner=world.somebody())
    told = refused.explained(world.acting(world.admin), theirs)
    assert (told["allowed"], told["credential"]) == (True, theirs.id)
    neighbour = world.acting(world.key(owner=world.somebody()), TENANT)
    with pytest.raises(NotFoundError, match="not known to your tenant"):
        refused.explained(neighbour, theirs)
    assert refused.explained(world.acting(theirs, TENANT), theirs)["allowed"]


def test_a_guess_does_not_tell_a_stranger_that_the_key_exists(world, refused):
    theirs = world.key(owner=world.somebody())
    guess = {"authorization": f"Bearer wayscloud_storage_{theirs.id}_made-up"}
    neighbour = world.acting(world.key(owner=world.somebody()), TENANT)
    told = refused.explained(neighbour, None, headers=guess)
    assert (told["reason"], [one["step"] for one in told["steps"]][-1]) == (
        "credential_unknown",
        "record",
    )
    owner = refused.explained(world.acting(theirs, TENANT), None, headers=guess)
    assert owner["reason"] == "secret_wrong"


def test_who_sees_their_own_credentials_sees_what_those_were_refused(world, refused):
    mine = world.key(scopes=[], owner=world.somebody())
    beside = world.somebody(tenant_id=mine.owner.tenant_id)
    theirs = world.key(scopes=[], owner=beside)
    ids = [refused.by(mine), refused.by(theirs)]
    caller = world.acting(world.key(scopes=["own:keys.read"], owner=mine.owner))
    assert refused.recent(caller) == []
    assert refused.recent(caller, credential=mine.id) == ids[:1]
    assert refused.recent(caller, credential=theirs.id) == []
    assert refused.shown(caller, ids[0])["credential"] == mine.id
    with pytest.raises(NotFoundError, match="7 days"):
        refused.shown(caller, ids[1])
    assert not refused.explained(caller, mine)["allowed"]
    for foreign in (theirs, None):
        with pytest.raises(NotFoundError, match="not known"):
            refused.explained(caller, foreign)
