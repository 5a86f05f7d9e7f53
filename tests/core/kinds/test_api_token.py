from __future__ import annotations

import re
import uuid

import msgspec
import pytest
from tests.core.worlds import bearer, entropy, request

from latchgate.core.kinds.api_token import ApiToken, token_id
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Presented, Refused
from latchgate.core.reason import Reason

KIND = ApiToken.configured("upcloud.api_token", {"prefix": "ucat"})
ISSUED = KIND.issue(Spec(service=""), entropy(1, KIND.entropy_bytes))
TEXT = ISSUED.secret.reveal()


def parsed(value: str) -> tuple[Presented, ...] | Refused | None:
    return KIND.parse(request(headers={"authorization": value}))


def test_a_token_is_spelled_as_the_provider_records_them():
    # 31 characters: prefix, underscore and 26 of Crockford's base32, which has no I, L, O, U.
    assert re.fullmatch("ucat_[0-9A-HJKMNP-TV-Z]{26}", TEXT)
    assert len(TEXT) == 31


def test_the_id_is_a_uuid_that_begins_as_the_providers_do_and_hides_the_text():
    assert ISSUED.id.startswith("0c")
    assert uuid.UUID(ISSUED.id).version == 8
    assert uuid.UUID(ISSUED.id).variant == uuid.RFC_4122
    assert token_id(TEXT) == ISSUED.id
    assert TEXT[5:9].lower() not in ISSUED.id


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_rfc_9110_the_scheme_has_no_case_and_spaces_may_be_several(scheme):
    assert parsed(scheme + TEXT) == (Presented(KIND.name, ISSUED.id, ISSUED.digest),)


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        f"Bearer {TEXT.lower()}",
        f"Bearer {TEXT[:-1]}",
        f"Bearer {TEXT}0",
        f"Bearer {TEXT} ",
        f"Bearer\t{TEXT}",
        f"Bearer  x {TEXT}",
        f"Token {TEXT}",
        f"Bearer {TEXT}, Bearer {TEXT}",
        f"Bearer {TEXT[:-1]}I",
        f"Bearer {TEXT[:-1]}U",
        "Bearer ucat_",
        "Bearer UCAT_",
    ],
)
def test_what_is_ours_but_broken_is_told_so_and_goes_to_no_other_kind(value):
    found = parsed(value)
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_MALFORMED
    assert TEXT[5:] not in found.detail


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer xucat_abc"])
def test_what_is_not_ours_is_left_alone(value):
    assert parsed(value) is None


def test_d1_4_a_repeated_header_is_refused():
    found = KIND.parse(request(headers=bearer(TEXT), repeated=["authorization"]))
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_REPEATED


@pytest.mark.parametrize(
    "settings", [{}, {"prefix": "U"}, {"prefix": "a_b"}, {"prefix": "x", "more": 1}, {"prefix": 1}]
)
def test_settings_are_checked(settings):
    with pytest.raises(msgspec.ValidationError):
        ApiToken.configured("x.api_token", settings)
