"""The list of API keys: whose are seen, how it is narrowed, sorted and paged."""

from __future__ import annotations

import re

import pytest
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import Owner

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture
def owner(world):
    return people.owner(world)


def owner_of(person) -> Owner:
    return Owner(person.tenant_id, person.project_id, person.id)


def names(visitor: Visitor, path: str) -> list[str]:
    answer = visitor.see(path)
    assert answer.status == 200, visitor.page[-400:]
    return re.findall(r'<a href="/keys/[^"]+" translate="no">([^<]+)</a>', visitor.page)


def test_whoever_manages_keys_sees_the_tenants_and_others_their_own(server, world, owner):
    other = people.colleague(world, owner, "own:keys.read")
    world.key(owner=owner_of(owner), name="the owner's")
    world.key(owner=owner_of(other), name="the other's")
    world.key(name="another tenant's")
    seen = {}
    for person in (owner, other):
        visitor = Visitor(server)
        visitor.sign_in(person)
        seen[person.id] = sorted(names(visitor, "/keys"))
        # Asking for somebody else's makes nobody see more.
        asked = names(visitor, f"/keys?owner_id={owner.id}")
        assert asked == (["the owner's"] if person is owner else [])
    assert seen == {owner.id: ["the other's", "the owner's"], other.id: ["the other's"]}


def test_without_a_right_to_keys_there_is_no_page_and_no_entry(visitor, world):
    visitor.sign_in(people.person(world, "own:account.read"))
    assert visitor.see("/keys").status == 403
    assert 'href="/keys"' not in visitor.page
    assert visitor.see("/keys/new").status == 403


def test_whoever_only_reads_is_offered_nothing_to_make(visitor, world, owner):
    reader = people.colleague(world, owner, "manage:keys.read", "storage:read")
    made = world.key(owner=owner_of(owner))
    visitor.sign_in(reader)
    visitor.see("/keys")
    assert "/keys/new" not in visitor.page
    visitor.see(f"/keys/{made.id}")
    assert "/revoke" not in visitor.page
    for verb in ("change", "narrow", "rotate", "disable", "enable", "revoke"):
        assert visitor.see(f"/keys/{made.id}/{verb}").status == 403, verb
        assert visitor.send(f"/keys/{made.id}/{verb}").status == 403, verb
    assert visitor.send("/keys/new").status == 403


def test_the_list_is_searched_filtered_and_sorted_by_its_address(visitor, world, owner):
    who = owner_of(owner)
    world.key(owner=who, name="beta", description="of the shop")
    world.key("llm", owner=who, name="alpha", environment="dev")
    world.revoke(world.key(owner=who, name="gamma"))
    visitor.sign_in(owner)
    assert names(visitor, "/keys") == ["gamma", "alpha", "beta"]  # newest first
    assert names(visitor, "/keys?sort=name") == ["alpha", "beta", "gamma"]
    assert 'aria-sort="ascending"' in visitor.page
    assert names(visitor, "/keys?q=shop") == ["beta"]
    assert names(visitor, "/keys?service=llm") == ["alpha"]
    assert names(visitor, "/keys?environment=dev") == ["alpha"]
    assert names(visitor, "/keys?state=revoked") == ["gamma"]
    assert names(visitor, f"/keys?owner_id={owner.id}&state=active&sort=name") == ["alpha", "beta"]
    assert names(visitor, "/keys?state=expired") == []
    assert "No key is like that" in visitor.page
    assert visitor.see("/keys?state=odd").status == 422
    assert visitor.see("/keys?colour=red").status == 400


def test_pages_follow_one_another_and_hold_each_key_once(visitor, world, owner):
    with world.changing() as change:
        made = [
            world.key_in(change, owner=owner_of(owner), name=f"k{number:03}")
            for number in range(101)
        ]
    visitor.sign_in(owner)
    found, path = [], "/keys?sort=name"
    while path:
        page = names(visitor, path)
        assert len(page) <= 50
        found += page
        following = re.search(r'href="([^"]+)" rel="next"', visitor.page)
        path = following[1] if following else ""
    assert found == [f"k{number:03}" for number in range(101)]
    assert len(made) == 101


def test_an_empty_list_says_what_to_do_first(visitor, owner):
    visitor.sign_in(owner)
    visitor.see("/keys")
    assert "There is no API key yet." in visitor.page
    assert "Make the first key" in visitor.page


def test_what_people_wrote_is_shown_as_text(visitor, world, owner):
    made = world.key(owner=owner_of(owner), name="<b>x</b>", description='"><script>1</script>')
    visitor.sign_in(owner)
    for path in ("/keys", f"/keys/{made.id}", f"/keys/{made.id}/revoke"):
        body = visitor.ask("GET", path).body.decode()
        assert "<b>x" not in body
        assert "<script>1" not in body
        assert "&lt;b&gt;x" in body
