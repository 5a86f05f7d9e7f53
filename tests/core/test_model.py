from __future__ import annotations

import gc

import pytest
from tests.core.worlds import (
    OWNER,
    PROJECT,
    ROLE,
    TENANT,
    bearer,
    credential,
    decide,
    request,
    service_key,
    world,
)

from latchgate.core.model import (
    Credential,
    Decision,
    Grant,
    Noun,
    Presented,
    Record,
    Refused,
    Request,
)
from latchgate.core.network import Networks
from latchgate.core.reason import Reason

ISSUED = service_key()
RECORD = credential(ISSUED, networks=Networks.of(["192.0.2.0/24"]), external_id="crm-7")
TEXT = ISSUED.secret.reveal()
ASKED = request(headers={**bearer(TEXT), "cookie": "session=hush", "x-api-key": TEXT})
DECISION = decide(ASKED, world(RECORD))
SHOWN = [
    ASKED,
    RECORD,
    Presented("w.service_key", ISSUED.id, ISSUED.digest),
    DECISION,
    DECISION.grant,
    *DECISION.trace,
]


@pytest.mark.parametrize("thing", SHOWN, ids=lambda found: type(found).__name__)
def test_nothing_prints_what_a_request_carried_or_what_a_secret_digests_to(thing):
    for printed in (repr(thing), str(thing), f"{thing!r:.5000}"):
        assert TEXT[-20:] not in printed
        assert "hush" not in printed
        assert ISSUED.digest.hex() not in printed
        assert repr(ISSUED.digest)[2:-1] not in printed


def test_a_pretty_printer_sees_no_header_that_repr_does_not_show():
    pretty = getattr(ASKED, "__rich_repr__", None)
    fields = repr(list(pretty())) if pretty is not None else ""
    assert TEXT[-20:] not in fields
    assert "hush" not in fields


def test_a_request_prints_what_is_needed_to_recognise_it():
    assert repr(ASKED) == "Request(GET api.example.com 192.0.2.10, 3 headers)"


def test_a_query_is_not_printed_because_clients_put_secrets_into_it():
    assert "hush" not in repr(request(target="/v1/storage?key=hush"))


@pytest.mark.parametrize(
    "thing", [ASKED, TENANT, PROJECT, ROLE, OWNER, RECORD, DECISION, Refused(Reason.FAULT)]
)
def test_facts_are_never_changed_in_place(thing):
    name = type(thing).__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(thing, name, None)


def test_only_the_one_reason_allows():
    for reason in Reason:
        found = Decision(
            id="",
            reason=reason,
            area=None,
            rule=None,
            grant=None,
            dialect="problem",
            policy_version=0,
            journal=0,
            trace=(),
        )
        assert found.allowed == (reason is Reason.ALLOWED)


def test_a_request_trusts_nothing_that_it_was_not_told():
    bare = Request(method="GET", host="", target="/", headers={})
    assert bare.client is None
    assert bare.tls is False
    assert bare.fault is None
    assert bare.repeated == frozenset()


def test_a_noun_names_a_record_together_with_an_id_as_a_word_or_as_itself():
    names = {(Noun.USER, "1"): "user", (Noun.TENANT, "1"): "tenant"}
    assert names[Noun("user"), "1"] == "user"
    assert names["tenant", "1"] == "tenant"  # type: ignore[index]
    assert len({str(noun) for noun in Noun}) == len(Noun)


def test_every_record_carries_the_id_that_it_is_found_by():
    for kind in Record.__args__:
        assert "id" in kind.__struct_fields__
    assert Credential.__struct_fields__[0] == "id"


def test_a_grant_names_credential_owner_and_rights():
    assert isinstance(DECISION.grant, Grant)
    assert DECISION.grant.credential is RECORD
    assert DECISION.grant.owner is OWNER


def test_requests_and_decisions_are_nothing_to_the_collector_of_cycles():
    """Each is made of what was there before it; its walks would grow with every request."""
    assert not gc.is_tracked(ASKED)
    assert not gc.is_tracked(DECISION)
