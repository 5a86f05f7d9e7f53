"""Applications that sign people in, in a real browser: consent, refusal, devices, withdrawal."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests import people
from tests.e2e.desk import Desk, a_chromium, a_context, a_desk, a_page, sign_in
from tests.oauth import authority
from tests.oauth.authority import CHALLENGE, VERIFIER, Registered
from tests.people import Person
from tests.world import Answer, http_request

from latchgate.oauth.clients import GrantType

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@dataclass
class App:
    """An application's own server: it keeps what browsers bring, and sends them on elsewhere."""

    brought: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        app = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/callback":
                    self._take(parts.query)
                else:
                    self._say(b"<!doctype html><title>App</title><h1>Welcome to the app</h1>")

            def do_POST(self) -> None:
                self._take(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def _take(self, told: str) -> None:
                app.brought.append(dict(parse_qsl(told, strict_parsing=True)))
                self.send_response(303)
                # Another origin: no policy of the console's pages may stand in the way.
                self.send_header("Location", f"http://localhost:{app.port}/home")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _say(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def callback(self) -> str:
        return f"http://127.0.0.1:{self.port}/callback"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    with a_desk(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_chromium() as made:
        yield made


@pytest.fixture
def context(chromium) -> Iterator[BrowserContext]:
    with a_context(chromium) as made:
        yield made


@pytest.fixture
def page(context) -> Iterator[Page]:
    with a_page(context) as made:
        yield made


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    made = App()
    yield made
    made.close()


@pytest.fixture
def client(desk, app) -> Registered:
    return authority.client(desk.world, public=True, redirect_uris=[app.callback])


@pytest.fixture
def person(desk) -> Person:
    return people.person(desk.world, "storage:read", "storage:write")


def address(desk: Desk, app: App, client: Registered, **changed: str) -> str:
    told = {
        "client_id": client.id,
        "redirect_uri": app.callback,
        "response_type": "code",
        "scope": "openid storage:read",
        "state": "s-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{desk.origin}/oauth/authorize?{urlencode(told | changed)}"


def token(desk: Desk, client: Registered, **told: str) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(told | {"client_id": client.id}).encode()
    url = f"{desk.server.addresses['console']}/oauth/token"
    return http_request("POST", url, headers=headers, body=body)


def redeemed(desk: Desk, app: App, client: Registered) -> Answer:
    code = app.brought[-1]["code"]
    told = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.callback}
    return token(desk, client, **told, code_verifier=VERIFIER)


def fill_in(page: Page, person: Person) -> None:
    page.get_by_label("Login name").fill(person.login)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name=re.compile("Sign in|Confirm")).click()


def arrives(page: Page, app: App) -> dict[str, str]:
    """Wait until the browser is at the application; returns what it brought there."""
    expect(page.get_by_role("heading", name="Welcome to the app")).to_be_visible()
    assert page.url == f"http://localhost:{app.port}/home"
    return app.brought[-1]


def test_a_person_consents_once_and_is_asked_again_for_what_is_new(desk, app, client, page, person):
    page.goto(address(desk, app, client))
    fill_in(page, person)
    expect(page.get_by_role("heading", name=re.compile("^Allow Application"))).to_be_visible()
    expect(page.get_by_text("Download objects, read their metadata")).to_be_visible()
    expect(page.get_by_text("a@example.com")).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    told = arrives(page, app)
    issuer = desk.server.addresses["console"]
    assert (told["state"], told["iss"], set(told)) == ("s-1", issuer, {"code", "state", "iss"})
    assert redeemed(desk, app, client).status == 200
    page.goto(address(desk, app, client, state="s-2"))
    assert arrives(page, app)["state"] == "s-2"
    page.goto(address(desk, app, client, scope="openid storage:read storage:write"))
    expect(page.locator(".new")).to_have_count(1)
    page.get_by_role("button", name="Allow").click()
    arrives(page, app)
    assert redeemed(desk, app, client).status == 200


def test_whoever_consented_before_signs_in_and_is_at_the_application(
    desk, app, client, page, context, person
):
    page.goto(address(desk, app, client))
    fill_in(page, person)
    page.get_by_role("button", name="Allow").click()
    arrives(page, app)
    context.clear_cookies()
    page.goto(address(desk, app, client, state="s-3"))
    fill_in(page, person)
    assert arrives(page, app)["state"] == "s-3"
    page.goto(address(desk, app, client, state="s-4", prompt="login"))
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Confirm").click()
    assert arrives(page, app)["state"] == "s-4"


def test_a_no_is_brought_to_the_application(desk, app, client, page, person):
    page.goto(address(desk, app, client))
    fill_in(page, person)
    page.get_by_role("button", name="Deny").click()
    assert arrives(page, app)["error"] == "access_denied"


def test_an_answer_is_posted_by_itself_and_without_script_by_a_button(
    desk, app, client, chromium, page, person
):
    page.goto(address(desk, app, client, response_mode="form_post"))
    fill_in(page, person)
    before = len(app.brought)
    page.get_by_role("button", name="Allow").click()
    arrives(page, app)
    assert len(app.brought) == before + 1
    assert redeemed(desk, app, client).status == 200
    with a_context(chromium, java_script_enabled=False) as plain:
        other = plain.new_page()
        other.goto(address(desk, app, client, response_mode="form_post", state="s-5"))
        fill_in(other, person)
        other.get_by_role("button", name="Continue").click()
        assert arrives(other, app)["state"] == "s-5"


def test_a_device_is_connected_by_the_person_and_not_by_its_link(desk, page, person):
    made = authority.client(desk.world, public=True)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    asked = urlencode({"client_id": made.id, "scope": "openid storage:read"}).encode()
    url = f"{desk.server.addresses['console']}/oauth/device_authorization"
    begun = http_request("POST", url, headers=headers, body=asked).json
    told = {"grant_type": str(GrantType.DEVICE_CODE), "device_code": begun["device_code"]}
    page.goto(f"{desk.origin}/device?user_code={begun['user_code']}")
    fill_in(page, person)
    expect(page.get_by_label("Code that the device")).to_have_value(begun["user_code"])
    assert token(desk, made, **told).json["error"] == "authorization_pending"
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Asked from")).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", name="The device is connected")).to_be_visible()
    given = token(desk, made, **told)
    assert given.status == 200
    page.get_by_role("link", name="What applications may do for you").click()
    page.get_by_role("link", name=re.compile("^Withdraw")).click()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status")).to_contain_text("Receipt: journal number")
    expect(page.get_by_text("No application may act for you.")).to_be_visible()


def test_a_person_signs_out_at_an_applications_wish(desk, page, person):
    sign_in(page, desk, person)
    expect(page).to_have_url(f"{desk.origin}/security")
    page.goto(f"{desk.origin}/oauth/logout")
    page.get_by_role("button", name="Sign out").last.click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    page.goto(f"{desk.origin}/security")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
