"""A real Latchgate that is three clouds, behind nginx, with people and what they send it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.error import HTTPError
from urllib.request import Request

import pytest
import sqlalchemy as sa
from tests.clients.identity import COMPUTE, LOCATION, Identity, of_latchgate
from tests.e2e.stack import Gateway, Latchgate, Upstream, text_of
from tests.world import World, http_request, until

from latchgate.client import KakaoCloud, Refused
from latchgate.client.adapters.requests import Session
from latchgate.client.adapters.requests import check as check_requests
from latchgate.client.adapters.urllib import Opener, check
from latchgate.client.flow import Cloud
from latchgate.core.model import Noun
from latchgate.store import schema

if TYPE_CHECKING:
    from tests.world import Server

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A running Latchgate, nginx before it and before the services, and its people."""

    server: Latchgate
    gateway: str
    identity: Identity
    roles: dict[str, str] = field(default_factory=dict)

    @property
    def api(self) -> str:
        """Where the clouds' own APIs are."""
        return f"http://{text_of(self.server.api)}"

    def end(self, key_id: str) -> None:
        """Let a key's time be over, which by the API it can't be from the beginning."""
        # Its folder is all that is looked at, and its token.
        world = World.beside(cast("Server", self.server))
        try:
            table = schema.credential
            over = sa.update(table).where(table.c.id == key_id).values(expires_at=time.time() - 1)
            world.change(Noun.CREDENTIAL, key_id, over)
        finally:
            world.close()

    def reason(self, error: Refused) -> str:
        """Return why a request was refused, as `latchgate explain --id` says it."""
        assert error.decision is not None, error
        where = f"/manage/v1/decisions/{error.decision}"
        until(lambda: self.server.called("GET", where)[0] == 200, seconds=30, what="its trace")
        told: str = self.server.json("explain", "--id", error.decision)["reason"]
        return told


@contextmanager
def opened(folder: Path) -> Iterator[Place]:
    """Start all of it below a folder, and end it."""
    with (
        Latchgate(folder / "latchgate") as server,
        Upstream("echo", folder / "echo") as echo,
    ):
        with (server.folder / "providers" / "kakaocloud.toml").open("a", encoding="utf-8") as file:
            file.write(COMPUTE)
        server.serve(workers=1)
        server.run("policy", "apply", "--config", str(server.config))
        echo.start()
        with Gateway(
            folder / "gateway",
            verify=server.verify,
            objects=echo.address,
            llm=echo.address,
            api=server.api,
            edit=lambda text: text.replace("        # All the rest", LOCATION, 1),
        ) as gateway:
            gateway.start()
            identity = of_latchgate(server, "compute")
            listed = server.call("GET", "/manage/v1/roles")["roles"]
            yield Place(server, gateway.url, identity, {one["name"]: one["id"] for one in listed})


@dataclass
class Person:
    """A user with roles in a project of their own, and one access key."""

    place: Place
    id: str
    project: str
    password: str
    name: str
    key: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def made(cls, place: Place, *roles: str) -> Person:
        call, name = place.server.call, f"person-{next(_numbers)}"
        user = call("POST", "/manage/v1/users", {"name": name})["id"]
        project = call("POST", "/manage/v1/projects", {"name": f"project of {name}"})["id"]
        person = cls(place, user, project, "", name)
        for role in roles:
            person.give(role)
        spec = {"namespace": "kakaocloud", "project_id": project}
        person.password = call("POST", f"/manage/v1/users/{user}/password", spec)["password"]
        person.key = person.call("POST", "", {"application_credential": {"name": "deploy"}})
        return person

    def give(self, role: str) -> None:
        """Give a role in the project."""
        self.place.server.call("PUT", self._held(role))

    def take(self, role: str) -> None:
        """Take one away."""
        self.place.server.call("DELETE", self._held(role))

    def _held(self, role: str) -> str:
        return f"/manage/v1/users/{self.id}/roles/{self.project}/{self.place.roles[role]}"

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Do something about access keys, logged in by password."""
        how = {"user": {"id": self.id, "password": self.password}}
        auth = {
            "identity": {"methods": ["password"], "password": how},
            "scope": {"project": {"id": self.project}},
        }
        url = self.place.identity.url
        headers = {"Content-Type": "application/json"}
        login = http_request(
            "POST", f"{url}/auth/tokens", headers=headers, body=json.dumps({"auth": auth}).encode()
        )
        headers["X-Auth-Token"] = login.headers["x-subject-token"]
        told = http_request(
            method,
            f"{url}/users/{self.id}/application_credentials{path}",
            headers=headers,
            body=json.dumps(body).encode() if body is not None else None,
        )
        assert told.status < 300, told.body
        return told.json["application_credential"] if told.body else None

    def delete_key(self) -> None:
        """Delete the access key."""
        self.call("DELETE", f"/{self.key['id']}")

    def cloud(self, **more: Any) -> KakaoCloud:
        """Return a client with the access key; its token is its own."""
        given = {"access_key_id": self.key["id"], "secret": self.key["secret"]} | more
        place = self.place
        return KakaoCloud(**given, url=place.identity.url, origins=[place.gateway], cache=None)


def asking(url: str, method: str = "GET", body: object = None, **headers: str) -> Request:
    """Return a request of urllib's; a body goes as JSON."""
    if body is None:
        return Request(url, headers=headers, method=method)  # noqa: S310 - a server of the test's
    raw = json.dumps(body).encode()
    told = {"Content-Type": "application/json"}
    return Request(url, raw, told, method=method)  # noqa: S310 - as above


def sent(cloud: Cloud, url: str, method: str = "GET") -> int:
    """Send a request with a cloud's credential, and return its status; a refusal is raised."""
    try:
        with Opener(cloud).open(asking(url, method)) as answer:
            return int(answer.status)
    except HTTPError as error:
        check(cloud, error)
        raise


def refusal(cloud: Cloud, url: str, method: str = "GET") -> Refused:
    """Send a request that is refused with two libraries, and return the error that it is."""
    with pytest.raises(Refused) as caught:
        sent(cloud, url, method)
    with Session(cloud) as session, pytest.raises(Refused) as again:
        check_requests(cloud, session.request(method, url))
    error, other = caught.value, again.value
    assert type(error) is type(other)
    each = ("status", "code", "message", "scope", "meaning", "faults")
    assert [getattr(error, name) for name in each] == [getattr(other, name) for name in each]
    for secret in cloud.secrets:
        assert secret.reveal() not in f"{error}{error!r}{vars(error)}"
    return error


def stopped(cloud: Cloud, url: str) -> bool:
    """Whether a request is refused by now."""
    try:
        sent(cloud, url)
    except Refused:
        return True
    return False
