"""Where something may be sent: what a URL may say, and which addresses are the Internet's."""

from __future__ import annotations

import pytest

from latchgate.core.destination import is_public, read_destination
from latchgate.core.network import Networks, parse_address

NOWHERE = Networks.of([])
OWN = Networks.of(["10.1.0.0/16", "127.0.0.0/8"])


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1",  # noqa: S104 - read, not bound
        "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "203.0.113.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1",
        "192.0.0.9", "192.88.99.1", "2001:20::1", "3fff::1",
        "fc00::1", "fd12::1", "fe80::1", "ff02::1", "fec0::1",
    ],
)  # fmt: skip
def test_no_special_address_is_public(text):
    assert not is_public(parse_address(text))
    with pytest.raises(ValueError, match="no public address"):
        read_destination(f"https://{f'[{text}]' if ':' in text else text}/", NOWHERE)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(text):
    assert is_public(parse_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.com", "ftp://hooks.example.com/", "file:///etc/passwd", "https://",
        "https:///x", "https://user@hooks.example.com/", "https://user:pw@hooks.example.com/",
        "https://hooks.example.com/#x", "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/", "https://hooks.example.com:x/", "https://2130706433/",
        "https://127.1/", "https://0x7f.0.0.1/", "https://0x7f000001/", "https://017700000001/",
        "https://[::1/", "https://[fe80::1%25eth0]/", "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.example.com/a b", "https://hooks.example.com/\r\nX: y", "https://exämple.com/",
        "https://a..b/", "https://-/", "gopher://hooks.example.com/", "http://hooks.example.com/",
        "https://hooks.example.com/" + "a" * 2_048,
    ],
)  # fmt: skip
def test_what_is_no_destination_is_refused(url):
    with pytest.raises(ValueError, match=r"."):
        read_destination(url, NOWHERE)


def test_a_url_is_kept_as_it_was_written():
    found = read_destination("https://Hooks.example.com:8443/a%2Fb?x=%20&y", NOWHERE)
    assert (found.host, found.port, found.target) == ("hooks.example.com", 8443, "/a%2Fb?x=%20&y")
    assert found.authority == "hooks.example.com:8443"
    assert found.at(parse_address("8.8.8.8")) == "https://8.8.8.8:8443/a%2Fb?x=%20&y"
    assert found.at(parse_address("2606::1")) == "https://[2606::1]:8443/a%2Fb?x=%20&y"
    assert read_destination("https://hooks.example.com", NOWHERE).authority == "hooks.example.com"


def test_the_operators_networks_are_taken_in_the_clear_too():
    found = read_destination("http://10.1.2.3:8080/", OWN)
    assert found.takes(parse_address("10.1.2.3"), OWN)
    assert not found.takes(parse_address("8.8.8.8"), OWN)
    assert not found.takes(parse_address("10.2.0.1"), OWN)
    secure = read_destination("https://hooks.example.com/", OWN)
    assert secure.takes(parse_address("8.8.8.8"), OWN)
    assert secure.takes(parse_address("127.0.0.1"), OWN)
    assert not secure.takes(parse_address("10.2.0.1"), OWN)
    with pytest.raises(ValueError, match="no public address"):
        read_destination("http://8.8.8.8/", OWN)
