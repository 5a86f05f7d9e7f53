"""Every page of the console, by its path."""

from __future__ import annotations

from latchgate.doors.console import (
    Application,
    applications,
    authorize,
    device,
    logout,
    providers,
    security,
    sign_in,
)
from latchgate.doors.console.browser import Opened
from latchgate.doors.console.frame import Frame
from latchgate.doors.console.site import Site
from latchgate.doors.door import Door


def pages(door: Door, site: Site) -> dict[str, Application]:
    """Return the console's pages and what they load, by their exact path."""
    frame = Frame(door, site)
    found: dict[str, Application] = dict.fromkeys(frame.assets(), frame.asset)
    nouns = (sign_in, security, authorize, device, applications, logout)
    own = (page for noun in nouns for page in noun.PAGES)
    for page in (*own, *providers.pages(door.providers)):
        found[page.path] = Opened(frame, page)
    return found
