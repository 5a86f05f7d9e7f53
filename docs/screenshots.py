# ruff: noqa: INP001 - run by path
"""Take pictures of the console's pages into docs/screenshots: `make screenshots`.

They are of a real server with a furnished tenant, the one that tests look at. Names are the same
each time; ids, secrets and times are not. With names of pictures only these are taken anew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from playwright.sync_api import FloatRect, Page, expect
from tests.doors.console.declared import declared
from tests.e2e.console.furnished import Furnished, a_furnished
from tests.e2e.desk import a_chromium, a_context, sign_in

from latchgate.doors.console.menu import Menu

FOLDER = Path(__file__).absolute().parent / "screenshots"
WIDTH, LEAST, MOST = 1280, 480, 720
KILOBYTES = 150


@dataclass(frozen=True)
class Shot:
    """A picture: what it is called, how its page is come to, and in which theme."""

    name: str
    come: Callable[[Page, Furnished], object]
    theme: Literal["light", "dark"] = "light"


def _opened(path: str) -> Callable[[Page, Furnished], object]:
    return lambda page, at: page.goto(at.desk.origin + path.format_map(at.ids))


def _key_made(page: Page, at: Furnished) -> None:
    page.goto(f"{at.desk.origin}/keys/new")
    form = page.locator("form[action='/keys/new']")
    form.locator("[name=name]").fill("Photo archive")
    form.locator("[name=services][value=storage]").check()
    form.locator("[name=scopes][value='storage:read']").check()
    form.locator("button:not([type=button])").last.click()
    expect(page.locator(".secrets")).to_be_visible()


def _explained(page: Page, at: Furnished) -> None:
    page.goto(f"{at.desk.origin}/why?id={at.ids['refusals']}")
    expect(page.locator(".verdict")).to_be_visible()


def shots() -> Iterator[Shot]:
    """Return every picture: each page of the menu, and some that are come to from these."""
    paths = {page.path for page in declared() if page.show is not None}
    for group in Menu.of(declared()).groups:
        for entry in group.entries:
            yield Shot(entry.path.strip("/"), _opened(entry.path))
    if "/keys" in paths:
        yield Shot("keys-new", _opened("/keys/new"))
        yield Shot("key", _opened("/keys/{keys}"))
        yield Shot("key-shown-once", _key_made)
        yield Shot("key-rotate", _opened("/keys/{keys}/rotate"))
        yield Shot("keys-dark", _opened("/keys"), "dark")
    if "/why" in paths:
        yield Shot("why-refused", _explained)
    if "/people/{id}" in paths:
        yield Shot("person", _opened("/people/{people}"))
    yield Shot("overview-dark", _opened("/overview"), "dark")


def take(page: Page, name: str) -> None:
    """Write a picture of the page that is open, down to what a window shows."""
    long = page.evaluate("document.documentElement.scrollHeight")
    clip = FloatRect(x=0, y=0, width=WIDTH, height=max(LEAST, min(long, MOST)))
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file, clip=clip, full_page=True, animations="disabled", caret="hide")
    size = file.stat().st_size / 1_000
    if size > KILOBYTES:
        sys.exit(f"{file} takes {size:.0f} kB, more than {KILOBYTES}: show less of the page")
    print(f"{file.name}  {size:.0f} kB")  # noqa: T201 - says what it made


def main() -> None:
    """Take them, all or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these pictures")
    wanted = set(parser.parse_args().names)
    FOLDER.mkdir(exist_ok=True)
    size = {"width": WIDTH, "height": 720}
    with (
        tempfile.TemporaryDirectory(prefix="latchgate-screenshots-") as folder,
        a_furnished(Path(folder)) as at,
        a_chromium() as chromium,
        a_context(chromium, viewport=size, color_scheme="light") as context,
    ):
        page = context.new_page()
        if not wanted or "sign-in" in wanted:
            page.goto(f"{at.desk.origin}/sign-in")
            take(page, "sign-in")
        sign_in(page, at.desk, at.person, "/overview")
        expect(page.locator("nav#menu")).to_be_visible()
        for one in shots():
            if not wanted or one.name in wanted:
                page.emulate_media(color_scheme=one.theme)
                one.come(page, at)
                take(page, one.name)


if __name__ == "__main__":
    main()
