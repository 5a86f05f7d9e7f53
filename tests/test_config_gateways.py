"""For how long gateways may remember: what is off, what is taken and what can't be."""

from __future__ import annotations

import pytest

from latchgate.config import ConfigError, load
from latchgate.config_gateways import GatewayCaches

POSTGRES = 'database = "postgresql://u@127.0.0.1:5432/x"\n'


@pytest.fixture
def written(tmp_path):
    def made(text):
        file = tmp_path / "latchgate.toml"
        file.write_text(text, encoding="utf-8")
        return load(file).gateway_caches

    return made


def test_it_is_off_unless_told(written):
    assert written("") is None
    assert written("[gateways]\ncache_seconds = 0\nclock_margin = 5.0\n") is None


def test_seconds_and_margin_are_taken(written):
    assert written("[gateways]\ncache_seconds = 30\n") == GatewayCaches(30, 1.0)
    told = "[gateways]\ncache_seconds = 2\nclock_margin = 0.5\n"
    assert written(told) == GatewayCaches(2, 0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gateways]\ncache_seconds = 1", "2: gateways.cache_seconds: must be 0, or 2 or longer"),
        ("[gateways]\ncache_seconds = -1", "2: gateways.cache_seconds"),
        ("[gateways]\ncache_seconds = 31", "2: gateways.cache_seconds"),
        ("[gateways]\ncache_seconds = 2.5", "2: gateways.cache_seconds"),
        ("[gateways]\nclock_margin = 0", "2: gateways.clock_margin"),
        (f"{POSTGRES}[gateways]\ncache_seconds = 3", "3: gateways.cache_seconds: must be 2 "),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(written, text, says):
    with pytest.raises(ConfigError, match=r"latchgate\.toml:") as found:
        written(text)
    assert says in str(found.value)


def test_over_postgresql_it_is_no_longer_than_a_node_believes_itself(written):
    told = "[gateways]\ncache_seconds = 20\n"
    assert written(f"{POSTGRES}[node]\nlease = 20\n{told}") == GatewayCaches(20, 1.0)
    stale = "[node]\nlease = 2\nstale_while_unreachable = 20\n"
    assert written(f"{POSTGRES}{stale}{told}") == GatewayCaches(20, 1.0)
