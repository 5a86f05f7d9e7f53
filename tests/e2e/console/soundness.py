"""What must hold on each page of the console, whichever it is: looked at by a real browser.

Rule of this file: a page is opened once, and looked at from all sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, Request, ViewportSize
from tests.clients.installed import NODE_MODULES
from tests.e2e.desk import a_context

KILOBYTES = 100
WIDE = ViewportSize(width=1280, height=900)
NARROW = ViewportSize(width=320, height=700)
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_AXE = """async told => {
    const found = await axe.run(document, {resultTypes: ["violations"], ...told});
    return found.violations.map(one => [
        one.id, one.help, one.nodes.slice(0, 4).map(node => node.html.slice(0, 160)),
    ]);
}"""
# Reflow (WCAG 1.4.10): what is wider than the window, and in nothing that scrolls by itself.
_TOO_WIDE = """() => {
    const page = document.scrollingElement;
    if (page.scrollWidth <= page.clientWidth) return [];
    const inside = one => {
        for (let up = one.parentElement; up; up = up.parentElement)
            if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX)) return true;
        return false;
    };
    const wide = [...document.querySelectorAll("body *")].filter(
        one => one.getBoundingClientRect().right > page.clientWidth + 1 && !inside(one));
    return [`the document is ${page.scrollWidth} wide`,
        ...wide.slice(-4).map(one => one.outerHTML.slice(0, 160))];
}"""


@cache
def axe() -> str:
    """Return axe-core, as it was installed."""
    return (NODE_MODULES / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@dataclass
class Look:
    """A page of a browser, and what went on in it since it was last opened."""

    page: Page
    origin: str
    wire: CDPSession
    wrong: list[str] = field(default_factory=list)
    loaded: float = 0.0

    def open(self, address: str) -> list[str]:
        """Open an address, look at it from all sides, and return what is wrong with it."""
        self._begin()
        self.page.set_viewport_size(WIDE)
        answer = self.page.goto(self.origin + address)
        assert answer is not None
        faults = [] if answer.status == 200 else [f"it is answered {answer.status}"]
        return faults + self.faults()

    def faults(self) -> list[str]:
        """Return what is wrong with the page that is open."""
        self.page.wait_for_load_state()
        seen = self._accessibility()
        found = [*self.wrong, *self._heavy(), *seen]
        self._begin()
        return found

    def _begin(self) -> None:
        self.wrong.clear()
        self.loaded = 0.0

    def _heavy(self) -> list[str]:
        weight = self.loaded / 1_000
        return [f"it weighs {weight:.0f} kB, of {KILOBYTES}"] if weight > KILOBYTES else []

    def _accessibility(self) -> list[str]:
        page = self.page
        page.evaluate(axe())
        page.emulate_media(color_scheme="light")
        found = self._axe("", {"runOnly": list(TAGS)})
        page.emulate_media(color_scheme="dark")
        found += self._axe("dark: ", {"runOnly": ["cat.color"]})
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(NARROW)
        found += [f"at 320 px: {one}" for one in page.evaluate(_TOO_WIDE)]
        sized = {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]}
        found += self._axe("at 320 px: ", {"runOnly": sized})
        page.set_viewport_size(WIDE)
        return found

    def _axe(self, where: str, told: dict[str, Any]) -> list[str]:
        rules = {"rules": {"target-size": {"enabled": True}}} if not where else {}
        return [
            f"{where}{rule}: {told_by} {nodes}"
            for rule, told_by, nodes in self.page.evaluate(_AXE, told | rules)
        ]

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:")):
            self.wrong.append(f"it asks {request.url}")

    def _told(self, kind: str, text: str) -> None:
        if kind == "error" and "the server responded with a status of 4" not in text:
            self.wrong.append(f"the browser says: {text}")


@contextmanager
def a_look(chromium: Browser, origin: str, **told: object) -> Iterator[Look]:
    """Open a page of a browser that keeps nothing from one page to the next."""
    with a_context(chromium, **told) as context:
        page = context.new_page()
        wire = context.new_cdp_session(page)
        look = Look(page, origin, wire)
        wire.send("Network.enable")
        wire.send("Network.setCacheDisabled", {"cacheDisabled": True})

        def weigh(event: dict[str, Any]) -> None:
            look.loaded += event["encodedDataLength"]

        wire.on("Network.loadingFinished", weigh)
        page.on("request", look._asked)
        page.on("console", lambda one: look._told(one.type, one.text))
        page.on("pageerror", lambda error: look.wrong.append(f"a script failed: {error}"))
        yield look
