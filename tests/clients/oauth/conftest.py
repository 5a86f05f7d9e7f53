"""One provider for a session's tests of OAuth2 clients, and what runs their programs against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.clients.oauth import provider as of_tests
from tests.clients.oauth.browser import Browser
from tests.clients.oauth.dialogue import outcomes
from tests.clients.oauth.provider import CODE, DEVICE, EXCHANGE, REFRESH, Client, Provider
from tests.people import Person

REDIRECT = "https://app.example/callback"
HERE = "http://127.0.0.1/callback"  # of a native app, which adds a port of its own
OK = 200
AFTERWARDS = "https://app.example/bye"


@dataclass(frozen=True)
class Stage:
    """A provider, a client of every sort, and a person who is signed in there."""

    provider: Provider
    web: Client
    native: Client
    robot: Client
    api: Client
    person: Person
    browsers: dict[str, Browser] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return what every program is told before it begins."""
        clients = {"web": self.web, "native": self.native, "robot": self.robot, "api": self.api}
        told: dict[str, Any] = {
            name: {"id": one.id, "secret": one.secret, "redirect_uri": one.redirect_uri}
            for name, one in clients.items()
        }
        key = self.provider.key("storage").text
        return told | {"issuer": self.provider.issuer, "key": key, "afterwards": AFTERWARDS}

    def browse(self, url: str, press: Sequence[str] = (), by: str = "") -> dict[str, Any]:
        """Let the person open an address and press these buttons, while they are asked anything.

        `by` names a browser of theirs, which is signed in too. Returns where they ended, the status
        of a page that it is, what is posted there, and which buttons there were to press.
        """
        if by not in self.browsers:
            self.browsers[by] = Browser(self.provider.issuer, self.provider.trust)
            self.browsers[by].sign_in(self.person.login, self.person.password)
        page, pressed = self.browsers[by].open(url), []
        for button in press:
            if page.status == OK:
                page = self.browsers[by].press(page, button)
                pressed.append(button)
        return {"url": page.url, "status": page.status, "posted": page.posted, "pressed": pressed}

    def answers(self) -> dict[str, Callable[..., Any]]:
        """Return what programs may ask for."""
        return {
            "browse": self.browse,
            "later": self.provider.later,
            "signed": self.provider.signed,
        }

    def run(self, *command: str | Path, home: Path) -> dict[str, Any]:
        """Run a program's scenario and return its outcomes by name; the issuer reads ISSUER."""
        trusted = str(self.provider.authority.file)
        names = ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        found = outcomes(
            *command,
            home=home,
            env=dict.fromkeys(names, trusted),
            told=self.told(),
            answers=self.answers(),
        )
        plain: dict[str, Any] = json.loads(
            json.dumps(found).replace(self.provider.issuer, "ISSUER")
        )
        return plain


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A Latchgate that nobody restarts."""
    with Provider(tmp_path_factory.mktemp("provider")) as made:
        made.serve(workers=1)
        yield made
        made.close()


@pytest.fixture(scope="session")
def stage(provider: Provider) -> Stage:
    """The provider with its clients and a person."""
    granted = (CODE, REFRESH, DEVICE, EXCHANGE)
    return Stage(
        provider,
        web=provider.client(
            "Photos", *granted, redirect_uri=REDIRECT, post_logout_redirect_uris=[AFTERWARDS]
        ),
        native=provider.client("Notes", CODE, REFRESH, DEVICE, redirect_uri=HERE, public=True),
        robot=provider.robot("Reports"),
        api=provider.client("Storage", of_tests.INTROSPECTION),
        person=provider.person(),
    )
