"""XML without what makes XML dangerous."""

from __future__ import annotations

import pytest

from latchgate.client.markup import members


def test_elements_become_members_and_repeated_ones_lists():
    body = b'<r xmlns="urn:x" a="1"><one>1</one><two>&#x41;<!-- no --></two><one>3</one></r>'
    assert members(body) == {"r": {"one": ["1", "3"], "two": "A"}}


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]><error><error_code>&c;</error_code></error>"""


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/r.dtd"><r/>',
        b'<?xml version="1.0"?><!DOCTYPE html><html/>',
        b"<r>&undeclared;</r>",
        b"<a>" * 9 + b"</a>" * 9,
        b"<r>" + b"<a/>" * 501 + b"</r>",
        b"<r>" + b"x" * 70_000 + b"</r>",
        b"<r>",
        b"<r></s>",
        b"",
        LAUGHS.decode().encode("utf-16"),
        b"<r>\xff</r>",
    ],
    ids=lambda body: body[:24],
)
def test_what_is_unsafe_or_broken_is_not_read(body):
    assert members(body) is None


def test_a_declared_encoding_does_not_count():
    body = '<?xml version="1.0" encoding="utf-7"?><r>+ADw-é</r>'.encode()
    assert members(body) == {"r": "+ADw-é"}
