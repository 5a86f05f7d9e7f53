"""No test of the client finds a credential of whoever runs it."""

from __future__ import annotations

import os
import re

import pytest
from tests.client.issuer import Clock, Issuer

from latchgate.client.token_cache import TokenCache

_THEIRS = re.compile(r"(WAYSCLOUD|UPCLOUD|OS|TERACLOUD|LATCHGATE)_|XDG_CONFIG_HOME|XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def _nobodys_credentials(monkeypatch, tmp_path_factory):
    for name in [name for name in os.environ if _THEIRS.match(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    # That of the desktop would ask a person to unlock it.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[None, "cache"], ids=["in memory", "in files"])
def cache(request, tmp_path) -> TokenCache | None:
    return None if request.param is None else TokenCache(tmp_path / "tokens")
