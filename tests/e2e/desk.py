"""A console and a real browser at it.

The browser is Debian's Chromium. Each test gets a profile of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.people import Person
from tests.world import Server, World

MILLISECONDS = 30_000
CHROMIUM = "/usr/bin/chromium-headless-shell"
expect.set_options(timeout=MILLISECONDS)


@dataclass(frozen=True)
class Desk:
    """A server, and its console as a browser reaches it."""

    server: Server
    world: World
    origin: str


@contextmanager
def a_desk(folder: Path, *, translations: Path | None = None) -> Iterator[Desk]:
    """Start a server; `translations` is its folder of catalogues."""
    server = Server.made(folder / "lg")
    if translations is not None:
        with server.config.open("a", encoding="utf-8") as config:
            config.write(f"\n[console]\ntranslations = {json.dumps(str(translations))}\n")
    server.start()
    try:
        world = World.beside(server)
        port = server.addresses["console"].rpartition(":")[2]
        yield Desk(server, world, f"http://localhost:{port}")
        world.close()
    finally:
        server.kill()


@contextmanager
def a_chromium() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        # As root it has no sandbox; what it opens is ours alone.
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@contextmanager
def a_context(chromium: Browser, **told: object) -> Iterator[BrowserContext]:
    """Give it a profile of its own."""
    made = chromium.new_context(**told)  # type: ignore[arg-type] # as it takes
    made.set_default_timeout(MILLISECONDS)
    yield made
    made.close()


@contextmanager
def a_page(context: BrowserContext) -> Iterator[Page]:
    """Open a page on which nothing goes wrong: no script fails, nothing is against the policy."""
    made = context.new_page()
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    yield made
    # A refused form is no fault of the page.
    left = [one for one in wrong if "the server responded with a status of 4" not in one]
    assert not left, left


def sign_in(page: Page, desk: Desk, person: Person, at: str = "/security") -> None:
    page.goto(f"{desk.origin}/sign-in?next={at}")
    page.get_by_label("Login name").fill(person.login)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()
