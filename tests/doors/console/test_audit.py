"""The journal on pages: whose rows, with names, filters, one in full, and its signed head."""

from __future__ import annotations

import html
import json
import re

import pytest
from tests import people
from tests.world import Owner

from latchgate.core.model import Noun
from latchgate.core.timestamp import rfc3339
from latchgate.manage.chain import parse_head

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
ROWS = re.compile(r'<a href="/audit/(\d+)" translate="no"><code>([^<]*)</code>')


@pytest.fixture
def owner(world):
    """The first user of a tenant of their own."""
    return people.owner(world)


def key_of(world, person, **spec):
    return world.key(owner=Owner(person.tenant_id, person.project_id, person.id), **spec)


def actions(visitor, query=""):
    """Return what the rows of a page say was done."""
    assert visitor.see(f"/audit{query}").status == 200
    return [action for _, action in ROWS.findall(visitor.page)]


def test_changes_are_listed_newest_first_with_the_names_of_who_and_what(world, owner, visitor):
    key = key_of(world, owner, name="Nightly <backup>")
    visitor.sign_in(owner)
    assert actions(visitor)[:2] == ["session.begin", "key.create"]
    body = visitor.ask("GET", "/audit").body.decode()
    assert "Nightly &lt;backup&gt;" in body
    assert f'<a href="/people/{owner.id}">{name_of(world, owner)}</a>' in body
    assert key.owner.tenant_id not in body  # it is their own


def name_of(world, person):
    from latchgate.manage import naming

    caller = world.acting(world.admin)
    return naming.users(world.store, caller, [person.id], everywhere=True)[person.id]


def test_one_change_is_shown_with_before_and_after_to_whoever_may_list_it(world, owner, visitor):
    key = key_of(world, owner, scopes=["storage:read", "storage:write"])
    world.revoke(key)
    stranger = key_of(world, people.owner(world))
    visitor.sign_in(owner)
    visitor.see(f"/audit?record={key.id}")
    (revoked, _), (created, _) = ROWS.findall(visitor.page)
    assert visitor.see(f"/audit/{revoked}").status == 200
    cells = re.findall(r"<td data-label=[^>]*><span>\s*(.*?)\s*</span></td>", visitor.page)
    assert cells[0] == '<span class="hint">nothing</span>'
    assert cells[1].startswith('<time datetime="')
    assert f"latchgate audit list --after {int(revoked) - 1} --limit 1 --json" in visitor.page
    visitor.see(f"/audit/{created}")
    assert "storage:read, storage:write" in visitor.page
    assert ">Before<" not in visitor.page
    (row,) = [one for one in world.journal() if one.record == stranger.id]
    for n in (str(row.n), "99999999", "x", "1" * 16):
        assert visitor.see(f"/audit/{n}").status == 404


def test_filters_narrow_the_list_and_a_users_id_is_enough_to_say_who(world, owner, visitor):
    key = key_of(world, owner)
    visitor.sign_in(owner)
    today = rfc3339(world.clock())[:10]
    for query, found in (
        (f"?actor={owner.id}", ["session.begin"]),
        (f"?actor=user:{owner.id}", ["session.begin"]),
        (f"?record={key.id}", ["key.create"]),
        ("?action=key.create&noun=credential", ["key.create"]),
        (f"?action=key.create&since={today}&until={today}", ["key.create"]),
        ("?action=key.create&until=2020-01-01", []),
        ("?actor=local:init", []),
    ):
        assert actions(visitor, query) == found
    assert "No change is like this." in visitor.page
    assert "latchgate audit list --actor local:init" in visitor.page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("until=2026-13-01", "until"),
        ("noun=nothing", "noun"),
        ("after=-1", "after"),
    ],
)
def test_what_cannot_be_asked_stands_beside_its_field(owner, visitor, query, field):
    visitor.sign_in(owner)
    assert visitor.see(f"/audit?{query}&record=kept").status == 422
    assert f'id="{field}-fault"' in visitor.page or f"{field}: must be" in visitor.page
    assert 'value="kept"' in visitor.page


def test_pages_follow_each_other_to_the_first_change(world, owner, visitor):
    whose = Owner(owner.tenant_id, owner.project_id, owner.id)
    with world.changing() as change:
        for _ in range(60):
            world.key_in(change, owner=whose)
    visitor.sign_in(owner)
    expected = [row.n for row in world.journal() if row.tenant_id == owner.tenant_id][::-1]
    seen, address = [], "/audit"
    while address:
        visitor.see(address)
        seen += [int(n) for n, _ in ROWS.findall(visitor.page)]
        address = next(iter(re.findall(r'href="([^"]*)" rel="next"', visitor.page)), "")
    assert seen == expected


def test_another_tenants_rows_and_the_head_are_the_operators(server, world, owner, visitor):
    visitor.sign_in(owner)
    assert visitor.see(f"/audit?tenant={world.owner.tenant_id}").status == 403
    assert visitor.see("/audit/head").status == 403
    visitor.see("/audit")
    assert 'href="/audit/head"' not in visitor.page
    visitor.cookies.clear()
    visitor.sign_in(people.person(world, "*"))
    assert "login.create" in actions(visitor, f"?tenant={owner.tenant_id}")
    assert "/audit/head" in visitor.page
    assert visitor.see("/audit/head").status == 200
    (shown,) = re.findall(r"<code>(\{.*?\})</code>", visitor.page, re.DOTALL)
    head = parse_head(html.unescape(shown).encode())
    assert head.n <= world.head()
    kept = server.folder / "head.json"
    kept.write_text(json.dumps(json.loads(html.unescape(shown))))
    assert server.cli("audit", "verify", "--remote", "--against", str(kept)).code == 0


def test_without_the_scope_there_is_no_page_and_no_line_in_the_menu(world, owner, visitor):
    visitor.sign_in(people.colleague(world, owner, "manage:usage.read"))
    assert visitor.see("/audit").status == 403
    assert visitor.see("/audit/1").status == 403
    visitor.see("/overview")
    assert 'href="/audit"' not in visitor.page


def test_what_is_no_change_of_a_record_is_shown_as_it_is(world, owner, visitor):
    with world.changing() as change:
        n = change.note(
            "test.told",
            Noun.USER,
            owner.id,
            tenant_id=owner.tenant_id,
            detail={"after": {"name": "a", "active": True, "roles": [{"b": 1}]}, "why": "<c>"},
        )
    visitor.sign_in(owner)
    body = visitor.ask("GET", f"/audit/{n}").body.decode()
    assert "&#34;why&#34;: &#34;&lt;c&gt;&#34;" in body
    assert "[{&#34;b&#34;:1}]" in body
    assert "<span>yes</span>" in re.sub(r">\s+", ">", re.sub(r"\s+<", "<", body))
