from __future__ import annotations

import re

import pytest

from latchgate.core.dialects import DIALECTS
from latchgate.core.dialects.table import TABLE, challenge_error, challenged
from latchgate.core.reason import Reason

REFUSALS = [reason for reason in Reason if reason is not Reason.ALLOWED]
CELLS = [(reason, dialect) for reason in REFUSALS for dialect in DIALECTS]

# Whoever has not shown the secret learns nothing, so these can't be told apart.
UNPROVEN = {
    Reason.CREDENTIAL_MALFORMED,
    Reason.CREDENTIAL_REPEATED,
    Reason.CREDENTIALS_AMBIGUOUS,
    Reason.CREDENTIAL_NOT_ACCEPTED,
    Reason.CREDENTIAL_UNKNOWN,
    Reason.SECRET_WRONG,
    # A throttled guess looks like a wrong one, or it would say which accounts there are.
    Reason.PASSWORD_THROTTLED,
}
OF_A_PROGRAM = {reason for reason in Reason if reason.startswith("application_")}
A_SCOPE_OPENS = {
    Reason.SERVICE_NOT_GRANTED,
    Reason.SCOPE_NOT_GRANTED,
    Reason.OWNER_LACKS_SCOPE,
    Reason.PARENT_LACKS_SCOPE,
}
# Nobody is to retry these as they are, and nobody is to see another class of answer.
BY_STATUS = {
    400: {
        Reason.PATH_AMBIGUOUS,
        Reason.HOST_INVALID,
        Reason.METHOD_INVALID,
        Reason.CLIENT_ADDRESS_INVALID,
        Reason.REQUEST_INVALID,
        Reason.PREFLIGHT_MALFORMED,
    },
    401: UNPROVEN
    | {
        Reason.CREDENTIAL_MISSING,
        Reason.CREDENTIAL_REVOKED,
        Reason.CREDENTIAL_EXPIRED,
        Reason.CREDENTIAL_SUPERSEDED,
        Reason.CREDENTIAL_DISABLED,
        Reason.OWNER_MISSING,
        Reason.OWNER_DISABLED,
        Reason.OWNER_WITHOUT_API,
        Reason.TENANT_SUSPENDED,
        Reason.PROJECT_DISABLED,
        Reason.PARENT_GONE,
        Reason.ROLES_WITHDRAWN,
        Reason.BASIC_NOT_ENABLED,
    },
    403: {
        Reason.AREA_CLOSED,
        Reason.NETWORK_NOT_ALLOWED,
        Reason.SERVICE_NOT_GRANTED,
        Reason.SCOPE_NOT_GRANTED,
        Reason.OWNER_LACKS_SCOPE,
        Reason.PARENT_LACKS_SCOPE,
        Reason.ACCESS_RULE_MISSING,
        Reason.TLS_REQUIRED,
        Reason.DESTINATION_OUTSIDE,
        *OF_A_PROGRAM,
    },
    404: {Reason.NO_AREA},
    405: {Reason.METHOD_NOT_ALLOWED},
    503: {
        Reason.GATEWAY_INCOMPLETE,
        Reason.PASSWORDS_BUSY,
        Reason.STORE_UNAVAILABLE,
        Reason.POLICY_MISSING,
        Reason.SHADOW_UNANSWERED,
        Reason.FAULT,
    },
}
STATUS = {reason: status for status, reasons in BY_STATUS.items() for reason in reasons}
# A provider has no word for its own gateway's fault; Latchgate's own answer says it plainly.
OWN_STATUS = {(Reason.GATEWAY_NOT_TRUSTED, dialect): 503 for dialect in DIALECTS}
OWN_STATUS[Reason.GATEWAY_NOT_TRUSTED, "problem"] = 403
OWN_STATUS[Reason.ACCESS_RULE_MISSING, "keystone"] = 401  # as Keystone itself answers
# Keystone's `title` is the status in words.
CODES = {"keystone": "[A-Z][A-Za-z]+( [A-Z][a-z]+)*", "problem": "[a-z_]{5,40}"}
CODES |= {"teracloud": "[a-z_]{5,40}", "upcloud": "[A-Z_]{5,40}", "wayscloud": "[A-Z_]{5,40}"}
CODES["upcloud_problem"] = CODES["upcloud"]


def test_every_refusal_has_a_row_and_every_row_a_cell_for_each_dialect():
    assert set(TABLE) == set(REFUSALS)
    for reason, row in TABLE.items():
        assert set(row) == set(DIALECTS), reason


def test_what_is_allowed_has_no_error():
    assert Reason.ALLOWED not in TABLE


@pytest.mark.parametrize(("reason", "dialect"), CELLS)
def test_each_status_is_the_one_that_was_reviewed(reason, dialect):
    expected = OWN_STATUS.get((reason, dialect)) or STATUS[reason]
    assert TABLE[reason][dialect].status == expected


@pytest.mark.parametrize(("reason", "dialect"), CELLS)
def test_each_answer_has_a_stable_code_and_one_line_of_text(reason, dialect):
    public = TABLE[reason][dialect]
    assert re.fullmatch(CODES[dialect], public.code)
    assert re.fullmatch(r"[A-Z][ -~]{5,100}", public.text)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_code_always_comes_with_the_same_status(dialect):
    statuses: dict[str, set[int]] = {}
    for row in TABLE.values():
        statuses.setdefault(row[dialect].code, set()).add(row[dialect].status)
    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_d5_36_whoever_has_not_shown_the_secret_is_told_one_thing_only(dialect):
    assert len({TABLE[reason][dialect] for reason in UNPROVEN}) == 1


@pytest.mark.parametrize(
    ("dialect", "code"),
    [
        ("upcloud", "AUTHENTICATION_FAILED"),
        ("teracloud", "authentication_failed"),
        ("keystone", "Unauthorized"),
    ],
)
def test_a_provider_that_documents_one_failure_tells_every_401_as_that_one(dialect, code):
    assert {TABLE[reason][dialect].code for reason in BY_STATUS[401]} == {code}
    assert len({TABLE[reason][dialect] for reason in BY_STATUS[401]}) == 1


def test_a_bad_api_key_is_told_from_a_bad_user_by_the_status_as_the_clients_go_by_it():
    for reason in OF_A_PROGRAM:
        assert TABLE[reason]["teracloud"].status == 403
        assert TABLE[reason]["teracloud"].code == "api_key_invalid"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_api_key_that_never_was_cannot_be_told_from_one_that_is_misspelt(dialect):
    unknown, malformed = Reason.APPLICATION_UNKNOWN, Reason.APPLICATION_MALFORMED
    assert TABLE[unknown][dialect] == TABLE[malformed][dialect]


def test_the_provider_tells_every_bad_key_and_every_missing_right_as_its_document_does():
    told = {reason: (row["wayscloud"].code, row["wayscloud"].text) for reason, row in TABLE.items()}
    for reason in BY_STATUS[401]:
        assert told[reason] == ("AUTH_FAILED", "Invalid or expired API key")
    for reason in BY_STATUS[403] - {Reason.TLS_REQUIRED}:
        assert told[reason] == (
            "INSUFFICIENT_PERMISSIONS",
            "API key does not have permission for this service",
        )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_refusal_is_a_success_a_redirect_or_one_that_clients_retry_as_throttled(dialect):
    for row in TABLE.values():
        assert 400 <= row[dialect].status < 600
        assert row[dialect].status not in {429, 502, 504}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rfc_9110_every_401_is_challenged(dialect):
    for reason, row in TABLE.items():
        if row[dialect].status == 401:
            assert challenged(reason, 401)


def test_rfc_6750_a_request_without_a_credential_is_challenged_without_an_error():
    assert challenge_error(Reason.CREDENTIAL_MISSING, 401) is None
    for reason in BY_STATUS[401] - {Reason.CREDENTIAL_MISSING}:
        assert challenge_error(reason, 401) == "invalid_token"


def test_rfc_6750_only_a_403_that_a_scope_would_open_is_challenged_with_insufficient_scope():
    for reason in BY_STATUS[403]:
        assert challenged(reason, 403) == (reason in A_SCOPE_OPENS)
        assert challenge_error(reason, 403) == "insufficient_scope"
    assert not challenged(Reason.GATEWAY_NOT_TRUSTED, 403)


@pytest.mark.parametrize("status", [400, 404, 405, 503])
def test_no_other_answer_is_challenged(status):
    for reason in BY_STATUS[status]:
        assert not challenged(reason, status)
        assert challenge_error(reason, status) is None
