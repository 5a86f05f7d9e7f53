"""One stack for the whole session: Latchgate with two workers, two gateways, what is behind them.

Whoever stops, breaks or reconfigures a program starts one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.e2e.stack import FileServer, Gateway, Key, Latchgate, Port, Upstream

# What the shipped policy has none of: areas that let some requests pass without a key.
OPEN_AREAS = """
[[areas]]
path = "/v1/storage/public"
public = true
methods = ["GET", "HEAD", "POST"]

[[areas]]
path = "/v1/storage/web"
service = "storage"
accepts = ["service_key"]
preflight = true
rules = [{ methods = ["GET"], scope = "storage:read" }]
"""


@pytest.fixture(scope="session")
def latchgate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Latchgate]:
    """A Latchgate with two workers and, beside the shipped policy, two open areas."""
    with Latchgate(tmp_path_factory.mktemp("latchgate")) as server:
        server.serve(workers=2)
        with (server.folder / "providers" / "wayscloud.toml").open("a", encoding="utf-8") as file:
            file.write(OPEN_AREAS)
        applied = server.json("policy", "apply", "--config", str(server.config))
        assert {one["state"] for one in applied["receipt"]["verifiers"]} == {"acknowledged"}
        yield server


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """The file server behind /v1/storage/."""
    with FileServer(tmp_path_factory.mktemp("files")) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """The language-model server behind /v1/chat/completions and /v1/models."""
    with Upstream("llm", tmp_path_factory.mktemp("llm")) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """An upstream that answers with what reached it."""
    with Upstream("echo", tmp_path_factory.mktemp("echo")) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    latchgate: Latchgate,
    files: FileServer,
    llm: Upstream,
) -> Iterator[Gateway]:
    """nginx in front of the file server and the language model."""
    with Gateway(
        tmp_path_factory.mktemp("gateway"),
        verify=latchgate.verify,
        objects=files.address,
        llm=llm.address,
    ) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def mirror(
    tmp_path_factory: pytest.TempPathFactory, latchgate: Latchgate, echo: Upstream
) -> Iterator[Gateway]:
    """nginx in front of the echo, at every path."""
    with Gateway(
        tmp_path_factory.mktemp("mirror"),
        verify=latchgate.verify,
        objects=echo.address,
        llm=echo.address,
    ) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def verify(latchgate: Latchgate) -> Port:
    """The address that gateways ask."""
    assert isinstance(latchgate.verify, tuple)
    return latchgate.verify


@dataclass(frozen=True)
class Keys:
    """Keys that nobody revokes, one a service and one for both."""

    storage: Key
    llm: Key
    dns: Key
    both: Key


@pytest.fixture(scope="session")
def keys(latchgate: Latchgate) -> Keys:
    """Keys that no test may revoke."""
    return Keys(
        storage=latchgate.key("storage"),
        llm=latchgate.key("llm"),
        dns=latchgate.key("dns"),
        both=latchgate.key("storage", "llm"),
    )
