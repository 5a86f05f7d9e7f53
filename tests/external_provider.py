"""An external OpenID provider in a process of its own: npm's oidc-provider, as a server's config.

`make test` installs it below tests/clients/node.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

from tests.world import environment, http_request, until

NODE = Path(__file__).parent / "clients" / "node"
SECRET = "the-secret-of-the-client/+ %"
SECONDS = 60.0


class ExternalProvider:
    """Started when made; its accounts, its key and how people sign in there change by `control`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._told: dict[str, Any] = {}
        self.secret_file = folder / "client.secret"
        self.secret_file.write_text(f"{SECRET}\n")
        self.start("0")

    def start(self, port: str | None = None) -> None:
        """Start it, at the port that it had before unless told; it knows what it was told."""
        assert (NODE / "node_modules" / "oidc-provider").is_dir(), "`make test` installs it"
        said = self._folder / "said.json"
        with said.open("wb") as out, (self._folder / "provider.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["node", str(NODE / "provider.mjs"), SECRET, port or self.port],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )
        until(lambda: said.read_bytes().endswith(b"}\n"), seconds=SECONDS, what="the provider")
        self.issuer: str = json.loads(said.read_bytes())["issuer"]
        if self._told:
            self.control()

    @property
    def port(self) -> str:
        """The port that it listens on."""
        return self.issuer.rpartition(":")[2]

    def control(self, *, rotate: bool = False, withdraw: bool = False, **told: Any) -> None:
        """Change what it does; see provider.mjs."""
        self._told |= told
        sent = json.dumps({**self._told, "rotate": rotate, "withdraw": withdraw}).encode()
        answer = http_request("POST", f"{self.issuer}/control", body=sent)
        assert answer.status == 200, answer.body

    def account(self, subject: str, **claims: Any) -> None:
        """Give it an account, or give one other claims."""
        self.control(accounts={**self._told.get("accounts", {}), subject: claims})

    def config(self, **more: str) -> str:
        """Return the table of a server's configuration that people sign in through it by."""
        told = {
            "name": '"external"',
            "title": '"Example Inc."',
            "issuer": json.dumps(self.issuer),
            "client_id": '"latchgate"',
            "client_secret_file": json.dumps(str(self.secret_file)),
            "algorithms": '["ES256"]',
            **more,
        }
        lines = (f"{name} = {value}" for name, value in told.items())
        return "\n[[sign_in.providers]]\n" + "\n".join(lines) + "\n"

    def sign_in(self, question: str, subject: str | None, *, until: str = "/callback/") -> str:
        """Answer as a browser does that was sent to `question`: sign in there, None for cancel.

        Returns the address at which the browser leaves for where it came from.
        """
        cookies: dict[str, str] = {}
        form = {"account": subject, "do": "in"} if subject is not None else {"do": "not"}
        url, body = question, None
        for _ in range(10):
            headers = {"Cookie": "; ".join(f"{name}={text}" for name, text in cookies.items())}
            headers |= {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
            answer = http_request("POST" if body else "GET", url, headers=headers, body=body)
            for name, value in answer.pairs:
                if name == "set-cookie":
                    key, _, text = value.partition(";")[0].partition("=")
                    cookies[key] = text
            body = None
            if answer.status == 200:
                body = urlencode(form).encode()
                continue
            assert answer.status == 303, (url, answer.status, answer.body)
            url = urljoin(url, answer.headers["location"])
            if until in url:
                return url
        raise AssertionError(url)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(SECONDS)
            self._process = None
