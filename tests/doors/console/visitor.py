"""A browser without a screen: cookies, forms and the headers that a real one sends."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.people import Person
from tests.world import Answer, Server, http_request

_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


@dataclass
class Visitor:
    """Keeps cookies, and sends forms with the token of the page that it saw last."""

    server: Server
    address: str = "192.0.2.1"
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    page: str = ""

    @property
    def origin(self) -> str:
        """Where the console is."""
        return self.server.addresses["console"]

    def ask(
        self, method: str, path: str, form: Mapping[str, str] | bytes | None = None, /, **more: str
    ) -> Answer:
        """Send a request as a browser would; headers by name, `_` for a hyphen, None drops one."""
        headers = {"X-Forwarded-For": self.address, "User-Agent": "Visitor/1"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        body = None
        if method == "POST":
            headers |= {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = form if isinstance(form, bytes) else urlencode(form or {}).encode()
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        kept = {name: value for name, value in headers.items() if value}
        answer = http_request(method, self.origin + path, headers=kept, body=body)
        for name, value in answer.pairs:
            if name == "set-cookie":
                self._keep(value)
        return answer

    def _keep(self, told: str) -> None:
        pair, *attributes = told.split("; ")
        name, _, text = pair.partition("=")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes), told
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = text

    def see(self, path: str) -> Answer:
        """Open a page, and remember its token."""
        answer = self.ask("GET", path)
        self.page = html.unescape(answer.body.decode())
        found = _TOKEN.search(self.page)
        self.token = found[1] if found else self.token
        return answer

    def send(self, path: str, form: Mapping[str, str] | None = None, /, **more: str) -> Answer:
        """Send a form of the page seen last."""
        return self.ask("POST", path, {"csrf": self.token, **(form or {})}, **more)

    def sign_in(self, person: Person, following: str = "/security", **more: str) -> Answer:
        """Open the page to sign in, and send login name and password."""
        self.see("/sign-in")
        form = {"login": person.login, "password": person.password, "next": following}
        return self.send("/sign-in", form | more)

    def is_signed_in(self) -> bool:
        """Whether the security page opens."""
        return self.see("/security").status == 200
