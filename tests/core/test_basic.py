"""`Authorization: Basic`, read in one way (RFC 7617; ATTACKS D4.29, D4.31, D4.33)."""

from __future__ import annotations

import base64
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, SHIPPED, basic, decide, request, world

from latchgate.core.answer import refusal
from latchgate.core.basic import (
    MAX_LOGIN,
    MAX_PASSWORD,
    Basic,
    canonical_login,
    is_system_made,
    login_fault,
    read_basic,
)
from latchgate.core.reason import Reason
from latchgate.core.secret import checksum

E_ACUTE, E_DECOMPOSED = "\u00e9", "e\u0301"
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=":"), min_size=1
)
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)


def sent(login: str, password: str, encoding: str = "utf-8") -> str:
    return basic(login, password, encoding)["authorization"]


def raw(pair: bytes) -> str:
    return f"Basic {base64.b64encode(pair).decode()}"


def read(value: str) -> tuple[str, str]:
    found = read_basic(value)
    assert isinstance(found, Basic), found
    return found.login, found.password.reveal()


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("ada", "x"),
        ("ada", "a:b:c"),
        ("ada", ":"),
        ("ada", " leading and trailing "),
        ("ada@example.com", "p%C3%A9 + / ="),
        ("a" * MAX_LOGIN, "p" * MAX_PASSWORD),
    ],
)
def test_the_first_colon_splits_and_nothing_else_is_touched(login, password):
    assert read(sent(login, password)) == (login, password)


def test_the_example_of_the_rfc_is_read():
    assert read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == ("aladdin", "open sesame")
    # RFC 7617 §2.1: the pound sign as UTF-8.
    assert read("Basic dGVzdDoxMjPCow==") == ("test", "123\u00a3")


def test_what_is_not_utf_8_is_latin_1():
    assert read(sent("ren\u00e9", "th\u00e9", "latin-1")) == ("ren\u00e9", "th\u00e9")
    # One byte that is not UTF-8 makes all of it Latin-1: no half is read either way.
    mixed = "\u00e9".encode() + b":" + b"\xe9"
    assert read(raw(mixed)) == (canonical_login("\u00c3\u00a9"), "\u00e9")


def test_composed_and_decomposed_letters_are_one():
    for login in (E_ACUTE, E_DECOMPOSED):
        for password in (E_ACUTE, E_DECOMPOSED):
            assert read(sent(login, password)) == (E_ACUTE, E_ACUTE)


def test_compatibility_letters_are_not_folded_into_others():
    # NFKC would make one password of two: wide, superscript, ligature.
    for letter in ("\uff41", "\u00b2", "\ufb01"):
        assert read(sent("ada", letter))[1] == letter


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ADA", "ada"),
        ("Ada@Example.COM", "ada@example.com"),
        ("\u00c9", "\u00e9"),
        ("E\u0301", "\u00e9"),
        ("STRASSE", "strasse"),
        ("stra\u00dfe", "strasse"),
    ],
)
def test_d4_28_a_login_name_is_one_in_any_case(typed, kept):
    assert read(sent(typed, "X"))[0] == kept


def test_the_case_of_a_password_counts():
    assert read(sent("ada", "Secret"))[1] == "Secret"


@FUZZ
@given(name=st.text(max_size=20))
def test_a_kept_name_stays_itself_and_its_normal_forms_lead_to_it(name):
    kept = canonical_login(name)
    assert canonical_login(kept) == kept
    assert canonical_login(unicodedata.normalize("NFD", name)) == kept
    assert unicodedata.is_normalized("NFC", kept)


def test_a_space_in_a_name_is_part_of_it_so_that_it_passes_no_throttle_twice():
    assert read(sent("ada ", "x"))[0] != read(sent("ada", "x"))[0]


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)], ids=hex)
def test_control_characters_are_refused_wherever_they_stand(code):
    for pair in (f"a{chr(code)}:x", f"a:x{chr(code)}"):
        assert read_basic(raw(pair.encode())) == "it holds a control character"


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        ("ada", "no colon stands between the login name and the password"),
        (":secret", "the login name is empty"),
        ("ada:", "the password is empty"),
        (":", "the login name is empty"),
        ("a" * (MAX_LOGIN + 1) + ":x", "the login name is too long"),
        ("a:" + "x" * (MAX_PASSWORD + 1), "the password is too long"),
    ],
)
def test_a_pair_that_is_none_says_what_is_wrong_and_shows_nothing_of_it(pair, why):
    assert read_basic(raw(pair.encode())) == why


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
def test_d5_34_base64_has_one_form_only(length):
    """Trailing bits, padding, whitespace, the other alphabet: each text is one pair's alone."""
    token = base64.b64encode(b"a:" + b"\xff" * length).decode()
    assert isinstance(read_basic(f"Basic {token}"), Basic | str)
    bare = token.rstrip("=")
    others = {f"{token}=", f"{token}==", f"{token} ", f"{token}\n", f"\t{token}", f"{token},"}
    others |= {token.replace("/", "_"), token.replace("+", "-"), f"{token[:2]} {token[2:]}"}
    if bare != token:
        others.add(bare)
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        after = alphabet[(alphabet.index(bare[-1]) + 1) % 64]
        others.add(bare[:-1] + after + "=" * (len(token) - len(bare)))  # a trailing bit set
    for other in others - {token}:
        assert isinstance(read_basic(f"Basic {other}"), str), other


@pytest.mark.parametrize("token", ["", " ", "=", "====", "A", "AAA", "\u00e9", "e:p", "%3D"])
def test_what_is_not_base64_is_told_as_such(token):
    assert isinstance(read_basic(f"Basic {token}"), str)


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
@pytest.mark.parametrize("spaces", [" ", "  ", " " * 20])
def test_the_scheme_has_no_case_and_spaces_follow_it(scheme, spaces):
    assert read(scheme + spaces + sent("ada", "x").split()[1]) == ("ada", "x")


@pytest.mark.parametrize(
    "value",
    ["", "Basicx", "Bearer eDp5", "Digest x", " Basic eDp5", "Basic\teDp5", "Basic\u00a0eDp5"],
)
def test_any_other_scheme_is_not_ours(value):
    assert read_basic(value) is None


@FUZZ
@given(login=NAMES, password=PASSWORDS)
def test_whatever_is_typed_is_read_back_in_its_normal_form(login, password):
    found = read_basic(sent(login, password))
    if len(login) > MAX_LOGIN or len(password) > MAX_PASSWORD:
        assert isinstance(found, str)
    else:
        normal = unicodedata.normalize("NFC", password)
        assert read(sent(login, password)) == (canonical_login(login), normal)


@FUZZ
@given(pair=st.binary(max_size=60), value=st.text(max_size=60))
def test_reading_never_raises(pair, value):
    for text in (raw(pair), value, f"Basic {value}", f"basic  {value}"):
        found = read_basic(text)
        assert found is None or isinstance(found, Basic | str)


def test_a_password_never_shows():
    found = read_basic(sent("ada", "hunter2hunter2"))
    assert "hunter2" not in repr(found) + str(found)
    for bad in ("hunter2", "ada:hunter2\0"):
        assert "hunter2" not in str(read_basic(raw(bad.encode())))


def test_d4_31_a_password_beyond_the_cap_costs_no_hash():
    area = request("GET", "/1.3/server", basic("ada", "x" * (MAX_PASSWORD + 1)), client="127.0.0.1")
    found = decide(area, world(), derive=lambda _: pytest.fail("hashed"))
    assert found.reason is Reason.CREDENTIAL_MALFORMED


# --- new names


@pytest.mark.parametrize(
    "name", ["a", "ada", "Ada.L-ovelace_1+x@example.com", "ren\u00e9", "\u0141ukasz", "stra\u00dfe"]
)
def test_a_new_name_may_have_latin_letters_digits_and_the_marks_of_mail_addresses(name):
    assert login_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * (MAX_LOGIN + 1),
        "a b",
        " a",
        "a:b",
        "a\0",
        "a/b",
        "\u0430da",  # Cyrillic a
        "\u03bfmar",  # Greek omicron
        "ada\u200b",
        "ada\u00ad",
        "\u202eada",
        "e\u0301",
        "\u0661",
        "a\u2024b",
        "\U0001f600",
    ],
    ids=ascii,
)
def test_d4_29_a_new_name_that_could_pass_for_another_is_refused(name):
    assert login_fault(name)


@pytest.mark.parametrize(
    "letter",
    ["\uff41", "\u1d00", "\u2c7c", "\ua730", "\u0261", "\u0131", "\u017f", "\u212a", "\u01c0"],
)
def test_d4_29_letters_of_the_script_that_imitate_its_common_ones_are_refused(letter):
    # FULLWIDTH LATIN, small capitals, subscripts, phonetic letters.
    assert login_fault(f"ad{letter}")


# --- what the system made


def test_only_what_is_spelled_as_the_system_spells_and_sums_up_is_system_made():
    body = "tcap_" + "aB3" * 7 + "z"
    made = body + checksum(body)
    assert is_system_made(made)
    for other in (made[:-1], made + "0", made.upper(), made.swapcase(), f" {made}", f"{made}\n"):
        assert not is_system_made(other)
    for at in range(len(made)):
        assert not is_system_made(made[:at] + ("x" if made[at] != "x" else "y") + made[at + 1 :])


# --- asked for


@pytest.mark.parametrize("target", ["/1.3/server", "/dav/a", "/v2/api/x"])
def test_basic_is_challenged_with_its_charset_and_digest_is_never_offered(target):
    found = decide(request("GET", target, client="127.0.0.1"), world(), policy=SHIPPED)
    assert found.reason is Reason.CREDENTIAL_MISSING
    challenge = dict(refusal(found).headers)["WWW-Authenticate"]
    assert 'Basic realm="' in challenge
    assert 'charset="UTF-8"' in challenge
    assert "digest" not in challenge.lower()
    assert "digest" not in " ".join(kind.scheme for kind in SHIPPED.kinds.values()).lower()
