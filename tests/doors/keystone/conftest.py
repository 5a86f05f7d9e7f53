"""One server with two workers for all tests of the identity API."""

from __future__ import annotations

import pytest
from tests.doors.keystone.cloud import Cloud
from tests.world import Server, World


@pytest.fixture(scope="package")
def cloud(tmp_path_factory):
    """The identity API of a server, with roles Admin, Member and Reader."""
    server = Server.started(tmp_path_factory.mktemp("keystone") / "lg", workers=2)
    world = World.beside(server)
    yield Cloud(server, world)
    world.close()
    server.kill()


@pytest.fixture(scope="package")
def alice(cloud):
    """Somebody who is Member of their project."""
    return cloud.person()


@pytest.fixture(scope="package")
def key(cloud, alice):
    """An access key of theirs."""
    return cloud.key(alice)


@pytest.fixture(scope="package")
def password(cloud, alice):
    """The password of theirs; their login name is alice."""
    return cloud.password(alice, "alice")
