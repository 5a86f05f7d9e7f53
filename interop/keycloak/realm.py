"""A real Keycloak of one's own, with one realm: started on loopback, its database in memory.

`make interop` unpacks it into .keycloak, from Maven Central by Maven, and builds it once. Here it
is set up and changed by its own admin API.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e.stack import ROOT, free_address
from tests.world import Answer, environment, http_request, until

HOME = ROOT / ".keycloak"
REALM = "customers"
CLIENT, DASHBOARD, AUDIENCE = "latchgate", "dashboard", "latchgate-dashboard"
START_SECONDS = 300.0
_FORM = "application/x-www-form-urlencoded"


class Keycloak:
    """Started when made; `stop` ends it."""

    def __init__(self, folder: Path) -> None:
        host, port = free_address()
        self.url = f"http://{host}:{port}"
        self.issuer = f"{self.url}/realms/{REALM}"
        self.client_secret = secrets.token_urlsafe(32)
        self._password = secrets.token_urlsafe(16)
        self._log = folder / "keycloak.log"
        command = HOME / "bin" / "kc.sh"
        assert command.exists(), f"{command} is missing: `make interop` unpacks it"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [command, "start", "--optimized", "--http-enabled=true", f"--http-port={port}",
                 f"--http-host={host}", f"--hostname={self.url}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(
                    KC_BOOTSTRAP_ADMIN_USERNAME="admin",
                    KC_BOOTSTRAP_ADMIN_PASSWORD=self._password,
                ),
                start_new_session=True,
            )  # fmt: skip
        until(self._is_up, seconds=START_SECONDS, what="Keycloak")

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return http_request("GET", f"{self.url}/realms/master").status == 200
        except OSError:
            return False

    @property
    def version(self) -> str:
        """What it says that it is."""
        told: str = self.admin("GET", "/serverinfo", realm=False).json["systemInfo"]["version"]
        return told

    def admin(self, method: str, path: str, told: Any = None, *, realm: bool = True) -> Answer:
        """Call its admin API."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
        token = self._token("master", **form, password=self._password).json["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps(told).encode() if told is not None else None
        at = f"{self.url}/admin{'/realms/' + REALM if realm else ''}{path}"
        answer = http_request(method, at, headers=headers, body=body)
        assert answer.status < 300, (method, path, answer.status, answer.body)
        return answer

    def _token(self, realm: str, **form: str) -> Answer:
        return http_request(
            "POST",
            f"{self.url}/realms/{realm}/protocol/openid-connect/token",
            headers={"Content-Type": _FORM},
            body=urlencode(form).encode(),
        )

    def make_realm(self, redirect_uri: str) -> None:
        """Make the realm, with its clients, roles and people."""
        self.admin("POST", "/realms", realm_of(redirect_uri, self.client_secret), realm=False)

    def token(self, user: str, password: str) -> Answer:
        """Ask for an access token as the dashboard's own program would."""
        form = {"grant_type": "password", "client_id": DASHBOARD, "scope": "openid"}
        return self._token(REALM, **form, username=user, password=password)

    def user_id(self, name: str) -> str:
        """Return a user's id, which is the subject of their tokens."""
        (found,) = self.admin("GET", f"/users?username={name}&exact=true").json
        told: str = found["id"]
        return told

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self.admin(
            "POST",
            "/components",
            {
                "name": "rsa-next",
                "providerId": "rsa-generated",
                "providerType": "org.keycloak.keys.KeyProvider",
                "config": {"priority": ["200"], "algorithm": ["RS256"], "keySize": ["2048"]},
            },
        )

    def withdraw(self, user: str, role: str) -> None:
        """Take a role of the realm from a user."""
        told = self.admin("GET", f"/roles/{role}").json
        self.admin("DELETE", f"/users/{self.user_id(user)}/role-mappings/realm", [told])

    def disable(self, user: str) -> None:
        """Disable a user."""
        self.admin("PUT", f"/users/{self.user_id(user)}", {"enabled": False})

    def stop(self) -> None:
        """End it, and the Java that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60)


def realm_of(redirect_uri: str, client_secret: str) -> dict[str, Any]:
    """Return a realm as Keycloak imports it."""
    return {
        "realm": REALM,
        "enabled": True,
        "sslRequired": "none",
        "roles": {"realm": [{"name": "staff"}, {"name": "storage-admin"}]},
        "clients": [
            {
                "clientId": CLIENT,
                "secret": client_secret,
                "redirectUris": [redirect_uri],
                "attributes": {"pkce.code.challenge.method": "S256"},
                # Roles are in access tokens alone, unless a mapper puts them into ID tokens.
                "protocolMappers": [
                    _mapper(
                        "roles in ID tokens",
                        "oidc-usermodel-realm-role-mapper",
                        {"claim.name": "realm_access.roles", "multivalued": "true"},
                    )
                ],
            },
            {
                "clientId": DASHBOARD,
                "publicClient": True,
                "directAccessGrantsEnabled": True,
                "protocolMappers": [
                    _mapper(
                        "audience",
                        "oidc-audience-mapper",
                        {"included.custom.audience": AUDIENCE},
                    )
                ],
            },
        ],
        "users": [_user("ada", "staff", "storage-admin"), _user("bob", "staff"), _user("eve")],
    }


def _mapper(name: str, kind: str, config: dict[str, str]) -> dict[str, Any]:
    told = {"id.token.claim": "true", "access.token.claim": "true", **config}
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": told,
    }


def _user(name: str, *roles: str) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": name.title(),
        "lastName": "Example",
        "credentials": [{"type": "password", "value": f"password of {name}"}],
        "realmRoles": list(roles),
    }
