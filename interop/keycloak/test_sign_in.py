"""People of a real Keycloak: they sign in here in a real browser, and their tokens make keys.

The curl is the one of providers/wayscloud, "Via API (Programmatic)", but for the host.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from interop.keycloak.realm import AUDIENCE, CLIENT, Keycloak
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.e2e.stack import curl
from tests.world import Server

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

MILLISECONDS = 60_000
expect.set_options(timeout=MILLISECONDS)
SCOPES = ["own:account.read", "own:keys.read", "own:keys.write", "storage:read", "storage:write",
          "storage:delete"]  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """A server that believes a Keycloak."""

    server: Server
    keycloak: Keycloak
    origin: str

    def token(self, name: str) -> str:
        """Return an access token of somebody, from Keycloak."""
        answer = self.keycloak.token(name, f"password of {name}")
        assert answer.status == 200, answer.body
        told: str = answer.json["access_token"]
        return told

    def user(self, name: str) -> dict[str, object]:
        """Return the user of a name here."""
        (found,) = self.server.call("GET", f"/manage/v1/users?name={name}").json["users"]
        told: dict[str, object] = found
        return told


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("keycloak")
    keycloak = Keycloak(folder)
    said(f"\nKeycloak {keycloak.version} at {keycloak.issuer}")
    server = Server.started(folder / "lg")
    configure(server, keycloak, folder)
    origin = f"http://localhost:{server.addresses['console'].rpartition(':')[2]}"
    keycloak.make_realm(f"{origin}/sign-in/callback/keycloak")
    yield Desk(server, keycloak, origin)
    server.kill()
    keycloak.stop()


def configure(server: Server, keycloak: Keycloak, folder) -> None:
    """Believe Keycloak's bearers, and let its people sign in; start anew."""
    path = server.folder / "providers" / "wayscloud.toml"
    old = 'accepts = ["service_key", "latchgate.service_key"]'
    new = 'accepts = ["service_key", "latchgate.service_key", "oidc_bearer"]'
    certs = f"{keycloak.issuer}/protocol/openid-connect/certs"
    kind = (
        f'[kinds.oidc_bearer]\nissuer = "{keycloak.issuer}"\njwks_uri = "{certs}"\n'
        f'audience = "{AUDIENCE}"\nmanage = true\n\n[services.storage]\n'
    )
    path.write_text(path.read_text().replace(old, new).replace("[services.storage]\n", kind))
    applied = server.cli("policy", "apply", "--config", str(server.config))
    assert applied.code == 0, applied.err
    account = server.call("GET", "/manage/v1/account").json
    role = {"name": "storage administrator", "scopes": SCOPES}
    assert server.call("POST", "/manage/v1/roles", role).status == 201
    secret = folder / "client.secret"
    secret.write_text(keycloak.client_secret)
    with server.config.open("a") as file:
        file.write(
            f'\n[[sign_in.providers]]\nname = "keycloak"\ntitle = "Keycloak"\n'
            f'issuer = "{keycloak.issuer}"\nclient_id = "{CLIENT}"\n'
            f'client_secret_file = "{secret}"\ntenant = "{account["tenant_id"]}"\n'
            "create_users = true\n"
            '[[sign_in.providers.roles]]\nclaim = "realm_access.roles"\nvalue = "storage-admin"\n'
            f'project = "{account["project_id"]}"\nrole = "storage administrator"\n'
            '[sign_in.providers.required]\nclaim = "realm_access.roles"\nvalue = "staff"\n'
            "disable = true\n"
        )
    server.stop()
    server.start()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root it has no sandbox; what it opens is ours alone.
        made = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=["--no-sandbox"]
        )
        yield made
        made.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    made = chromium.new_context()
    made.set_default_timeout(MILLISECONDS)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def go(page: Page, desk: Desk, name: str) -> None:
    """Sign in through Keycloak's own page."""
    page.goto(f"{desk.origin}/sign-in?next=/security")
    page.get_by_role("link", name="Sign in with Keycloak").click()
    expect(page.locator("#username")).to_be_visible()
    page.locator("#username").fill(name)
    page.locator("#password").fill(f"password of {name}")
    page.locator("#kc-login").click()


def make_key(desk: Desk, token: str) -> tuple[int, dict[str, object]]:
    """Send the document's own request."""
    answer = curl(
        "-X", "POST", f"{desk.server.addresses['api']}/api/v1/dashboard/api-keys",
        "-H", f"Authorization: Bearer {token}",
        "-H", "Content-Type: application/json",
        "-d", """{
"name": "Production Storage Key",
"service": "storage",
"description": "Production environment storage access"
}""",
    )  # fmt: skip
    told: dict[str, object] = json.loads(answer.body)
    said(f"curl -X POST …/api/v1/dashboard/api-keys: {answer.status} {sorted(told)}")
    return answer.status, told


def said(*words: object) -> None:
    """Say what happened, for whoever keeps the output of a run."""
    sys.stdout.write(" ".join(str(one) for one in words) + "\n")


def key_id(token: str) -> str:
    """Return the id of the key that a token says it was signed with."""
    part = token.partition(".")[0]
    told: str = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["kid"]
    return told


def test_a_person_of_keycloak_signs_in_and_a_keycloak_token_makes_a_key(desk, page):
    status, _ = make_key(desk, desk.token("ada"))
    assert status == 401  # nobody here yet
    go(page, desk, "ada")
    expect(page).to_have_url(f"{desk.origin}/security")
    expect(page.get_by_role("rowheader", name="Keycloak")).to_be_visible()
    made = desk.user("ada")
    said("signed in by a browser:", page.url, made["name"], made["email"], made["roles"])
    token = desk.token("ada")
    status, key = make_key(desk, token)
    assert status == 201
    assert desk.server.allows(str(key["key"]))
    account = desk.server.call("GET", "/manage/v1/account", token=token)
    assert account.json["user"]["id"] == made["id"]
    said("the same token on the management API:", account.status)
    stored = desk.server.call("GET", f"/manage/v1/keys/{key['id']}").json
    assert stored["owner_id"] == made["id"]


def test_a_key_that_keycloak_rotates_in_is_followed(desk, page):
    go(page, desk, "bob")
    expect(page).to_have_url(f"{desk.origin}/security")
    before = desk.token("bob")
    desk.keycloak.rotate()
    after = desk.token("bob")
    kids = [key_id(token) for token in (before, after)]
    assert kids[0] != kids[1]
    for token in (before, after):
        told = desk.server.call("GET", "/api/v1/dashboard/account/profile", token=token)
        said("after the rotation, a token by the key", key_id(token), "is", told.status)
        assert (told.status, told.json["name"]) == (200, "bob")
    page.context.clear_cookies()
    go(page, desk, "bob")
    expect(page).to_have_url(f"{desk.origin}/security")


def test_who_is_disabled_or_no_longer_staff_in_keycloak_comes_in_no_more(desk, context, page):
    go(page, desk, "eve")
    expect(page.get_by_role("alert")).to_contain_text("Keycloak does not give you access here")
    context.clear_cookies()
    token = desk.token("ada")
    desk.keycloak.withdraw("ada", "staff")
    go(page, desk, "ada")
    expect(page.get_by_role("alert")).to_contain_text("Keycloak does not give you access here")
    assert desk.user("ada")["active"] is False
    assert make_key(desk, token)[0] == 401  # the token that Keycloak gave before, at once
    desk.keycloak.disable("bob")
    refused = desk.keycloak.token("bob", "password of bob")
    assert refused.status in {400, 401}
    said("a token for a user disabled in Keycloak:", refused.status, refused.json)
    context.clear_cookies()
    go(page, desk, "bob")
    expect(page.locator("#username")).to_be_visible()  # Keycloak's own page says no
    said("Keycloak says to the disabled user:", page.locator(".pf-v5-c-form__helper-text, "
          ".kc-feedback-text, #input-error, .pf-m-error").first.inner_text())  # fmt: skip
    page.goto(f"{desk.origin}/security")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
