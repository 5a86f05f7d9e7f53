"""An identity API to point OpenStack's clients at, and the people in it: ours, or a real Keystone.

Whoever runs it, it has the same: a project `demo` in which alice holds the role `member`, which
implies `reader`; and `glance`, who may validate the tokens of others, in the project `service`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.stack import Latchgate, text_of

DOMAIN = "default"
REGION = "kr-central-2"  # providers/kakaocloud: where its catalog is


@dataclass(frozen=True)
class Person:
    """A user, the password they log in with, and the project that they do it for."""

    id: str
    name: str
    password: str = field(repr=False)
    project: str
    project_id: str


@dataclass(frozen=True)
class Identity:
    """Where the API is and who can log in there; `domain` is the name of theirs."""

    url: str
    domain: str
    region: str
    alice: Person
    glance: Person

    def by_password(self, who: Person) -> dict[str, str]:
        """Return the environment of OpenStack's clients for a user's password."""
        return {
            "OS_AUTH_TYPE": "v3password",
            "OS_AUTH_URL": self.url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": self.region,
            "OS_USERNAME": who.name,
            "OS_PASSWORD": who.password,
            "OS_USER_DOMAIN_NAME": self.domain,
            "OS_PROJECT_NAME": who.project,
            "OS_PROJECT_DOMAIN_NAME": self.domain,
        }

    def by_credential(self, **told: str) -> dict[str, str]:
        """Return the environment for an application credential: `id` or `name`, `secret` and user.

        Each becomes OS_APPLICATION_CREDENTIAL_…, but `user_…`, which are OS_USER_….
        """
        named = {
            f"OS_{name.upper()}"
            if name.startswith("user")
            else f"OS_APPLICATION_CREDENTIAL_{name.upper()}": value
            for name, value in told.items()
        }
        return {
            "OS_AUTH_TYPE": "v3applicationcredential",
            "OS_AUTH_URL": self.url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": self.region,
            **named,
        }


def of_latchgate(server: Latchgate, service: str = "storage") -> Identity:
    """Make the people in the first tenant of a running Latchgate and return its identity API.

    `service` is the one whose scopes read and write the roles hold.
    """
    roles: dict[str, str] = {}
    for name, told in (
        ("reader", ("--scope", f"{service}:read")),
        ("member", ("--scope", f"{service}:write", "--implies", "reader")),
        ("admin", ("--implies", "member")),
        ("service", ("--scope", "identity:validate")),
    ):
        words = [roles.get(word, word) for word in told]
        roles[name] = server.json("role", "create", "--name", name, *words)["id"]

    def person(name: str, project: str, role: str) -> Person:
        user = server.json("user", "create", "--name", name)["id"]
        where = server.json("project", "create", "--name", project)["id"]
        server.run("user", "give-role", user, where, roles[role])
        issued = server.json(
            "account", "password", "issue", "--user", user, "--namespace", "kakaocloud"
        )
        return Person(user, name, issued["password"], project, where)

    return Identity(
        url=f"http://{text_of(server.api)}/identity/v3",
        domain=DOMAIN,
        region=REGION,
        alice=person("alice", "demo", "member"),
        glance=person("glance", "service", "service"),
    )


def documents(text: str) -> list[Any]:
    """Return the JSON documents that a program printed one after another."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (rest := text[at:].lstrip()) and at < len(text):
        document, length = decoder.raw_decode(rest)
        at = len(text) - len(rest) + length
        found.append(document)
    return found
