"""Somebody looks their requests up in the access log, and asks why one was refused."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests import people
from tests.e2e.desk import Desk, sign_in
from tests.world import Owner, Server, World, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A server that writes an access log, and its console as a browser reaches it."""
    server = Server.made(tmp_path_factory.mktemp("logged") / "lg")
    with server.config.open("a") as file:
        file.write('\n[access_log]\ndirectory = "access"\n')
    server.start()
    world = World.beside(server)
    port = server.addresses["console"].rpartition(":")[2]
    yield Desk(server, world, f"http://localhost:{port}")
    world.close()
    server.kill()


@pytest.mark.parametrize("script", [True, False])
def test_a_refusal_is_found_and_asked_about(desk, page, plain, script):
    shown = page if script else plain
    owner = people.owner(desk.world)
    whose = Owner(owner.tenant_id, owner.project_id, owner.id)
    key = desk.world.key("storage", scopes=["storage:read"], owner=whose, name="Nightly backup")
    assert desk.server.allows(key.text, target="/v1/storage/fine")
    desk.server.verdict(key.text, method="PUT", target="/v1/storage/report.pdf")
    path = f"/manage/v1/access-log?credential={key.id}"
    until(
        lambda: len(desk.server.call("GET", path).json["rows"]) == 2, seconds=30, what="the lines"
    )
    sign_in(shown, desk, owner, "/access-log")
    expect(shown.get_by_text("GET /v1/storage/fine")).to_be_visible()
    shown.get_by_label("Outcome").select_option("Refused")
    if not script:
        shown.get_by_role("button", name="Show", exact=True).click()
    expect(shown.get_by_text("GET /v1/storage/fine")).to_have_count(0)
    expect(shown.get_by_role("row", name="report.pdf")).to_contain_text("Nightly backup")
    shown.get_by_role("link", name="scope not granted").click()
    expect(shown.get_by_text("Make a key with the scope storage:write")).to_be_visible()
