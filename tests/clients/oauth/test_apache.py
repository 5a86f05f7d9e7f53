"""Debian's Apache with mod_auth_openidc signs a real browser in, and checks tokens offline.

Apache is started here with a configuration of its own and ended by its process; Debian's service is
not touched. The browser is Debian's Chromium.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright
from tests.clients.oauth.provider import CODE, Client, Provider
from tests.e2e.stack import ROOT, Program, Upstream, accepts, curl, free_address, text_of
from tests.oauth.authority import unchecked
from tests.people import Person

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

MILLISECONDS = 30_000
CHROMIUM = "/usr/bin/chromium-headless-shell"
MODULES = Path("/usr/lib/apache2/modules")
LOADED = ("mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http")
SHIPPED = ROOT / "deploy" / "apache" / "openidc.conf.example"
SERVER = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/error.log
Listen {address}
{modules}
{user}
OIDCCABundlePath /proc/self/fd/{ca}
ProxyPass /signed-in !
ProxyPass / http://{behind}/
"""


class Apache(Program):
    """Apache in the foreground, from a folder of its own."""

    def __init__(self, folder: Path, provider: Provider, behind: str) -> None:
        super().__init__("apache", folder)
        self.address = free_address()
        self._ca = os.open(provider.authority.file, os.O_RDONLY)
        self.client: Client = provider.client(
            "Wiki",
            CODE,
            redirect_uri=f"{self.url}/signed-in",
            post_logout_redirect_uris=[f"{self.url}/out"],
        )
        server = SERVER.format(
            folder=folder,
            address=text_of(self.address),
            modules="\n".join(_module(name) for name in (*LOADED, "auth_openidc")),
            # Who is root serves nothing itself; what it reads is opened before.
            user="" if os.geteuid() else "User www-data\nGroup www-data",
            ca=self._ca,
            behind=behind,
        )
        edits = {
            "https://login.example.com": provider.issuer,
            "https://wiki.example.com": self.url,
            "ClientID client-id": f"ClientID {self.client.id}",
            "ClientSecret client-secret": f"ClientSecret {self.client.secret}",
            "Passphrase passphrase": f"Passphrase {secrets.token_hex(16)}",
            "ClaimsAs environment": "ClaimsAs headers",  # a service of another process is behind
        }
        site = SHIPPED.read_text(encoding="utf-8")
        for shipped, own in edits.items():
            assert shipped in site
            site = site.replace(shipped, own)
        (folder / "apache.conf").write_text(server + site, encoding="utf-8")

    @property
    def url(self) -> str:
        """Where browsers reach it: another host than the provider's, for cookies know no ports."""
        return f"http://localhost:{self.address[1]}"

    @property
    def log(self) -> str:
        """What it has complained of."""
        return (self.folder / "error.log").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        command: list[str | Path] = ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f"]
        command.append(self.folder / "apache.conf")
        self.launch(command, lambda: accepts(self.address), pass_fds=[self._ca])
        os.close(self._ca)


def _module(name: str) -> str:
    return f"LoadModule {name}_module {MODULES}/mod_{name}.so"


@pytest.fixture(scope="module")
def behind(tmp_path_factory) -> Iterator[Upstream]:
    with Upstream("echo", tmp_path_factory.mktemp("echo")) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def apache(provider, behind, tmp_path_factory) -> Iterator[Apache]:
    with Apache(tmp_path_factory.mktemp("apache"), provider, text_of(behind.address)) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def context(chromium) -> Iterator[BrowserContext]:
    # The provider's authority is made up: what Apache believes of it is what is tested.
    made = chromium.new_context(ignore_https_errors=True)
    made.set_default_timeout(MILLISECONDS)
    yield made
    made.close()


@pytest.fixture
def page(context) -> Page:
    made: Page = context.new_page()
    return made


@pytest.fixture
def person(provider) -> Person:
    made: Person = provider.person()
    return made


def sign_in(page: Page, person: Person) -> None:
    page.get_by_label("Login name").fill(person.login)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Allow Wiki?")).to_be_visible(timeout=MILLISECONDS)


def reached(page: Page) -> dict[str, str]:
    """Return the headers with which the service behind Apache was asked."""
    told = json.loads(page.locator("body").inner_text(timeout=MILLISECONDS))
    return {name.lower(): value for name, value in told["headers"]}


def signed_in(page: Page) -> bool:
    """Whether Apache gave the browser a session."""
    return any(one["name"] == "mod_auth_openidc_session" for one in page.context.cookies())


def test_a_person_signs_in_is_told_to_the_service_and_signs_out_of_both(apache, page, person):
    page.goto(f"{apache.url}/files/today")
    sign_in(page, person)
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(f"{apache.url}/files/today")
    told = reached(page)
    assert signed_in(page)
    assert told["oidc_claim_sub"] == person.id
    assert told["oidc_claim_aud"] == apache.client.id
    assert "__Host-latchgate" not in told["cookie"]
    page.goto(f"{apache.url}/signed-in?{urlencode({'logout': f'{apache.url}/out'})}")
    page.wait_for_url(f"{apache.url}/out")
    assert "oidc_claim_sub" not in reached(page)
    page.goto(f"{apache.url}/files/today")  # neither Apache nor Latchgate knows them any more
    expect(page.get_by_label("Login name")).to_be_visible(timeout=MILLISECONDS)


def test_a_person_who_refuses_is_not_signed_in(apache, behind, page, person):
    before = behind.count()
    page.goto(f"{apache.url}/files/today")
    sign_in(page, person)
    with page.expect_response(lambda one: "/signed-in?" in one.url) as answer:
        page.get_by_role("button", name="Deny").click()
    assert "error=access_denied" in answer.value.url
    # An error that names its issuer (RFC 9207) it takes for a sign-in that somebody else began.
    expect(page.get_by_text("Invalid Request")).to_be_visible(timeout=MILLISECONDS)
    assert not signed_in(page)
    assert behind.count() == before


@pytest.mark.parametrize(
    ("name", "forged", "why"),
    [
        ("code", "forged", '"invalid_grant"'),
        ("state", "forged", "unable to restore state"),
        ("iss", "https://login.example.com", "does not match the issuer provided in the response"),
    ],
)
def test_a_forged_answer_signs_nobody_in(apache, behind, page, person, name, forged, why):
    before = behind.count()

    def alter(route: Route) -> None:
        url, _, query = route.request.url.partition("?")
        told = dict(parse_qsl(query))
        assert name in told
        route.continue_(url=f"{url}?{urlencode(told | {name: forged})}")

    page.route("**/signed-in?*", alter)
    page.goto(f"{apache.url}/files/today")
    sign_in(page, person)
    with page.expect_response(lambda one: "/signed-in?" in one.url) as answer:
        page.get_by_role("button", name="Allow").click()
    answer.value.finished()
    assert why in apache.log
    assert not signed_in(page)
    assert behind.count() == before


def ask(apache: Apache, token: str) -> int:
    header = ("-H", f"Authorization: Bearer {token}")
    return curl(*header, f"http://{text_of(apache.address)}/api/file").status


def test_as_an_api_it_checks_tokens_offline(apache, provider):
    robot = provider.robot("Reader")
    token = provider.access_token(robot)
    assert ask(apache, token) == 200
    told, claims = unchecked(token)
    now = int(time.time())
    head, body, mark = token.split(".")
    refused = [
        provider.signed(token, exp=now - 60),
        provider.signed(token, aud=robot.id),
        provider.signed(token, iss="https://login.example.com"),
        provider.signed(token, scope="storage:write"),
        f"{head}.{body[:-4]}AAAA.{mark}",
        f"{head}.{body}.{mark[:-4]}AAAA",
        jwt.encode(told, claims, ECKey.generate_key("P-256"), algorithms=["ES256"]),
    ]
    assert [ask(apache, one) for one in refused] == [401] * len(refused)


def test_tokens_signed_by_a_key_that_is_new_to_it_are_taken(apache, provider):
    robot = provider.robot("Writer")
    before = unchecked(provider.access_token(robot))[0]["kid"]
    for _ in range(2):  # so that what signs was not published when Apache last looked
        provider.replace_keys()
    token = provider.access_token(robot)
    assert unchecked(token)[0]["kid"] != before
    assert ask(apache, token) == 200
