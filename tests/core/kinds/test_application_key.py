from __future__ import annotations

import re

import msgspec
import pytest
from tests.core.worlds import entropy, request

from latchgate.core.kinds.application_key import ApplicationKeyKind, key_id
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Presented, Refused
from latchgate.core.reason import Reason
from latchgate.core.redact import redactor

SETTINGS = {"header": "X-TeraCLOUD-API-KEY", "matrix_parameter": "api_key"}
KIND = ApplicationKeyKind.configured("teracloud.application_key", SETTINGS)
HEADER_ONLY = ApplicationKeyKind.configured("x.application_key", {"header": "X-Key"})
ISSUED = KIND.issue(Spec(service=""), entropy(1, KIND.entropy_bytes))
TEXT = ISSUED.secret.reveal()
CLAIMED = (Presented(KIND.name, ISSUED.id, ISSUED.digest),)


def parsed(target: str = "/v2/api/x", value: str | None = None, **more):
    headers = {"x-teracloud-api-key": value} if value is not None else {}
    return KIND.parse(request(target=target, headers=headers, **more))


def test_a_key_is_32_upper_case_hexadecimal_digits_as_documented():
    assert re.fullmatch("[0-9A-F]{32}", TEXT)
    assert bytes.fromhex(TEXT) == entropy(1, 16)
    assert re.fullmatch("ak-[0-9a-f]{24}", ISSUED.id)
    assert key_id(TEXT) == ISSUED.id


@pytest.mark.parametrize(
    "target",
    [
        f"/v2/api/x;api_key={TEXT}",
        f"/v2/api/x%3Bapi_key={TEXT}",
        f"/v2/api/x%3bapi_key={TEXT}",
        f"/v2/api/x;a=b;api_key={TEXT};c",
        f"/v2/api/;api_key={TEXT}?q=1",
    ],
)
def test_it_is_read_from_the_header_or_from_the_last_segment(target):
    assert parsed(value=TEXT) == CLAIMED
    assert parsed(target) == CLAIMED


@pytest.mark.parametrize(
    "target",
    [
        f"/v2/api;api_key={TEXT}/x",
        f"/v2/api/x?api_key={TEXT}",
        f"/v2/api/x?;api_key={TEXT}",
        f"/v2/api/x;API_KEY={TEXT}",
        f"/v2/api/x;xapi_key={TEXT}",
        "/v2/api/x",
    ],
)
def test_it_is_read_from_nowhere_else(target):
    assert parsed(target) is None
    assert HEADER_ONLY.parse(request(target=f"/x;api_key={TEXT}")) is None


@pytest.mark.parametrize(
    ("target", "value", "repeated"),
    [
        (f"/x;api_key={TEXT};api_key={TEXT}", None, []),
        (f"/x;api_key={TEXT}%3Bapi_key={TEXT}", None, []),
        (f"/x;api_key={TEXT}", TEXT, []),
        ("/x", f"{TEXT}, {TEXT}", ["x-teracloud-api-key"]),
        ("/x", TEXT, ["x-teracloud-api-key"]),
    ],
)
def test_d2_16_more_than_once_is_refused_even_where_all_are_the_same(target, value, repeated):
    found = parsed(target, value, repeated=repeated)
    assert isinstance(found, Refused)
    assert (found.reason, found.detail) == (
        Reason.APPLICATION_MALFORMED,
        "the API key is sent more than once",
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        TEXT.lower(),
        TEXT[:-1],
        f"{TEXT}0",
        f" {TEXT}",
        f"{TEXT}\n",
        f"{TEXT[:-1]}G",
        f'"{TEXT}"',
        "0x" + TEXT[2:],
        TEXT.replace(TEXT[0], "\uff21", 1),
        f"{TEXT[:8]}-{TEXT[8:]}",
    ],
)
def test_another_spelling_is_malformed_and_shown_to_nobody(value):
    found = parsed(value=value)
    assert isinstance(found, Refused)
    assert found.reason is Reason.APPLICATION_MALFORMED
    assert TEXT[:8] not in found.detail


@pytest.mark.parametrize("value", [TEXT, TEXT.lower(), TEXT[:9], "any-thing~1"])
def test_whatever_stands_behind_its_name_in_a_path_is_masked(value):
    mask = redactor([KIND.pattern])
    for semicolon in (";", "%3B", "%3b"):
        assert value not in mask(f"GET /v2/api/x{semicolon}api_key={value}?a=b HTTP/1.1")
    assert mask("/v2/api/x;other=1234") == "/v2/api/x;other=1234"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"header": ""},
        {"header": "a b"},
        {"header": "X", "matrix_parameter": "A"},
        {"header": "X", "more": 1},
    ],
)
def test_settings_are_checked(settings):
    with pytest.raises(msgspec.ValidationError):
        ApplicationKeyKind.configured("x.application_key", settings)
