"""What pages are made in: names of browsers, and times."""

from __future__ import annotations

import pytest

from latchgate.doors.console.frame import _agent, _moment, headers


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36",
            "Chrome \u00b7 Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/156.0.0.0 Safari/537 Edg/156.0.0.0",
            "Edge \u00b7 Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 20_0 like Mac OS X) Version/20.0 Safari/604.1",
            "Safari \u00b7 iPhone",
        ),
        (
            "Mozilla/5.0 (Android 17; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0",
            "Firefox \u00b7 Android",
        ),
        ("curl/8.19", "curl/8.19"),
        ("", ""),
    ],
)
def test_a_browser_is_shown_by_its_name(text, shown):
    assert _agent(text) == shown


def test_a_time_is_shown_to_people_and_told_to_programs():
    assert str(_moment(1_800_000_000.5)) == (
        '<time datetime="2027-01-15T08:00:00.5Z">2027-01-15 08:00 UTC</time>'
    )


def test_forms_lead_here_and_where_a_page_says_they_may():
    assert "form-action 'self';" in headers()["Content-Security-Policy"]
    more = headers(["https://app.example"])["Content-Security-Policy"]
    assert "form-action 'self' https://app.example;" in more
