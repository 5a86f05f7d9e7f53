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

# A service of the operator's own, beside the identity API: roles become its scopes.
COMPUTE = """
[services.compute]
title = "Compute"

[services.compute.scopes]
"compute:read" = "List and show servers"
"compute:write" = "Make, change and delete servers"

[[areas]]
path = "/compute"
service = "compute"
accepts = ["project_token"]
rules = [
  { methods = ["GET", "HEAD"], scope = "compute:read" },
  { methods = ["POST", "DELETE"], scope = "compute:write" },
]
"""
# Answered by the echo, as the two locations that the shipped configuration has for WAYSCloud.
LOCATION = """\
        location ^~ /compute/ {
            include latchgate-protect.conf;
            proxy_pass http://objects;
        }

        # All the rest"""


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
    for name, scopes, lower in (
        ("reader", [f"{service}:read"], []),
        ("member", [f"{service}:write"], ["reader"]),
        ("admin", [], ["member"]),
        ("service", ["identity:validate"], []),
    ):
        spec = {"name": name, "scopes": scopes, "implies": [roles[one] for one in lower]}
        roles[name] = server.call("POST", "/manage/v1/roles", spec)["id"]

    def person(name: str, project: str, role: str) -> Person:
        user = server.call("POST", "/manage/v1/users", {"name": name})["id"]
        where = server.call("POST", "/manage/v1/projects", {"name": project})["id"]
        path = f"/manage/v1/users/{user}"
        server.call("PUT", f"{path}/roles/{where}/{roles[role]}")
        given = server.call("POST", f"{path}/password", {"namespace": "kakaocloud"})
        return Person(user, name, given["password"], project, where)

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
