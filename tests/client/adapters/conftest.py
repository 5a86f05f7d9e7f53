"""Servers that tests of adapters ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.client.adapters.drivers import DRIVERS
from tests.client.stage import Stage


@pytest.fixture
def one() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def two() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(params=list(DRIVERS))
def driver(request):
    return DRIVERS[request.param]
