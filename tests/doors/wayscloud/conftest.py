"""A server that believes an identity provider, for each module that asks for one."""

from __future__ import annotations

import time

import pytest
from tests.identity_provider import IdentityProvider, believing, new_key, sign
from tests.world import Server


class Dashboard:
    """A running server, its identity provider, and what a linked user sends."""

    def __init__(self, server: Server, provider: IdentityProvider) -> None:
        self.server = server
        self.provider = provider
        self.key = new_key("RS256", "first")
        provider.publish(self.key)
        self.admin = server.call("GET", "/manage/v1/account").json

    def believe(self) -> None:
        """Publish the policy that takes the provider's bearers at the dashboard."""
        folder = self.server.folder
        path = folder / "providers" / "wayscloud.toml"
        path.write_text(believing(path.read_text("utf-8"), self.provider), "utf-8")
        applied = self.server.cli("policy", "apply", "--config", str(folder / "latchgate.toml"))
        assert applied.code == 0, applied.err

    def claims(self, **changes):
        return self.provider.claims(time.time(), **changes)

    def token(self, *, header=None, key=None, alg="RS256", **claims):
        return sign(self.claims(**claims), key or self.key, alg=alg, header=header)

    def link(self, subject, user_id=None, **more):
        """Link a subject with a user, the administrator unless told."""
        return self.server.call(
            "POST",
            f"/manage/v1/users/{user_id or self.admin['user']['id']}/links",
            {"issuer": self.provider.issuer, "subject": subject, **more},
        )

    def status(self, token, path="/api/v1/dashboard/account/profile"):
        return self.server.call("GET", path, token=token).status


@pytest.fixture(scope="module")
def provider():
    made = IdentityProvider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with one worker."""
    made = Server.started(tmp_path_factory.mktemp("wayscloud") / "lg")
    yield made
    made.kill()


@pytest.fixture(scope="module")
def dashboard(server, provider):
    made = Dashboard(server, provider)
    made.believe()
    return made
