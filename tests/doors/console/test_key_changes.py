"""What is done to a key on its pages: asked for once, with a receipt, by who may."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import Owner

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def owner(world):
    return people.owner(world)


@pytest.fixture
def visitor(server, owner):
    made = Visitor(server)
    made.sign_in(owner)
    return made


@pytest.fixture
def key(world, owner):
    held = Owner(owner.tenant_id, owner.project_id, owner.id)
    return world.key(owner=held, name="shop", scopes=["storage:read", "storage:write"])


def row(world, key):
    return world.one(sa.select(schema.credential).where(schema.credential.c.id == key.id))


def hidden(visitor: Visitor, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', visitor.page)
    assert found is not None, visitor.page
    return found[1]


def test_name_and_description_are_changed_unless_somebody_else_was_first(visitor, world, key):
    visitor.see(f"/keys/{key.id}/change")
    form = {"name": "new", "description": "a\r\nb", "version": hidden(visitor, "version")}
    answer = visitor.send(f"/keys/{key.id}/change", form)
    assert answer.headers["location"] == f"/keys/{key.id}?done=changed"
    visitor.see(answer.headers["location"])
    assert "It was changed." in visitor.page
    assert (row(world, key).name, row(world, key).description) == ("new", "a\nb")
    stale = visitor.send(f"/keys/{key.id}/change", form | {"name": "newer"})
    assert stale.status == 409
    assert "changed meanwhile" in stale.body.decode()
    wrong = visitor.send(f"/keys/{key.id}/change", {"name": "", "description": "kept"})
    assert wrong.status == 422
    assert 'id="name-fault"' in wrong.body.decode()
    assert ">kept</textarea>" in wrong.body.decode()
    assert visitor.send(f"/keys/{key.id}/change", form | {"version": "x"}).status == 400
    assert row(world, key).name == "new"


def test_a_revoke_asks_once_and_comes_with_its_receipt(visitor, server, key):
    visitor.see(f"/keys/{key.id}/revoke")
    assert "This is for good." in visitor.page
    assert f"latchgate key revoke {key.id}" in visitor.page
    assert server.allows(key.text)  # a question changes nothing
    answer = visitor.send(f"/keys/{key.id}/revoke")
    assert (answer.status, server.allows(key.text)) == (200, False)
    assert re.search(r"Receipt: journal number \d+, acknowledged by 1 verifier\.", _text(answer))
    assert "state-revoked" in _text(answer)


def _text(answer) -> str:
    return str(answer.body.decode())


def test_a_key_is_switched_off_and_on_again(visitor, server, key):
    visitor.see(f"/keys/{key.id}/disable")
    told = _text(visitor.send(f"/keys/{key.id}/disable"))
    assert "The key is switched off." in told
    assert "Receipt: journal number" in told
    assert not server.allows(key.text)
    visitor.see(f"/keys/{key.id}/enable")
    assert "The key is switched on." in _text(visitor.send(f"/keys/{key.id}/enable"))
    assert server.allows(key.text)


def test_rights_are_taken_away_and_none_is_added(visitor, server, key):
    path = f"/keys/{key.id}/narrow"

    def send(*scopes: str):
        pairs = [("csrf", visitor.token), ("version", hidden(visitor, "version"))]
        body = urlencode([*pairs, *(("scopes", one) for one in scopes)]).encode()
        return visitor.ask("POST", path, body)

    visitor.see(path)
    assert "younger than 90 days" in visitor.page  # so nothing is proposed to go
    assert visitor.page.count(" checked") == 2
    wider = send("storage:read", "storage:delete")
    assert wider.status == 422
    assert "does not hold storage:delete" in _text(wider)
    nothing = send()
    assert nothing.status == 422
    assert "nothing would be left" in _text(nothing)
    told = _text(send("storage:read"))
    assert "Receipt: journal number" in told
    assert server.allows(key.text)
    assert not server.allows(key.text, method="PUT")
    assert send("storage:read").status == 409  # the form was of the key as it was


def test_a_key_of_somebody_else_is_not_there(visitor, server, world, owner, key):
    foreign = world.key()
    with world.changing() as change:
        change.execute(
            sa.update(schema.credential)
            .where(schema.credential.c.id == foreign.id)
            .values(name="theirs")
        )
    mine = Visitor(server)
    mine.sign_in(people.colleague(world, owner, "own:keys.read", "own:keys.write"))
    for who, other in ((visitor, foreign), (mine, key)):
        for path in ("", "/change", "/narrow", "/rotate", "/disable", "/enable", "/revoke"):
            assert who.see(f"/keys/{other.id}{path}").status == 404, path
            if path:
                form = {"name": "x"} if path == "/change" else {}
                assert who.send(f"/keys/{other.id}{path}", form).status in {404, 422}, path
    assert (row(world, foreign).name, row(world, foreign).revoked_at) == ("theirs", None)
    assert (row(world, key).name, row(world, key).disabled_at) == ("shop", None)
    assert row(world, key).superseded_by is None


def test_no_other_page_can_change_a_key(visitor, world, key):
    visitor.see(f"/keys/{key.id}")
    for verb in ("change", "narrow", "rotate", "disable", "enable", "revoke"):
        assert visitor.ask("POST", f"/keys/{key.id}/{verb}", {}).status == 403, verb
    kept = row(world, key)
    assert (kept.name, kept.revoked_at, kept.disabled_at) == ("shop", None, None)
    assert (kept.superseded_by, kept.scopes) == (None, '["storage:read","storage:write"]')
