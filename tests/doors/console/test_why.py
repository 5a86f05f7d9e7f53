"""Why?: refusals and requests told step by step, and the secrets of a request shown nowhere."""

from __future__ import annotations

import re

import pytest
from tests import people
from tests.world import Owner

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
HEADERS = re.compile(r'<textarea id="headers"[^>]*>(.*?)</textarea>', re.DOTALL)


@pytest.fixture
def owner(world):
    """The first user of a tenant of their own."""
    return people.owner(world)


def key_of(world, person, **spec):
    whose = Owner(person.tenant_id, person.project_id, person.id)
    return world.key("storage", owner=whose, **({"scopes": ["storage:read"]} | spec))


def refused(server, key, **how):
    """Have a request refused; returns the refusal's id."""
    told = server.verdict(key.text, **({"method": "PUT"} | how))
    assert not told["allowed"]
    return told["decision"]


def test_a_refusal_is_told_step_by_step_with_the_smallest_change(server, world, owner, visitor):
    key = key_of(world, owner, name="Nightly backup")
    decision = refused(server, key)
    visitor.sign_in(owner)
    assert visitor.see(f"/why?id={decision}").status == 200
    page = visitor.page
    assert "Make a key with the scope storage:write; its owner may hold it." in page
    assert page.count('<li class="ok">') == 8
    assert page.count('<li class="no">') == 1
    assert "storage:write is needed; it was issued storage:read" in page
    assert f"latchgate explain --id {decision}" in page
    assert "Nightly backup" in page
    assert f'<a href="/why?id={decision}" translate="no">scope not granted</a>' in page
    assert 'aria-current="true"' in page


def test_no_stranger_learns_that_a_refusal_is_kept_and_the_operator_does(
    server, world, owner, visitor
):
    decision = refused(server, key_of(world, people.owner(world)))
    nobodys = server.verdict("nonsense")["decision"]
    visitor.sign_in(owner)
    said = set()
    for one in (decision, nobodys, "0123456789abcdef0123"):
        answer = visitor.see(f"/why?id={one}")
        assert answer.status == 404
        (fault,) = re.findall(r'id="id-fault"[^>]*>([^<]*)', visitor.page)
        said.add(fault)
        assert f"/why?id={one}" not in visitor.page
    assert said == {"No refusal of this id is kept for you to see. They are kept for 7 days."}
    visitor.cookies.clear()
    visitor.sign_in(people.person(world, "*"))
    assert visitor.see(f"/why?id={decision}").status == 200
    assert visitor.see(f"/why?id={nobodys}").status == 200
    assert f"/why?id={decision}" in visitor.page


def test_without_the_scope_there_is_no_page_and_no_line_in_the_menu(world, owner, visitor):
    visitor.sign_in(people.colleague(world, owner, "own:account.read", "manage:audit.read"))
    assert visitor.see("/why").status == 403
    visitor.see("/overview")
    assert 'href="/why"' not in visitor.page
    assert visitor.send("/why", {"method": "GET", "url": "/v1/storage/a"}).status == 403
    visitor.cookies.clear()
    visitor.sign_in(people.colleague(world, owner, "manage:decisions.read"))
    assert visitor.see("/why").status == 200


def test_who_sees_their_own_keys_sees_what_those_were_refused_and_no_more(
    server, world, owner, visitor
):
    colleague = people.colleague(world, owner, "own:keys.read", "storage:read")
    mine, theirs = key_of(world, colleague), key_of(world, owner)
    decision, other = refused(server, mine), refused(server, theirs)
    visitor.sign_in(colleague)
    assert visitor.see("/why").status == 200
    assert "Open one of your credentials" in visitor.page
    assert visitor.see(f"/why?id={other}").status == 404
    visitor.see(f"/why?credential={theirs.id}")
    assert f"/why?id={other}" not in visitor.page
    visitor.see(f"/why?credential={mine.id}")
    assert f"/why?id={decision}" in visitor.page
    visitor.see(f"/keys/{mine.id}")
    assert f'href="/why?id={decision}"' in visitor.page
    assert visitor.see(f"/why?id={decision}").status == 200
    for text, status in ((mine.text, 200), (theirs.text, 404)):
        asked = {"method": "GET", "url": "https://api.example.com/v1/storage/a"}
        sent = visitor.send("/why", asked | {"headers": f"Authorization: Bearer {text}"})
        assert sent.status == status


def test_a_pasted_secret_decides_and_is_shown_and_kept_nowhere(server, world, owner, visitor):
    key = key_of(world, owner)
    visitor.sign_in(owner)
    visitor.see("/why")
    asked = {
        "method": "PUT",
        "url": f"https://user:hunter2@api.example/v1/storage/a?sig=mysterious&key={key.text}",
        "headers": f"Authorization: Bearer {key.text}\r\nX-Other: a-header-of-mine",
        "client": "192.0.2.44",
    }
    answer = visitor.send("/why", asked)
    page = answer.body.decode()
    assert answer.status == 200
    assert "Make a key with the scope storage:write" in page
    assert 'value="https://api.example/v1/storage/a"' in page
    assert 'value="192.0.2.44"' in page
    assert HEADERS.findall(page) == [""]
    assert "latchgate explain -H @- PUT https://api.example/v1/storage/a --client" in page
    assert answer.headers["cache-control"] == "no-store"
    # Nobody made it: it is no refusal and no use.
    assert visitor.see("/why").status == 200
    assert "No credential of your organisation was refused anything of late." in visitor.page
    for secret in (key.text, key.text.rpartition("_")[2], "hunter2", "mysterious", "of-mine"):
        assert secret not in page
        assert secret not in visitor.page
        assert secret not in server.log


def test_an_allowed_request_says_so(server, world, owner, visitor):
    key = key_of(world, owner)
    visitor.sign_in(owner)
    visitor.see("/why")
    headers = {"headers": f"X-API-Key: {key.text}"}
    answer = visitor.send("/why", {"method": "GET", "url": "/v1/storage/a", **headers})
    assert answer.status == 200
    assert b"Allowed" in answer.body
    assert b"smallest change" not in answer.body


def test_a_strangers_key_is_not_explained(world, owner, visitor):
    key = key_of(world, people.owner(world))
    visitor.sign_in(owner)
    visitor.see("/why")
    headers = {"headers": f"Authorization: Bearer {key.text}"}
    answer = visitor.send("/why", {"method": "GET", "url": "/v1/storage/a", **headers})
    assert answer.status == 404
    assert b"is not known as one that you may see" in answer.body
    for told in (key.text, key.id, key.owner.user_id, key.owner.tenant_id):
        assert told.encode() not in answer.body


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"headers": "Host: a\nBearer hush-hush"}, "headers", "Line 2 is no header"),
        ({"headers": "A: hush-hush\n\na: hush-hush"}, "headers", "Line 3 gives a header"),
        ({"client": "Bearer hush-hush"}, "client", "***"),
        ({"method": "G" * 41, "headers": "A: hush-hush"}, "method", "length"),
        ({"headers": f"{'x' * 257}: hush-hush"}, "headers", "length"),
    ],
)
def test_what_cannot_be_taken_stands_beside_its_field(owner, visitor, asked, field, said):
    visitor.sign_in(owner)
    visitor.see("/why")
    answer = visitor.send("/why", {"method": "GET", "url": "/v1/storage/a", **asked})
    page = answer.body.decode()
    assert answer.status == 422
    assert said in "".join(re.findall(rf'<p class="fault" id="{field}-fault"[^>]*>([^<]*)', page))
    assert 'value="/v1/storage/a"' in page
    assert "hush-hush" not in page
    assert HEADERS.findall(page) == [""]


def test_an_id_leads_to_its_refusal_and_a_key_sent_for_one_leads_nowhere(world, owner, visitor):
    key = key_of(world, owner)
    visitor.sign_in(owner)
    visitor.see("/why")
    found = visitor.send("/why", {"id": " 0123456789ABCDEF0123 "})
    assert (found.status, found.headers["location"]) == (303, "/why?id=0123456789abcdef0123")
    answer = visitor.send("/why", {"id": key.text})
    assert answer.status == 422
    assert b"is not the id of a refusal" in answer.body
    assert key.text.encode() not in answer.body
    seen = visitor.see(f"/why?id={key.text}")
    assert seen.status == 404
    assert key.text not in visitor.page


def test_a_form_of_another_site_is_refused(owner, visitor):
    visitor.sign_in(owner)
    visitor.see("/why")
    assert visitor.send("/why", {"csrf": "", "id": "0123456789"}).status == 403
    assert visitor.send("/why", {"id": "0123456789"}, Origin="https://evil.example").status == 403


def test_refusals_are_listed_newest_first_by_page_and_by_credential(server, world, owner, visitor):
    loud, quiet = key_of(world, owner), key_of(world, owner)
    refused(server, quiet, target="/v1/storage/quiet")
    last = ""
    for at in range(22):
        last = refused(server, loud, target=f"/v1/storage/o{at:02}")
    server.call("GET", f"/manage/v1/decisions/{last}")  # waits until it is written
    visitor.sign_in(owner)
    visitor.see("/why")
    rows = re.findall(r"PUT (/v1/storage/\w+)<", visitor.page)
    assert rows == [f"/v1/storage/o{at:02}" for at in range(21, 1, -1)]
    (more,) = re.findall(r'rel="next" href="([^"]*)"', visitor.page)
    visitor.see(more)
    rows = re.findall(r"PUT (/v1/storage/\w+)<", visitor.page)
    assert rows == [f"/v1/storage/{one}" for one in ("o01", "o00", "quiet")]
    assert 'rel="next"' not in visitor.page
    visitor.see(f"/why?credential={quiet.id}")
    assert re.findall(r"PUT (/v1/storage/\w+)<", visitor.page) == ["/v1/storage/quiet"]
