"""The console's address: the names it goes by, and those that can hold passkeys."""

from __future__ import annotations

import pytest

from latchgate.doors.console.site import Site, relying_party


@pytest.mark.parametrize(
    ("issuer", "origins", "named"),
    [
        ("https://login.example.com", {"https://login.example.com"}, "https://login.example.com"),
        (
            "https://login.example.com:443",
            {"https://login.example.com"},
            "https://login.example.com",
        ),
        ("https://192.0.2.1:8421", {"https://192.0.2.1:8421"}, None),
        (
            "http://127.0.0.1:8421",
            {"http://127.0.0.1:8421", "http://localhost:8421", "http://[::1]:8421"},
            "http://localhost:8421",
        ),
        (
            "http://[::1]:80",
            {"http://127.0.0.1", "http://localhost", "http://[::1]"},
            "http://localhost",
        ),
    ],
)
def test_an_address_of_this_machine_goes_by_its_name_and_its_numbers(issuer, origins, named):
    site = Site.of(issuer)
    assert site.origins == origins
    assert site.origin in origins
    assert site.with_a_name == named


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("login.example.com", "https://login.example.com"),
        ("LOGIN.example.com:443", "https://login.example.com"),
        ("login.example.com:8443", None),
        ("login.example.com.evil.example", None),
        ("evil.example", None),
        ("a@login.example.com", None),
        ("login.example.com/a", None),
        ("login.example.com:port", None),
        ("login.example.com:99999", None),
        ("[", None),
        ("", None),
    ],
)
def test_a_request_is_for_it_under_its_own_name_alone(host, origin):
    assert Site.of("https://login.example.com").reached_by(host) == origin


def test_the_scheme_is_that_of_the_configuration_whatever_a_gateway_says():
    assert Site.of("https://login.example.com").scheme == "https"
    assert Site.of("http://localhost:8421").reached_by("127.0.0.1:8421") == "http://127.0.0.1:8421"


@pytest.mark.parametrize(
    ("origin", "party"),
    [
        ("https://login.example.com:8443", "login.example.com"),
        ("http://localhost:8421", "localhost"),
        ("http://127.0.0.1:8421", None),
        ("http://[::1]:8421", None),
    ],
)
def test_a_number_is_no_relying_party(origin, party):
    assert relying_party(origin) == party
