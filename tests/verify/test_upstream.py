"""What an edge is told is checked before anything is asked, and no fault shows the token."""

from __future__ import annotations

import pytest

from latchgate.verify.upstream import followed, token_in

TOKEN = "latchgate_verifier_secret"
URL = "https://api.example.com"


@pytest.mark.parametrize(
    ("url", "told", "said"),
    [
        ("http://api.example.com", {}, "over https only"),
        ("http://192.0.2.1:8420", {}, "over https only"),
        (f"https://user:{TOKEN}@api.example.com", {}, "no path, no password"),
        (f"https://api.example.com/?token={TOKEN}", {}, "no path, no password"),
        (f"https://api.example.com/{TOKEN}", {}, "no path, no password"),
        ("https://api.example.com:port", {}, "no URL"),
        ("https://[::1", {}, "no URL"),
        ("ftp://api.example.com", {}, "no URL"),
        (TOKEN, {}, "no URL"),
        ("", {}, "no URL"),
        (URL, {"node": "two words"}, "node must be"),
        (URL, {"node": ""}, "node must be"),
        (URL, {"lease": 0.1}, "lease must be"),
        (URL, {"lease": float("nan")}, "lease must be"),
        (URL, {"lease": 5.0, "stale_while_unreachable": 5.0}, "longer than the lease"),
        (URL, {"stale_while_unreachable": 9_999.0}, "longer than the lease"),
        (URL, {"ca": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
        (URL, {"ca": __file__}, "no PEM certificate"),
    ],
)
def test_what_cannot_be_is_refused_by_name_without_the_token(url, told, said):
    with pytest.raises(ValueError, match=said) as raised:
        followed(url, TOKEN, told)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example.com", "https://api.example.com:443"),
        ("https://api.example.com/", "https://api.example.com:443"),
        ("https://API.example.com:8443", "https://api.example.com:8443"),
        ("http://127.0.0.1:8420", "http://127.0.0.1:8420"),
        ("http://[::1]:8420", "http://[::1]:8420"),
        ("http://localhost", "http://localhost:80"),
    ],
)
def test_an_origin_is_taken_over_tls_or_on_this_machine(url, shown):
    assert str(followed(url, TOKEN, {}).origin) == shown


def test_without_a_token_nothing_is_followed(monkeypatch):
    monkeypatch.delenv("LATCHGATE_TOKEN", raising=False)
    with pytest.raises(ValueError, match="LATCHGATE_TOKEN"):
        followed(URL, None, {})
    monkeypatch.setenv("LATCHGATE_TOKEN", TOKEN)
    assert followed(URL, None, {}).token().reveal() == TOKEN


def test_a_token_in_a_file_is_read_anew_each_time(tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n", encoding="utf-8")
    upstream = followed(URL, token_in(file), {})
    assert upstream.token().reveal() == "first"
    file.write_text("second\n", encoding="utf-8")
    assert upstream.token().reveal() == "second"
    assert "second" not in repr(upstream.token())
