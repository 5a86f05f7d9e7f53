"""Which hosts are a cloud's own."""

from __future__ import annotations

import pytest

from latchgate.client.hosts import Hosts
from latchgate.client.message import Target

HOSTS = Hosts("A Cloud", names=frozenset({"api.example"}), domains=("example.com",))


@pytest.mark.parametrize("host", ["a.example.com", "a.b-c.example.com", "api.example"])
def test_a_name_of_the_clouds_is_its_own(host: str):
    assert HOSTS.own(Target("https", host, 443, "/"))


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "notexample.com",
        "a.example.com.",
        "a.example.com.evil.test",
        "evil.test\\.example.com",
        "evil.test%2f.example.com",
        "evil.test/.example.com",
        "evil.test#.example.com",
        "evil.test:443.example.com",
        "evil.test@a.example.com",
        "A.example.com",
        "ä.example.com",
        "",
    ],
)
def test_what_only_looks_like_one_is_another(host: str):
    assert not HOSTS.own(Target("https", host, 443, "/"))


def test_another_port_of_an_own_host_is_another():
    assert not HOSTS.own(Target("https", "a.example.com", 8443, "/"))
