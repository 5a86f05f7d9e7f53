"""A real Keystone of one's own: PyPI's, with SQLite and Fernet tokens, below /identity.

It has a domain, the roles `admin`, `member` and `reader` (each implying the next, as Keystone's
bootstrap makes them), and an administrator. `make interop` installs it into .venv-keystone.
"""

from __future__ import annotations

import getpass
import grp
import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.identity import DOMAIN, Identity, Person
from tests.e2e.stack import HOST, ROOT, Program, accepts, curl, environment, free_address

FOLDER = ROOT / ".venv-keystone" / "bin"
ADMINISTRATOR = "admin"
REGION = "RegionOne"

_CONFIG = """\
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet-keys
[credential]
key_repository = {folder}/credential-keys
"""


_CACHE = """\
[cache]
enabled = true
backend = dogpile.cache.memory
"""


class Keystone(Program):
    """A Keystone in a folder: its database, its keys, its server.

    `remembers` gives it a cache in its own memory, as one in production has one beside it.
    """

    def __init__(self, folder: Path, *, remembers: bool = False) -> None:
        super().__init__("keystone", folder)
        self.address = free_address()
        self.password = secrets.token_urlsafe(16)
        self._config = folder / "keystone.conf"
        text = _CONFIG.format(folder=folder) + (_CACHE if remembers else "")
        self._config.write_text(text, encoding="utf-8")
        self._manage("db_sync")
        us = grp.getgrgid(os.getgid()).gr_name
        for keys in ("fernet_setup", "credential_setup"):
            self._manage(keys, "--keystone-user", getpass.getuser(), "--keystone-group", us)
        self._manage(
            "bootstrap", "--bootstrap-username", ADMINISTRATOR,
            "--bootstrap-password", self.password, "--bootstrap-region-id", REGION,
            "--bootstrap-public-url", self.url, "--bootstrap-internal-url", self.url,
            "--bootstrap-admin-url", self.url,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """What clients call OS_AUTH_URL."""
        return f"http://{HOST}:{self.address[1]}/identity/v3"

    def start(self, *, threads: int = 4) -> None:
        """Start it and wait until it accepts connections."""
        script = ROOT / "interop" / "keystone" / "serve.py"
        port = str(self.address[1])
        self.launch(
            [FOLDER / "python", script, self._config, port, str(threads)],
            lambda: accepts(self.address),
        )

    def identity(self) -> Identity:
        """Make the people that tests log in as, once, and return the API."""
        token = self._token()

        def call(method: str, path: str, sent: object = None) -> Any:
            words = ["-X", method, f"{self.url}{path}", "-H", f"X-Auth-Token: {token}"]
            if sent is not None:
                words += ["-H", "Content-Type: application/json", "-d", json.dumps(sent)]
            told = curl(*words)
            assert told.status < 300, told.body
            return told.json() if told.body else None

        roles = {one["name"]: one["id"] for one in call("GET", "/roles")["roles"]}

        def person(name: str, project: str, role: str) -> Person:
            password = secrets.token_urlsafe(16)
            user = {"name": name, "password": password, "domain_id": DOMAIN}
            user_id = call("POST", "/users", {"user": user})["user"]["id"]
            made = {"project": {"name": project, "domain_id": DOMAIN}}
            where = call("POST", "/projects", made)["project"]["id"]
            if role not in roles:
                made = {"role": {"name": role}}
                roles[role] = call("POST", "/roles", made)["role"]["id"]
            call("PUT", f"/projects/{where}/users/{user_id}/roles/{roles[role]}")
            return Person(user_id, name, password, project, where)

        alice, glance = person("alice", "demo", "member"), person("glance", "service", "service")
        return Identity(self.url, "Default", REGION, alice, glance)

    def _token(self) -> str:
        who = {"name": ADMINISTRATOR, "domain": {"id": DOMAIN}, "password": self.password}
        how = {"methods": ["password"], "password": {"user": who}}
        scope = {"project": {"name": ADMINISTRATOR, "domain": {"id": DOMAIN}}}
        sent = json.dumps({"auth": {"identity": how, "scope": scope}})
        told = curl(f"{self.url}/auth/tokens", "-H", "Content-Type: application/json", "-d", sent)
        assert told.status == 201, told.body
        return str(told.one("X-Subject-Token"))

    def _manage(self, *words: str) -> None:
        done = subprocess.run(
            [FOLDER / "keystone-manage", "--config-file", self._config, *words],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=self.folder,
            timeout=300,
            check=False,
        )
        if done.returncode:
            msg = f"keystone-manage {words[0]} failed: {done.stderr[-2000:]}"
            raise RuntimeError(msg)
