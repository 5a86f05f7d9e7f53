"""People who sign in through an external OpenID provider, in a real browser.

The provider is npm's oidc-provider, the browser Debian's Chromium.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests import people
from tests.external_provider import ExternalProvider
from tests.world import Server, World

from latchgate.signin import session

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

MILLISECONDS = 30_000
CHROMIUM = "/usr/bin/chromium-headless-shell"
expect.set_options(timeout=MILLISECONDS)
BUTTON = "Sign in with Example Inc."


@dataclass(frozen=True)
class Desk:
    """A server, its database, its console as a browser reaches it, and the provider."""

    server: Server
    world: World
    provider: ExternalProvider
    origin: str

    def journal(self) -> list[tuple[str, str, str]]:
        """Return actor, action and record of every change."""
        return [(row.actor, row.action, row.record) for row in self.world.journal()]

    def user(self, name: str) -> dict[str, object]:
        """Return the user of a name."""
        listed = self.server.call("GET", f"/manage/v1/users?name={name}").json["users"]
        assert len(listed) == 1, listed
        found: dict[str, object] = listed[0]
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("provider")
    provider = ExternalProvider(folder / "external")
    server = Server.made(folder / "lg")
    world = World.beside(server)
    project = world.owner.project_id
    reader, writer = (
        world.role(world.owner.tenant_id, [scope]) for scope in ("storage:read", "storage:write")
    )
    with server.config.open("a") as file:
        file.write(
            provider.config(tenant=f'"{world.owner.tenant_id}"', create_users="true")
            + "".join(
                '[[sign_in.providers.roles]]\nclaim = "realm_access.roles"\n'
                f'value = "{value}"\nproject = "{project}"\nrole = "{role}"\n'
                for value, role in (("reader", reader), ("writer", writer))
            )
            + '[sign_in.providers.required]\nclaim = "realm_access.roles"\nvalue = "staff"\n'
            "disable = true\n"
        )
    server.start()
    origin = f"http://localhost:{server.addresses['console'].rpartition(':')[2]}"
    provider.control(redirect_uris=[f"{origin}/sign-in/callback/external"])
    yield Desk(server, world, provider, origin)
    world.close()
    server.kill()
    provider.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root it has no sandbox; what it opens is ours alone.
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def context(chromium) -> Iterator[BrowserContext]:
    made = chromium.new_context()
    made.set_default_timeout(MILLISECONDS)
    yield made
    made.close()


@pytest.fixture
def page(context) -> Page:
    made: Page = context.new_page()
    return made


def staff(desk: Desk, subject: str, *roles: str, **claims: object) -> None:
    """Give the provider an account that may come in."""
    told: dict[str, object] = {"email": f"{subject}@example.com", "email_verified": True}
    told |= {"preferred_username": subject, "realm_access": {"roles": ["staff", *roles]}}
    desk.provider.account(subject, **told | claims)


def go(page: Page, desk: Desk, subject: str, at: str = "/security") -> None:
    """Go to the provider and sign in there."""
    page.goto(f"{desk.origin}/sign-in?next={at}")
    page.get_by_role("link", name=BUTTON).click()
    sign_in_there(page, subject)


def sign_in_there(page: Page, subject: str) -> None:
    page.get_by_label("Account").fill(subject)
    page.get_by_role("button", name="Sign in there").click()


def is_signed_out(page: Page, desk: Desk) -> bool:
    page.goto(f"{desk.origin}/security")
    return page.get_by_role("heading", name="Sign in").count() == 1


def roles(desk: Desk, name: str) -> int:
    held = desk.user(name)["roles"]
    assert isinstance(held, list)
    return len(held)


def test_somebody_new_gets_a_user_whose_roles_follow_their_claims_at_each_sign_in(
    desk, chromium, context, page
):
    staff(desk, "ada", "reader")
    go(page, desk, "ada")
    expect(page).to_have_url(f"{desk.origin}/security")
    expect(page.get_by_role("rowheader", name="Example Inc.")).to_be_visible()
    made = desk.user("ada")
    assert (made["email"], roles(desk, "ada")) == ("ada@example.com", 1)
    told = [one for one in desk.journal() if one[0] == "provider:external"]
    assert [one[1] for one in told] == ["user.create", "role.assign", "user.link", "login.create"]
    begun = session.listed(desk.world.store, str(made["id"]), now=time.time())
    assert [one.provider for one in begun] == ["external"]
    for wanted, count in ((["reader", "writer"], 2), ([], 0), (["writer"], 1)):
        staff(desk, "ada", *wanted)
        context.clear_cookies()
        go(page, desk, "ada")
        expect(page).to_have_url(f"{desk.origin}/security")
        assert roles(desk, "ada") == count
    assert desk.user("ada")["id"] == made["id"]


def test_who_is_signed_in_links_and_unlinks_themselves(desk, context, page):
    mine = people.person(desk.world)
    staff(desk, "carol")
    page.goto(f"{desk.origin}/sign-in?next=/security")
    page.get_by_label("Login name").fill(mine.login)
    page.get_by_label("Password").fill(mine.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Link Example Inc.").click()
    page.get_by_role("link", name="Go on").click()
    sign_in_there(page, "carol")
    expect(page.get_by_role("status")).to_have_text("You can sign in with it from now on.")
    context.clear_cookies()
    go(page, desk, "carol")
    expect(page.get_by_text(mine.login)).to_be_visible()
    page.get_by_role("button", name="Unlink Example Inc.").click()
    # What is older than ten minutes, or not told, is proven anew before it is unlinked.
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Password").fill(mine.password)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Unlink Example Inc.").click()
    expect(page.get_by_role("status")).to_have_text("It no longer signs you in.")


def test_a_second_factor_of_ones_own_is_asked_for_unless_the_provider_asked(desk, context, page):
    staff(desk, "dora")
    go(page, desk, "dora")
    expect(page).to_have_url(f"{desk.origin}/security")
    page.goto(f"{desk.origin}/sign-in?next=/security&again=1")
    page.get_by_role("link", name=BUTTON).click()
    sign_in_there(page, "dora")
    page.get_by_role("button", name="Add an authenticator app").click()
    key = page.locator(".secret").inner_text().replace(" ", "")
    page.get_by_label("Code that the app shows now").fill(pyotp.TOTP(key).now())
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    codes = page.locator(".codes code").all_inner_texts()
    context.clear_cookies()
    go(page, desk, "dora")
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    assert is_signed_out(page, desk)
    page.goto(f"{desk.origin}/sign-in/second")
    page.get_by_label("or a recovery code").fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{desk.origin}/security")
    desk.provider.control(amr=["pwd", "otp", "mfa"])
    context.clear_cookies()
    go(page, desk, "dora")
    expect(page).to_have_url(f"{desk.origin}/security")
    desk.provider.control(amr=None)


def test_a_provider_that_is_down_signs_nobody_in_and_everything_else_goes_on(desk, context, page):
    mine = people.person(desk.world)
    staff(desk, "hugo")
    page.goto(f"{desk.origin}/sign-in?next=/security")
    with page.expect_request(lambda one: one.url.startswith(desk.provider.issuer)) as asked:
        page.get_by_role("link", name=BUTTON).click()
    answer = desk.provider.sign_in(asked.value.url, "hugo")
    desk.provider.stop()
    page.goto(answer)
    expect(page.get_by_role("alert")).to_contain_text("can't be reached just now")
    page.goto(f"{desk.origin}/sign-in?next=/security")
    page.get_by_label("Login name").fill(mine.login)
    page.get_by_label("Password").fill(mine.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{desk.origin}/security")
    desk.provider.start()
    context.clear_cookies()
    go(page, desk, "hugo")
    expect(page).to_have_url(f"{desk.origin}/security")
