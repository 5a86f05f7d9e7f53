"""Apps connection: switched on with a password shown once, reissued, switched off at once."""

from __future__ import annotations

import base64
import html
import re

import msgspec
import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import http_request

from latchgate.core.model import Noun
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PART = re.compile(r'<code class="secret" translate="no" id="part-\d">(.*?)</code>')
PASSWORD = re.compile(r"tcap_[0-9A-Za-z]+")


@pytest.fixture
def owner(world):
    return people.owner(world)


@pytest.fixture
def opened(visitor, owner):
    """A visitor who is signed in, with the form that switches TeraCLOUD's on open."""
    visitor.sign_in(owner)
    visitor.see("/apps/teracloud/on")
    return visitor


def once(visitor):
    return {"once": re.findall(r'name="once" value="([0-9a-f]+)"', visitor.page)[-1]}


def switched_on(visitor, login):
    answer = visitor.send("/apps/teracloud/on", {"login": login})
    page = html.unescape(answer.body.decode())
    assert answer.status == 200, page
    return PART.findall(page)


def opens(server, login, password):
    """Ask the verify address about a request for files."""
    told = base64.b64encode(f"{login}:{password}".encode()).decode()
    asked = {
        "method": "PROPFIND",
        "target": "/dav/",
        "host": "api.example",
        "headers": {"Authorization": f"Basic {told}"},
        "client": "192.0.2.1",
        "tls": True,
    }
    url = server.addresses["verify"] + "/"
    return http_request("POST", url, body=msgspec.json.encode(asked)).json["allowed"]


def test_switching_on_shows_address_name_and_password_once(opened, server):
    url, login, password = switched_on(opened, "Ada1")
    assert (url, login) == (f"{server.addresses['api']}/dav/", "ada1")
    assert opens(server, login, password) is True
    for path in ("/apps", "/apps/teracloud/reissue", "/apps/teracloud/off"):
        assert opened.see(path).status == 200
        assert password not in opened.page
    opened.see("/apps")
    assert ">ada1</code>" in opened.page


def test_reissuing_asks_once_ends_the_old_password_and_is_done_once(opened, server):
    _, login, first = switched_on(opened, "ada2")
    opened.see("/apps/teracloud/reissue")
    assert "ends at once" in opened.page
    form = once(opened)
    answer, again = (opened.send("/apps/teracloud/reissue", form) for _ in range(2))
    second = PART.findall(answer.body.decode())[-1]
    assert (opens(server, login, first), opens(server, login, second)) == (False, True)
    assert PASSWORD.search(again.body.decode()) is None
    assert b"sent twice" in again.body


def test_switching_off_ends_it_with_a_receipt_and_keeps_the_name(opened, server):
    _, login, password = switched_on(opened, "ada3")
    opened.see("/apps/teracloud/off")
    answer = opened.send("/apps/teracloud/off")
    assert (answer.status, b"Receipt: journal number" in answer.body) == (200, True)
    assert opens(server, login, password) is False
    opened.see("/apps")
    assert ">ada3</code>" in opened.page
    opened.see("/apps/teracloud/on")
    assert 'name="login"' not in opened.page


def test_it_is_switched_on_once_however_often_the_form_is_sent(opened):
    form = once(opened) | {"login": "ada4"}
    first, second = (opened.send("/apps/teracloud/on", form) for _ in range(2))
    assert PASSWORD.search(first.body.decode())
    assert (second.status, PASSWORD.search(second.body.decode())) == (200, None)


@pytest.mark.parametrize("login", ["", "with space", "a:b", "x" * 200])
def test_a_name_that_can_not_be_one_is_said_beside_its_field(opened, login, server):
    answer = opened.send("/apps/teracloud/on", {"login": login})
    assert (answer.status, b'id="login-fault"' in answer.body) == (422, True)


def test_a_name_that_somebody_has_is_said_beside_its_field(opened, server, world):
    switched_on(opened, "taken")
    stranger = Visitor(server)
    stranger.sign_in(people.owner(world))
    stranger.see("/apps/teracloud/on")
    answer = stranger.send("/apps/teracloud/on", {"login": "TAKEN"})
    assert (answer.status, b'id="login-fault"' in answer.body) == (422, True)


def test_where_files_are_is_told_by_whoever_keeps_them(opened, world, owner):
    row = {"id": owner.id, "node": "aki.example.com", "quota": 1, "used": 0, "version": 1}
    world.change(Noun.STORAGE, owner.id, sa.insert(schema.storage).values(**row))
    opened.see("/apps")
    shown = re.findall(r'id="url-1-\d">(.*?)</code>', opened.page)
    assert shown[:2] == ["https://aki.example.com/dav/", "https://aki.example.com/backup/"]


def test_a_password_that_expired_is_said_to_have(opened, world):
    _, login, _ = switched_on(opened, "ada6")
    table = schema.credential
    expired = sa.update(table).where(table.c.name == f"teracloud:{login}").values(expires_at=1.0)
    with world.store.writing() as connection:
        connection.execute(expired)
    opened.see("/apps")
    card = opened.page.partition('id="card-1"')[2].partition("</section>")[0]
    assert ">expired</span>" in card
    assert "state-active" not in card


def test_a_namespace_that_has_none_is_not_there(opened):
    for path in ("/apps/kakaocloud/on", "/apps/none/reissue", "/apps/latchgate/off"):
        assert opened.see(path).status == 404, path
        assert opened.send(path).status == 404, path


def test_who_may_only_look_changes_nothing_and_others_see_no_page(visitor, world, owner):
    visitor.sign_in(people.colleague(world, owner, "own:basic.read"))
    assert visitor.see("/apps").status == 200
    assert "/apps/teracloud/on" not in visitor.page
    for path in ("/apps/teracloud/on", "/apps/teracloud/reissue", "/apps/teracloud/off"):
        assert visitor.see(path).status == 403
        assert visitor.send(path, {"login": "looker"} if path.endswith("on") else {}).status == 403
    stranger = Visitor(visitor.server)
    stranger.sign_in(people.colleague(world, owner, "own:account.read"))
    assert stranger.see("/apps").status == 403
    assert 'href="/apps"' not in stranger.page


def test_a_form_without_its_pages_token_changes_nothing(opened, server):
    _, login, password = switched_on(opened, "ada5")
    opened.token = "0" * 64
    for path in ("/apps/teracloud/on", "/apps/teracloud/reissue", "/apps/teracloud/off"):
        assert opened.send(path).status == 403
    assert opens(server, login, password) is True
