"""One server and one browser for all pages of the console that a process tests.

Each test has a tenant of its own, so that lists hold what it made.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from tests import people, pseudo
from tests.e2e.console.furnished import Furnished, a_furnished
from tests.e2e.desk import Desk, a_chromium, a_context, a_desk, a_page
from tests.people import Person


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A server, and its console as a browser reaches it."""
    with a_desk(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.fixture(scope="session")
def pseudo_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A server that speaks the language of `tests.pseudo`, to whoever asks for it."""
    folder = tmp_path_factory.mktemp("pseudo")
    catalogues = folder / "translations"
    with a_desk(folder, translations=pseudo.catalogue(catalogues)) as made:
        yield made


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    """A server of its own with a tenant that is full of records."""
    with a_furnished(tmp_path_factory.mktemp("furnished")) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser: for one file, as its event loop is in the way of what others run by asyncio."""
    with a_chromium() as made:
        yield made


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A profile of its own."""
    with a_context(chromium) as made:
        yield made


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may go wrong."""
    with a_page(context) as made:
        yield made


@pytest.fixture
def pseudo_page(chromium: Browser) -> Iterator[Page]:
    """A page of somebody who reads the language of `tests.pseudo`; for `pseudo_desk`."""
    with a_context(chromium, locale=pseudo.TAG) as made, a_page(made) as opened:
        yield opened


@pytest.fixture
def plain(chromium: Browser) -> Iterator[Page]:
    """The same without JavaScript."""
    with a_context(chromium, java_script_enabled=False) as made, a_page(made) as opened:
        yield opened


@pytest.fixture
def owner(desk: Desk) -> Person:
    """The first user of a tenant of their own, who may do everything there."""
    return people.owner(desk.world)


@pytest.fixture
def operator(desk: Desk) -> Person:
    """Somebody who may do everything, everywhere."""
    return people.person(desk.world, "*")
