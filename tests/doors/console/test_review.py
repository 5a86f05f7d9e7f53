"""The operator's review: requests first, each decided once, with a reason, by whoever may."""

from __future__ import annotations

import html
import secrets

import pytest
from tests import people
from tests.minting import approved

from latchgate.manage import applications, developers, published_key
from latchgate.manage.applications import ApplicationSpec
from latchgate.manage.developers import Proof

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

READ, WRITE = "operator:applications.read", "operator:applications.write"
KEY = "FEF5078EA41D182EEF89A21E034BD680"


def ask(world, name="Albums"):
    spec = ApplicationSpec(
        name, "Example <AG>", "a@example.com", "Reads.\nNothing else.", "individual"
    )
    return applications.request(world.store, spec, address=None, entropy=secrets.token_bytes)


def state(world, application_id):
    return applications.shown(world.store, application_id).state


def test_a_request_waits_on_top_and_says_everything_that_was_said(visitor, world):
    made, token = ask(world)
    visitor.sign_in(people.person(world, READ))
    visitor.see("/review")
    assert visitor.page.index("Waiting for a decision") < visitor.page.index("All applications")
    assert f'href="/review/{made.id}"' in visitor.page
    assert f"/review/{made.id}/approve" not in visitor.page  # who reads does not decide
    shown = visitor.see(f"/review/{made.id}").body
    for text in ("Example <AG>", "a@example.com", "an individual", "Reads.\nNothing else."):
        assert html.escape(text).encode() in shown
    assert token.reveal().encode() not in shown
    assert b"It was not decided yet." in shown
    assert visitor.send(f"/review/{made.id}/approve", {"reason": "x", "version": "1"}).status == 403
    assert state(world, made.id) == "requested"


def test_the_list_is_searched_filtered_and_paged_through(visitor, world):
    made, _ = ask(world, "Findable by name")
    visitor.sign_in(people.person(world, READ))
    visitor.see("/review?q=Findable&state=requested")
    assert "Waiting for a decision" not in visitor.page
    assert visitor.page.count(f'href="/review/{made.id}"') == 1
    visitor.see("/review?q=Findable&state=approved")
    assert "No application is like that." in visitor.page
    for wrong in ("/review?state=nothing", "/review?sort=purpose", "/review?after=x"):
        assert visitor.see(wrong).status == 422
    assert visitor.see("/review?other=1").status == 400


def test_each_decision_takes_a_reason_and_leads_on_with_a_receipt(visitor, world):
    made, _ = ask(world)
    visitor.sign_in(people.person(world, READ, WRITE))
    for verb, after in (
        ("refuse", "refused"),
        ("approve", "approved"),
        ("suspend", "suspended"),
        ("reinstate", "approved"),
    ):
        path = f"/review/{made.id}/{verb}"
        visitor.see(path)
        version = {"version": str(applications.shown(world.store, made.id).version)}
        assert visitor.send(path, {"reason": "why", **version, "csrf": ""}).status == 403
        empty = visitor.send(path, {"reason": " ", **version})
        assert (empty.status, b'id="reason-fault"' in empty.body) == (422, True)
        done = visitor.send(path, {"reason": f"why {verb}\r\nso", **version})
        assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
        found = applications.shown(world.store, made.id)
        assert (found.state, found.reason) == (after, f"why {verb}\nso")


def test_a_decision_on_what_was_decided_meanwhile_changes_nothing(visitor, world):
    made, _ = ask(world)
    visitor.sign_in(people.person(world, READ, WRITE))
    visitor.see(f"/review/{made.id}/approve")
    first = {"reason": "no", "version": str(made.version)}
    assert visitor.send(f"/review/{made.id}/refuse", first).status == 200
    late = visitor.send(f"/review/{made.id}/approve", {**first, "reason": "yes"})
    assert (late.status, state(world, made.id)) == (409, "refused")
    none = visitor.send(f"/review/{made.id}/approve", {"reason": "yes", "version": "x"})
    assert (none.status, state(world, made.id)) == (409, "refused")


def test_the_keys_of_an_application_are_told_by_their_ids_alone(visitor, world, server):
    made, token = ask(world)
    boss = world.acting(world.admin)
    applications.decide(world.store, boss, made.id, applications.Verb.APPROVE, "yes")
    policy = world.engine().policy
    key, issued, _ = developers.issue_key(
        world.store,
        policy,
        Proof(made.id, token.reveal(), None),
        None,
        replace=None,
        entropy=secrets.token_bytes,
    )
    visitor.sign_in(people.person(world, READ))
    visitor.see(f"/review/{made.id}")
    assert key.id in visitor.page
    assert issued.secret.reveal() not in visitor.page


def test_whoever_reviews_nothing_sees_no_review(visitor, world):
    made = approved(world)
    owner = people.owner(world)  # everything in their tenant, and nothing of the operator's
    visitor.sign_in(owner)
    visitor.see("/applications")
    assert "/review" not in visitor.page
    for path in ("/review", f"/review/{made}", f"/review/{made}/suspend", "/review/test-key"):
        assert visitor.see(path).status == 403
        assert visitor.send(path, {"reason": "x"}).status in {403, 405}
    assert state(world, made) == "approved"


def test_the_test_key_is_taken_for_some_tenants_and_a_wrong_one_told_at_its_field(visitor, world):
    visitor.sign_in(people.person(world, READ, WRITE))
    visitor.see("/review/test-key")
    assert "No test key is taken." in visitor.page
    tenant = world.tenant()
    wrong = visitor.send("/review/test-key", {"api_key": "short", "tenants": tenant})
    assert (wrong.status, b'id="api_key-fault"' in wrong.body) == (422, True)
    unknown = visitor.send("/review/test-key", {"api_key": KEY, "tenants": "t-none"})
    assert (unknown.status, b'id="tenants-fault"' in unknown.body) == (422, True)
    assert published_key.shown(world.store) is None
    assert visitor.send("/review/test-key", {"api_key": KEY, "csrf": ""}).status == 403
    done = visitor.send("/review/test-key", {"api_key": KEY, "tenants": f"{tenant}\r\n"})
    assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
    taken = published_key.shown(world.store)
    assert taken is not None
    assert taken.tenants == [tenant]
