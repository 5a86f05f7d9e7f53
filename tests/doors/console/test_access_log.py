"""The access log on a page: the own tenant's lines, narrowed, page by page; or how to have one."""

from __future__ import annotations

import re

import pytest
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import Owner, Server, World, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
LINES = re.compile(r"<code>(GET|PUT) (/v1/storage/[^<]*)</code>")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that writes an access log."""
    made = Server.made(tmp_path_factory.mktemp("logged") / "lg")
    with made.config.open("a") as file:
        file.write('\n[access_log]\ndirectory = "access"\n')
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def used(server, world):
    """Somebody, and two keys of theirs: 60 requests of one, 2 of the other, one refused."""
    owner = people.owner(world)
    whose = Owner(owner.tenant_id, owner.project_id, owner.id)
    loud = world.key(owner=whose, name="Loud & clear")
    quiet = world.key(owner=whose, scopes=["storage:read"])
    for at in range(60):
        assert server.allows(loud.text, target=f"/v1/storage/o{at:02}?a=b")
    assert server.allows(quiet.text, target="/v1/storage/quiet")
    refused = server.verdict(quiet.text, method="PUT", target="/v1/storage/quiet")
    path = f"/manage/v1/access-log?credential={quiet.id}"
    until(lambda: len(server.call("GET", path).json["rows"]) == 2, seconds=30, what="the lines")
    return owner, loud, quiet, refused["decision"]


def lines(visitor, query=""):
    """Return the requests that a page lists."""
    assert visitor.see(f"/access-log{query}").status == 200
    return LINES.findall(visitor.page)


def test_lines_come_newest_first_and_go_on_page_by_page(used, visitor):
    owner, *_ = used
    visitor.sign_in(owner)
    seen, address = [], ""
    while True:
        seen += lines(visitor, address)
        more = re.findall(r'href="/access-log([^"]*)" rel="next"', visitor.page)
        if not more:
            break
        address = more[0]
    expected = [("PUT", "/v1/storage/quiet"), ("GET", "/v1/storage/quiet")]
    assert seen == expected + [("GET", f"/v1/storage/o{at:02}?a=***") for at in range(59, -1, -1)]
    assert "Newest" in visitor.page


def test_lines_are_narrowed_by_key_outcome_and_time(used, visitor):
    owner, loud, quiet, decision = used
    visitor.sign_in(owner)
    both = [("PUT", "/v1/storage/quiet"), ("GET", "/v1/storage/quiet")]
    assert lines(visitor, f"?credential={quiet.id}") == both
    assert lines(visitor, f"?credential={quiet.id}&outcome=refused") == both[:1]
    assert f'href="/why?id={decision}"' in visitor.page
    assert f"latchgate access-log --credential {quiet.id} --refused --since 24h" in visitor.page
    assert lines(visitor, "?reason=scope_not_granted&period=1h") == both[:1]
    assert lines(visitor, "?outcome=refused&until=2020-01-01T08:30") == []
    assert 'value="2020-01-01T08:30"' in visitor.page
    assert "Nothing of this was written in that time." in visitor.page
    # What an emptied form sends is no filter.
    assert len(lines(visitor, f"?credential={loud.id}&outcome=&until=&period=7d")) >= 50
    assert "Loud & clear" in visitor.page


def test_another_tenants_lines_are_the_operators(world, used, visitor):
    owner, loud, *_ = used
    stranger = people.owner(world)
    visitor.sign_in(stranger)
    assert lines(visitor, f"?credential={loud.id}") == []
    assert "Loud" not in visitor.page
    assert visitor.see(f"/access-log?tenant={owner.tenant_id}").status == 403
    visitor.cookies.clear()
    visitor.sign_in(people.person(world, "*"))
    assert len(lines(visitor, f"?tenant={owner.tenant_id}")) >= 50  # of one millisecond: more


@pytest.mark.parametrize(
    ("query", "field"),
    [("period=2y", "period"), ("until=soon", "until"), ("outcome=maybe", "outcome")],
)
def test_what_cannot_be_asked_stands_beside_its_field(used, visitor, query, field):
    visitor.sign_in(used[0])
    assert visitor.see(f"/access-log?{query}&credential=kept").status == 422
    assert f'id="{field}-fault"' in visitor.page
    assert 'value="kept"' in visitor.page
    for wrong in ("before=soon", "before=2020-01-01T00:00:00Z"):
        assert visitor.see(f"/access-log?{wrong}").status == 422
        assert "before: " in visitor.page


def test_without_the_scope_there_is_no_page_and_no_line_in_the_menu(world, used, visitor):
    visitor.sign_in(people.colleague(world, used[0], "manage:audit.read"))
    assert visitor.see("/access-log").status == 403
    visitor.see("/overview")
    assert 'href="/access-log"' not in visitor.page


def test_where_none_is_written_the_operator_reads_how_to_have_one(tmp_path):
    server = Server.started(tmp_path / "lg")
    world = World.beside(server)
    visitor = Visitor(server)
    try:
        visitor.sign_in(people.owner(world))
        assert visitor.see("/access-log").status == 200
        assert "The operator of this Latchgate keeps no access log." in visitor.page
        assert "latchgate.toml" not in visitor.page
        visitor.cookies.clear()
        visitor.sign_in(people.person(world, "*"))
        visitor.see("/access-log")
        (told,) = re.findall(r"<code>(\[access_log\].*?)</code>", visitor.page, re.DOTALL)
        with server.config.open("a") as file:
            file.write(f"\n{told}\n")
        server.stop()
        server.start()
        visitor.cookies.clear()
        visitor.sign_in(people.person(world, "*"))
        visitor.see("/access-log")
        assert "No access log is written here" not in visitor.page
        assert 'id="results"' in visitor.page
    finally:
        world.close()
        server.kill()
