from __future__ import annotations

import re

import msgspec
import pytest
from tests.core.worlds import basic, entropy, request

from latchgate.core.basic import is_system_made
from latchgate.core.kinds.app_password import AppPassword
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Presented, Refused
from latchgate.core.reason import Reason

KIND = AppPassword.configured("teracloud.app_password", {"prefix": "tcap"})
ISSUED = KIND.issue(Spec(service=""), entropy(1, KIND.entropy_bytes))
TEXT = ISSUED.secret.reveal()


def parsed(login: str, password: str) -> tuple[Presented, ...] | Refused | None:
    return KIND.parse(request(headers=basic(login, password)))


def test_a_password_is_spelled_so_that_a_scanner_knows_it():
    assert re.fullmatch("tcap_[0-9A-Za-z]{22}[0-9a-f]{8}", TEXT)
    assert is_system_made(TEXT)
    assert re.fullmatch("tcap-[0-9a-z]{12}", ISSUED.id)
    assert ISSUED.id.removeprefix("tcap-") not in TEXT


def test_it_is_looked_up_by_login_name_and_never_by_an_id_of_its_own():
    for login in ("ada", "ADA"):
        claimed = Presented(KIND.name, "", ISSUED.digest, login="ada")
        assert parsed(login, TEXT) == (claimed,)


@pytest.mark.parametrize("password", ["x", "tcap", "Tcap_x", "tcapx_1", f" {TEXT}", f"x{TEXT}"])
def test_a_password_of_another_spelling_is_left_to_other_kinds(password):
    assert parsed("ada", password) is None


@pytest.mark.parametrize("password", ["tcap_", TEXT[:-1], f"{TEXT}0", f"{TEXT} ", TEXT.swapcase()])
def test_one_that_is_mistyped_is_told_so_before_any_look_up(password):
    found = parsed("ada", password if password.startswith("tcap_") else f"tcap_{password[5:]}")
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_MALFORMED
    assert password[5:] not in found.detail or password == "tcap_"


def test_basic_that_is_broken_is_ours_to_refuse_and_bearer_is_not_ours():
    found = KIND.parse(request(headers={"authorization": "Basic ???"}))
    assert isinstance(found, Refused)
    assert KIND.parse(request(headers={"authorization": f"Bearer {TEXT}"})) is None
    assert KIND.parse(request()) is None


def test_d4_33_a_repeated_header_is_refused():
    found = KIND.parse(request(headers=basic("ada", TEXT), repeated=["authorization"]))
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_REPEATED


@pytest.mark.parametrize("settings", [{}, {"prefix": "A"}, {"prefix": "ab", "more": 1}])
def test_settings_are_checked(settings):
    with pytest.raises(msgspec.ValidationError):
        AppPassword.configured("x.app_password", settings)
