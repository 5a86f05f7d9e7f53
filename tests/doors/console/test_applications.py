"""What may act for somebody, and what they keep out: their own, whatever else they may do."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests import people
from tests.acting import consent
from tests.doors.console.visitor import Visitor
from tests.minting import approved, client, with_issuer
from tests.world import FILES

from latchgate.manage.applications import ApplicationSpec
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

READ, WRITE = "own:applications.read", "own:applications.write"
POLICY = with_issuer(FILES, 1)


def blocks(world, user_id):
    table = schema.application_block
    wanted = sa.select(table.c.application_id).where(table.c.user_id == user_id)
    return [row.application_id for row in world.all(wanted)]


def test_what_was_allowed_is_told_in_words_and_taken_back_by_whoever_holds_no_right(
    visitor, server, world
):
    made = client(world, POLICY)
    nobody = people.person(world, "storage:read")
    consent(world, made, nobody.id)
    visitor.sign_in(nobody)
    visitor.see("/applications")
    assert "Show who one is and what one may do" in visitor.page
    assert "It holds nothing now" in visitor.page
    assert "What you keep out" not in visitor.page
    asking = f"/applications/{made.id}/withdraw"
    assert visitor.see(asking).status == 200
    assert "Withdraw Photos?" in visitor.page
    assert visitor.send(asking, {"csrf": "0" * 64}).status == 403
    done = visitor.send(asking)
    assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
    assert b"No application may act for you." in done.body
    other = Visitor(server)
    other.sign_in(people.person(world))
    assert other.see(asking).status == 404
    assert other.send(asking).status == 404


def test_an_application_is_blocked_and_unblocked_for_oneself_alone(visitor, world):
    me, app = people.person(world, READ, WRITE), approved(world)
    visitor.sign_in(me)
    visitor.see(f"/applications/{app}/block")
    assert "Block Photos for yourself?" in visitor.page
    done = visitor.send(f"/applications/{app}/block").body
    assert b"Receipt: journal number" in done
    assert b"Unblock Photos" in done
    assert blocks(world, me.id) == [app]
    assert visitor.send(f"/applications/{app}/unblock").status == 200
    assert blocks(world, me.id) == []


def test_an_application_is_blocked_by_its_id_and_a_wrong_one_is_told_at_its_field(visitor, world):
    me = people.person(world, READ, WRITE)
    app = approved(world, ApplicationSpec("<b>", "V", "a@example.com", "P", "individual"))
    visitor.sign_in(me)
    visitor.see("/applications")
    for wrong in ("", "app-of-nobody"):
        refused = visitor.send("/applications/block", {"application_id": wrong})
        page = refused.body.decode()
        assert (refused.status, 'id="application_id-fault"' in page) == (422, True)
        assert f'value="{wrong}"' in page
    done = visitor.send("/applications/block", {"application_id": f" {app} "})
    assert (done.status, b"&lt;b&gt;" in done.body, b"<b>" in done.body) == (200, True, False)
    assert blocks(world, me.id) == [app]


def test_whoever_may_not_block_is_not_offered_it_and_is_refused(visitor, world):
    made, reader = client(world, POLICY), people.person(world, READ)
    consent(world, made, reader.id)
    visitor.sign_in(reader)
    visitor.see("/applications")
    assert "What you keep out" in visitor.page
    assert "/block" not in visitor.page
    path = f"/applications/{made.application_id}"
    for below in ("/block", "/unblock"):
        assert visitor.send(path + below).status == 403
    assert visitor.send("/applications/block", {"application_id": "x"}).status == 403
    assert blocks(world, reader.id) == []
