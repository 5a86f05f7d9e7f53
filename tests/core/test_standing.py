from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import (
    FUZZ,
    NOW,
    OWNER,
    PROJECT,
    TENANT,
    changed,
    credential,
    request,
    service_key,
)

from latchgate.core.model import Facts, Grant, Refused, Role, TraceStep
from latchgate.core.network import Networks
from latchgate.core.reason import Reason, Step
from latchgate.core.scope import ALL, NONE, Scopes
from latchgate.core.standing import assemble, roles_left, standing

KEY = credential(service_key())
UNIVERSE = ("a:r", "a:w", "b:r")
SETS = st.one_of(st.just(ALL), st.frozensets(st.sampled_from(UNIVERSE)).map(Scopes.of))


def facts(record=KEY, *, rights=ALL, parent=None, owner=OWNER, tenant=TENANT, project=PROJECT):
    return assemble(
        record, owner=owner, tenant=tenant, project=project, owner_rights=rights, parent=parent
    )


def stands(found: Facts, *, now: float = NOW, client: str | None = "192.0.2.10"):
    return standing(found, request(client=client), now, [])


def reason(found: Facts, **more) -> Reason:
    refused = stands(found, **more)
    assert isinstance(refused, Refused)
    return refused.reason


def test_a_credential_whose_holders_stand_gives_what_was_issued():
    found = facts(changed(KEY, scopes=Scopes.of(["a:r"])))
    assert stands(found) == Grant(found.credential, OWNER, Scopes.of(["a:r"]))


@FUZZ
@given(issued=SETS, owner=SETS, above=SETS, owner_above=SETS)
def test_rights_are_what_was_issued_and_the_owner_has_now_and_the_parent_has_now(
    issued, owner, above, owner_above
):
    parent = facts(changed(KEY, id="above", scopes=above), rights=owner_above)
    child = changed(KEY, id="below", parent_id="above", scopes=issued)
    grant = stands(facts(child, rights=owner, parent=parent))
    assert isinstance(grant, Grant)
    for scope in UNIVERSE:
        expected = all(scope in held for held in (issued, owner, above, owner_above))
        assert (scope in grant.rights) == expected
    assert grant.rights.every == all(held.every for held in (issued, owner, above, owner_above))


@FUZZ
@given(sets=st.lists(st.tuples(SETS, SETS), min_size=1, max_size=5))
def test_d5_38_no_chain_of_parents_ever_widens_what_one_of_them_may_do(sets):
    found = None
    for number, (issued, owner) in enumerate(sets):
        record = changed(
            KEY, id=f"k{number}", scopes=issued, parent_id=found and found.credential.id
        )
        found = facts(record, rights=owner, parent=found)
    assert found is not None
    grant = stands(found)
    assert isinstance(grant, Grant)
    for issued, owner in sets:
        assert issued.lacking(grant.rights) == []
        assert owner.lacking(grant.rights) == []


@pytest.mark.parametrize(
    ("holders", "expected"),
    [
        ({"tenant": None}, Reason.TENANT_SUSPENDED),
        ({"tenant": changed(TENANT, active=False)}, Reason.TENANT_SUSPENDED),
        ({"owner": None}, Reason.OWNER_MISSING),
        ({"owner": changed(OWNER, active=False)}, Reason.OWNER_DISABLED),
        ({"project": None}, Reason.PROJECT_DISABLED),
        ({"project": changed(PROJECT, active=False)}, Reason.PROJECT_DISABLED),
    ],
)
def test_d5_42_a_holder_that_is_gone_or_disabled_takes_the_credential_with_it(holders, expected):
    assert facts(**holders).grant is None
    assert reason(facts(**holders)) is expected


@pytest.mark.parametrize(
    ("holders", "expected"),
    [
        ({"owner": changed(OWNER, tenant_id="t-evil")}, Reason.OWNER_MISSING),
        ({"owner": changed(OWNER, tenant_id="t-evil", active=False)}, Reason.OWNER_MISSING),
        ({"project": changed(PROJECT, tenant_id="t-evil")}, Reason.PROJECT_DISABLED),
    ],
)
def test_d5_49_a_holder_of_another_tenant_is_none(holders, expected):
    assert reason(facts(**holders)) is expected


def test_d5_49_a_parent_of_another_tenant_is_none():
    evil = changed(TENANT, id="t-evil")
    parent = facts(
        changed(KEY, id="above", tenant_id="t-evil"),
        tenant=evil,
        owner=changed(OWNER, id="u-evil", tenant_id="t-evil"),
        project=changed(PROJECT, tenant_id="t-evil"),
    )
    assert isinstance(stands(parent), Grant)
    assert reason(facts(changed(KEY, parent_id="above"), parent=parent)) is Reason.PARENT_GONE


GONE = [
    ({"revoked_at": NOW - 1}, {}),
    ({"expires_at": NOW}, {}),
    ({"networks": Networks.of(["203.0.113.0/24"])}, {}),
    ({"networks": Networks(())}, {}),
    ({}, {"owner": None}),
    ({}, {"owner": changed(OWNER, active=False)}),
    ({}, {"project": None}),
    ({"parent_id": "nobody"}, {}),
]


@pytest.mark.parametrize(("fields", "holders"), GONE)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_d5_41_a_credential_never_outlives_any_of_those_it_came_from(fields, holders, depth):
    found = facts(changed(KEY, id="k0", **fields), **holders)
    assert isinstance(stands(found), Refused)
    for number in range(1, depth + 1):
        child = changed(KEY, id=f"k{number}", parent_id=f"k{number - 1}", expires_at=None)
        found = facts(child, parent=found)
    assert reason(found) is Reason.PARENT_GONE


def test_a_parent_that_does_not_exist_is_told_from_no_parent():
    assert isinstance(stands(facts()), Grant)
    assert reason(facts(changed(KEY, parent_id="nobody"))) is Reason.PARENT_GONE


@FUZZ
@given(expiry=st.floats(0, 4e9), now=st.floats(0, 4e9))
def test_a_credential_is_valid_exactly_while_now_is_before_its_expiry(expiry, now):
    found = facts(changed(KEY, expires_at=expiry))
    assert isinstance(stands(found, now=now), Grant) == (now < expiry)
    assert isinstance(stands(found, now=math.nextafter(expiry, -math.inf)), Grant)
    assert reason(found, now=expiry) is Reason.CREDENTIAL_EXPIRED


@pytest.mark.parametrize("now", [0.0, NOW - 500, NOW, NOW + 1e9])
@pytest.mark.parametrize("revoked", [0.0, NOW - 1, NOW, NOW + 1000])
def test_d5_43_a_revoked_credential_stays_revoked_whatever_the_clocks_say(now, revoked):
    found = facts(changed(KEY, revoked_at=revoked))
    assert reason(found, now=now) is Reason.CREDENTIAL_REVOKED


@pytest.mark.parametrize(
    ("listed", "client", "expected"),
    [
        (None, "192.0.2.10", None),
        (None, None, None),
        (["192.0.2.0/24"], "192.0.2.10", None),
        (["192.0.2.0/24"], "::ffff:192.0.2.10", None),
        (["192.0.2.0/24"], "192.0.3.1", Reason.NETWORK_NOT_ALLOWED),
        (["::/0"], "192.0.2.10", Reason.NETWORK_NOT_ALLOWED),
        (["0.0.0.0/0"], "2001:db8::1", Reason.NETWORK_NOT_ALLOWED),
        ([], "192.0.2.10", Reason.NETWORK_NOT_ALLOWED),
        (["192.0.2.0/24"], None, Reason.CLIENT_ADDRESS_INVALID),
        (["0.0.0.0/0", "::/0"], None, Reason.CLIENT_ADDRESS_INVALID),
        ([], None, Reason.CLIENT_ADDRESS_INVALID),
    ],
)
def test_d3_23_a_network_list_is_never_skipped_for_want_of_an_address(listed, client, expected):
    networks = Networks.of(listed) if listed is not None else None
    found = stands(facts(changed(KEY, networks=networks)), client=client)
    assert (found.reason if isinstance(found, Refused) else None) is expected


def test_d5_39_a_credential_without_scopes_may_do_nothing_however_much_its_owner_may():
    grant = stands(facts(changed(KEY, scopes=NONE)))
    assert isinstance(grant, Grant)
    assert grant.rights == NONE
    grant = stands(facts(rights=NONE))
    assert isinstance(grant, Grant)
    assert grant.rights == NONE


def test_the_checks_come_in_their_documented_order():
    wrong = {
        "revoked_at": NOW - 1,
        "expires_at": NOW - 1,
        "parent_id": "nobody",
        "networks": Networks(()),
    }
    order: list[tuple[str | None, Reason]] = [
        ("revoked_at", Reason.CREDENTIAL_REVOKED),
        ("expires_at", Reason.CREDENTIAL_EXPIRED),
        ("parent_id", Reason.PARENT_GONE),
        ("networks", Reason.NETWORK_NOT_ALLOWED),
    ]
    for name, expected in order:
        assert reason(facts(changed(KEY, **wrong))) is expected
        wrong.pop(name or "")
    assert isinstance(stands(facts(changed(KEY, **wrong))), Grant)


def test_what_was_looked_at_is_in_the_trace_up_to_the_first_failure():
    trace: list[TraceStep] = []
    held = changed(KEY, networks=Networks.of(["192.0.2.0/24"]), expires_at=NOW + 60)
    standing(facts(held), request(), NOW, trace)
    assert [(step, ok) for step, ok, _ in trace] == [
        (Step.STATE, True),
        (Step.OWNER, True),
        (Step.NETWORK, True),
    ]
    assert trace[0][2] == (None, NOW + 60, NOW, None, None)
    trace.clear()
    standing(facts(changed(held, revoked_at=NOW - 5)), request(), NOW, trace)
    assert trace == [(Step.STATE, False, (NOW - 5, NOW + 60, NOW, None, None))]
    trace.clear()
    standing(facts(held, owner=None), request(), NOW, trace)
    assert [(step, ok) for step, ok, _ in trace] == [(Step.STATE, True), (Step.OWNER, False)]
    trace.clear()
    standing(facts(held), request(client="203.0.113.1"), NOW, trace)
    assert [ok for _, ok, _ in trace] == [True, True, False]


# --- credentials that stand for roles

READER = Role("r-reader", None, Scopes.of(["a:r"]), ())
MEMBER = Role("r-member", "t-acme", Scopes.of(["a:w"]), ("r-reader",))
ADMIN = Role("r-admin", "t-acme", Scopes.of(["b:r"]), ("r-member",))
EVIL = Role("r-evil", "t-evil", ALL, ("r-admin",))
CIRCLE = Role("r-circle", None, NONE, ("r-turn",))
TURN = Role("r-turn", None, NONE, ("r-circle", "r-reader"))
ROLES = {role.id: role for role in (READER, MEMBER, ADMIN, EVIL, CIRCLE, TURN)}
IDS = st.lists(st.sampled_from([*ROLES, "r-gone"]), max_size=4)


def left(issued, held, parent=None) -> set[str]:
    record = changed(KEY, roles=tuple(issued))
    return set(roles_left(record, held, parent, ROLES.get))


@pytest.mark.parametrize(
    ("issued", "held", "expected"),
    [
        (["r-admin"], ["r-admin"], {"r-admin", "r-member", "r-reader"}),
        (["r-admin"], ["r-member"], {"r-member", "r-reader"}),
        (["r-member"], ["r-admin"], {"r-member", "r-reader"}),
        (["r-reader"], ["r-admin"], {"r-reader"}),
        (["r-admin"], ["r-reader"], {"r-reader"}),
        (["r-admin"], [], set()),
        ([], ["r-admin"], set()),
        (["r-gone"], ["r-gone"], set()),
        (["r-circle"], ["r-turn"], {"r-circle", "r-turn", "r-reader"}),
        (["r-evil"], ["r-evil"], set()),
        (["r-admin"], ["r-evil"], set()),
        (["r-evil"], ["r-admin"], set()),
    ],
)
def test_both_sides_are_expanded_before_they_are_met(issued, held, expected):
    assert left(issued, held) == expected


@FUZZ
@given(issued=IDS, held=IDS, more=IDS)
def test_d5_38_roles_left_are_among_both_sides_and_grow_with_neither_alone(issued, held, more):
    found = left(issued, held)
    assert found <= left(issued, ROLES) & left(ROLES, held)
    assert found == left(held, issued)
    assert found <= left([*issued, *more], [*held, *more])
    assert "r-evil" not in found


def above(*roles: str, held=("r-admin",), issued: tuple[str, ...] | None = ()) -> Facts:
    record = changed(KEY, id="above", roles=issued if issued is None else roles)
    found = roles_left(record, held, None, ROLES.get) if record.roles is not None else {}
    return assemble(
        record,
        owner=OWNER,
        tenant=TENANT,
        project=PROJECT,
        owner_rights=ALL,
        parent=None,
        roles=frozenset(found),
    )


def test_a_parents_roles_bound_its_childs_and_one_without_roles_takes_none_away():
    assert left(["r-admin"], ["r-admin"], above("r-member")) == {"r-member", "r-reader"}
    assert left(["r-admin"], ["r-admin"], above("r-admin", held=["r-reader"])) == {"r-reader"}
    nothing = above("r-member", held=[])
    assert nothing.gap is Reason.ROLES_WITHDRAWN
    assert left(["r-admin"], ["r-admin"], nothing) == set()
    assert left(["r-reader"], ["r-admin"], above(issued=None)) == {"r-reader"}


def test_where_no_role_is_left_it_does_not_stand_but_for_one_of_no_project():
    keyed = changed(KEY, roles=("r-admin",))
    assert reason(facts(keyed)) is Reason.ROLES_WITHDRAWN
    bare = changed(KEY, roles=(), project_id="")
    grant = stands(facts(bare, rights=NONE, project=None))
    assert isinstance(grant, Grant)
    assert grant.rights == NONE
    assert reason(facts(changed(bare, project_id="p-web"), project=None)) is Reason.PROJECT_DISABLED


def test_more_roles_than_a_decision_looks_at_are_not_looked_at():
    many = {f"r-{n}": Role(f"r-{n}", None, NONE, (f"r-{n + 1}",)) for n in range(1_000)}
    record = changed(KEY, roles=("r-0",))
    assert len(roles_left(record, ["r-0"], None, many.get)) == 64
