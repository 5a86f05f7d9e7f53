"""Records go over the wire and come back the same; what is not known on both sides is a fault."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from latchgate.core import feed
from latchgate.core.model import (
    AccessRule,
    Application,
    ApplicationKey,
    Credential,
    Login,
    Noun,
    Project,
    Role,
    SigningKey,
    Tenant,
    User,
)
from latchgate.core.network import Networks
from latchgate.core.scope import ALL, NONE, Scopes

CREDENTIAL = Credential(
    id="k1",
    kind="wayscloud.service_key",
    tenant_id="t1",
    project_id="",
    owner_id="u1",
    parent_id=None,
    services=frozenset({"storage", "dns"}),
    scopes=Scopes.of(["storage:read"]),
    networks=Networks.of(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]),
    issues=True,
    environment="dev",
    external_id="crm/7",
    digest=bytes(range(32)),
    created_at=1.25,
    expires_at=2**53 + 0.0,
    revoked_at=None,
    roles=("r1", "r2"),
    access_rules=(AccessRule("compute", "GET", "/v2/{id}/**"),),
    denied_tokens=frozenset({"j1"}),
)
RECORDS = {
    (Noun.CREDENTIAL, "k1"): CREDENTIAL,
    (Noun.CREDENTIAL, "k2"): msgspec.structs.replace(
        CREDENTIAL, id="k2", services=None, scopes=ALL, networks=None, roles=None, access_rules=None
    ),
    (Noun.CREDENTIAL, "k3"): msgspec.structs.replace(
        CREDENTIAL, id="k3", services=frozenset(), scopes=NONE, networks=Networks.of([]), roles=()
    ),
    (Noun.USER, "u1"): User(
        id="u1",
        tenant_id="t1",
        name="Ann",
        active=True,
        api=False,
        networks=None,
        roles=(("p1", "r1"),),
        blocked=frozenset({"a1"}),
        created_at=3.0,
        basic_switched=frozenset(),
    ),
    (Noun.TENANT, "t1"): Tenant("t1", "Acme — 東", active=True),
    (Noun.PROJECT, "p1"): Project("p1", "t1", active=False, name="x"),
    (Noun.ROLE, "r1"): Role("r1", None, ALL, ("r2",), "admin"),
    (Noun.LOGIN, "teracloud:ann"): Login("teracloud:ann", "u1", {"teracloud.app_password": "k1"}),
    (Noun.APPLICATION, "a1"): Application("a1", "Photos", approved=True),
    (Noun.APPLICATION_KEY, "ak1"): ApplicationKey(
        "ak1", "teracloud.application_key", "a1", None, b"\0" * 32, None, frozenset({"t1"})
    ),
    (Noun.APPLICATION_KEY, "ak2"): ApplicationKey(
        "ak2", "teracloud.application_key", "a1", "u1", b"\1" * 32, 4.5, None, 9.0, "ak1", 8.0
    ),
    (Noun.SIGNING_KEY, "s1"): SigningKey("s1", "token", b"\x02" * 32, None),
    (Noun.USER, "gone"): None,
}
# Whoever changes what a record holds changes what goes over the wire: raise FORMAT with it.
FIELDS = {
    1: "81bc5e7b",
}


def sent(records):
    """Return records as they arrive on the other side."""
    told = msgspec.json.encode(feed.FeedRecords(7, "", feed.spell_records(records)))
    return msgspec.json.decode(told, type=feed.FeedRecords).records


def test_every_record_comes_back_as_it_was():
    assert {noun for noun, _ in RECORDS} == feed.READABLE
    assert feed.read_records(sent(RECORDS)) == RECORDS


def test_what_a_record_holds_is_that_of_its_format():
    held = "".join(
        f"{noun}:{','.join(f.name for f in msgspec.structs.fields(record))};"
        for noun, record in sorted(feed._RECORDS.items())
    )

    assert hashlib.sha256(held.encode()).hexdigest()[:8] == FIELDS[feed.FORMAT]


@pytest.mark.parametrize("change", ["more", "less", "other", "noun"])
def test_a_record_with_other_fields_than_are_known_is_a_fault(change):
    (one,) = sent({(Noun.CREDENTIAL, "k1"): CREDENTIAL})
    record, noun = dict(one.record), one.noun
    if change == "more":
        record["locked_at"] = 5.0  # a limit that this side would not keep
    elif change == "less":
        del record["revoked_at"]
    elif change == "other":
        record["networks"] = ["anywhere"]
    else:
        noun = "session"
    told = feed.FeedRecord(noun, one.id, record)
    with pytest.raises(ValueError, match=r"session|k1"):
        feed.read_records([told])


REGISTRATION = {
    "format": feed.FORMAT,
    "incarnation": "0123456789abcdef",
    "node": "edge-1",
    "process": 1,
    "program": "1.0",
    "trust": 2.0,
    "stale": False,
    "tenants": None,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"incarnation": "short"},
        {"incarnation": "0123456789abcdef/.."},
        {"node": "two words"},
        {"node": "a\n"},
        {"trust": 0.1},
        {"trust": 1e9},
        {"tenants": []},
        {"tenants": ["t" * 1_001]},
        {"process": -1},
        {"secret": 1},
    ],
)
def test_a_registration_that_cannot_be_is_not_read(wrong):
    msgspec.convert(REGISTRATION, feed.FeedRegistration)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(REGISTRATION | wrong, feed.FeedRegistration)
