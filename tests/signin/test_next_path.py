"""Where somebody is sent after a sign-in: never to another origin, however that is spelled."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from latchgate.signin.next_path import HOME, MAX_LENGTH, local

PAYLOADS = Path(__file__).parents[1] / "vectors" / "openredirects" / "payloads.txt"


def test_no_line_of_the_list_of_open_redirects_leaves_the_origin():
    lines = PAYLOADS.read_text(encoding="utf-8").split("\n")
    assert len(lines) > 500
    for line in lines:
        found = local(line)
        # Those that stay are plain paths, with another address in a query that nobody follows.
        assert found in (HOME, line), line
        path, _, query = found.partition("?")
        assert path.replace("/", "").replace("ReceiveAutoRedirectfalse", "") in {"", "redirect"}, (
            line
        )
        assert path == HOME or query, line
        assert urlsplit(found)[:2] == ("", ""), line


@pytest.mark.parametrize(
    "text",
    [
        "/security",
        "/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fb.example%2Fcb&scope=openid%20a:b",
        "/device?user_code=ABCD-EFGH",
        "/",
        "/applications/request",
    ],
)
def test_a_path_of_this_origin_is_kept_with_its_query(text):
    assert local(text) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "security",
        "//b.example",
        "/\\b.example",
        "\\/b.example",
        "/\tb.example",
        "/\n/b.example",
        " /security",
        "/security\r\nSet-Cookie: a=b",
        "/.//b.example",
        "/a/..//b.example",
        "/a//b.example",
        "/%2Fb.example",
        "/a/../b",
        "/security#fragment",
        "/sécurité",
        "https://login.example/security",
        "javascript:alert(1)",
        "/a" * MAX_LENGTH,
    ],
)
def test_everything_else_becomes_the_start_page(text):
    assert local(text) == HOME
