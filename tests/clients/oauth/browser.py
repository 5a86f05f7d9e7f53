"""A browser without a screen: cookies, redirects and forms, over HTTPS.

It knows no page by heart: it sends whatever form it was shown, by one of its buttons, so that a
program can be driven through a sign-in, a consent or a device code as a person would.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

_MOST_REDIRECTS = 10
_CHOSEN = frozenset({"checkbox", "radio"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass
class Form:
    """A form as a page shows it: what it sends, and its buttons by their words."""

    action: str
    method: str
    told: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What a browser ended at: a page of the origin, or an address that is somebody else's.

    Of the latter only `url` is known, and the form that is sent there, if it was a form.
    """

    url: str
    status: int = 0
    text: str = ""
    forms: tuple[Form, ...] = ()
    posted: str | None = None

    def form(self, button: str) -> Form:
        """Return the form that has a button of these words."""
        shown = [one.buttons for one in self.forms]
        found = [one for one in self.forms if button in one.buttons]
        assert len(found) == 1, (button, shown, self.url, self.status, self.text)
        return found[0]


class Browser:
    """Visits one origin, and stops where it would be sent elsewhere."""

    def __init__(self, origin: str, trust: ssl.SSLContext) -> None:
        self.origin = origin
        self._trust = trust
        self.cookies: dict[str, str] = {}

    def open(self, url: str) -> Page:
        """Open an address and follow where it leads."""
        return self._asked("GET", urljoin(self.origin, url), None)

    def press(self, page: Page, button: str, **typed: str) -> Page:
        """Send the form that has this button, with what was typed into it."""
        form = page.form(button)
        name, value = form.buttons[button]
        told = form.told | ({name: value} if name else {})
        unknown = typed.keys() - form.told.keys()
        assert not unknown, (unknown, form)
        action = urljoin(page.url, form.action)
        if form.method == "get":
            return self._asked("GET", f"{action}?{urlencode(told | typed)}", None)
        return self._asked("POST", action, urlencode(told | typed))

    def sign_in(self, login: str, password: str) -> None:
        """Sign in by name and password."""
        page = self.open("/sign-in")
        landed = self.press(page, "Sign in", login=login, password=password)
        assert "/sign-in" not in landed.url, landed.text

    def _asked(self, method: str, url: str, form: str | None) -> Page:
        for _ in range(_MOST_REDIRECTS):
            if not url.startswith(f"{self.origin}/"):
                return Page(url, posted=form)
            status, location, text = self._once(method, url, form)
            reader = _Reader()
            reader.feed(text)
            onward = location if status in _REDIRECTS else reader.onward
            if onward is None:
                return Page(url, status, text, tuple(reader.forms))
            url, method, form = urljoin(url, onward), "GET", None
        msg = f"redirected for ever: {url}"
        raise AssertionError(msg)

    def _once(self, method: str, url: str, form: str | None) -> tuple[int, str | None, str]:
        parts = urlsplit(url)
        headers = {"Cookie": "; ".join(f"{name}={text}" for name, text in self.cookies.items())}
        headers |= {"Sec-Fetch-Site": "none" if method == "GET" else "same-origin"}
        if form is not None:
            headers["Origin"] = self.origin
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPSConnection(parts.netloc, timeout=30, context=self._trust)
        try:
            connection.request(method, target, form, headers)
            answer = connection.getresponse()
            for one in answer.headers.get_all("set-cookie") or ():
                self._keep(one)
            return answer.status, answer.headers["location"], answer.read().decode()
        finally:
            connection.close()

    def _keep(self, told: str) -> None:
        pair, *attributes = told.split("; ")
        name, _, text = pair.partition("=")
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = text


class _Reader(HTMLParser):
    """Reads a page's forms (fields, what is chosen, buttons), and where it leads on by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.onward: str | None = None
        self._open = False
        self._button: tuple[str, str] | None = None
        self._words = ""
        self._choice: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a form holds."""
        told = {name: value or "" for name, value in attrs}
        if tag == "meta" and told.get("http-equiv") == "refresh":
            self.onward = told["content"].partition("url=")[2]
        if tag == "form":
            self._open = True
            self.forms.append(Form(told.get("action", ""), told.get("method", "get").lower()))
        if not self._open:
            return
        form, name, value = self.forms[-1], told.get("name", ""), told.get("value", "")
        if tag == "button":
            self._button, self._words = (name, value), ""
        elif tag == "select":
            self._choice = name
        elif tag == "option" and self._choice is not None:
            if "selected" in told or self._choice not in form.told:
                form.told[self._choice] = value
        elif tag == "input" and name and (told.get("type") not in _CHOSEN or "checked" in told):
            form.told[name] = value

    def handle_endtag(self, tag: str) -> None:
        """End a form, or a button of one."""
        if tag == "form":
            self._open = False
        elif tag == "select":
            self._choice = None
        elif tag == "button" and self._button is not None:
            self.forms[-1].buttons[" ".join(self._words.split())] = self._button
            self._button = None

    def handle_data(self, data: str) -> None:
        """Read a button's words."""
        self._words += data
