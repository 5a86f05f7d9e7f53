from __future__ import annotations

import re
import tracemalloc
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.path import MAX_TARGET, Path, PathFault, read_path

HEX = "0123456789abcdefABCDEF"


def decoded_once(raw: str) -> bytes:
    """Percent-decode by hand, byte by byte, leaving an encoded slash as it stands."""
    out = bytearray()
    at = 0
    while at < len(raw):
        if raw[at] == "%" and len(raw) > at + 2 and raw[at + 1] in HEX and raw[at + 2] in HEX:
            byte = int(raw[at + 1 : at + 3], 16)
            out += b"%2F" if byte == 0x2F else bytes([byte])
            at += 3
        else:
            out += raw[at].encode("utf-8", "surrogatepass")
            at += 1
    return bytes(out)


def encoded(path: Path) -> str:
    """Write a read path as a target again."""
    return "/".join(
        "%2F".join(quote(piece, safe="") for piece in segment.split("%2F"))
        for segment in path.text.split("/")
    )


def text(target: str) -> str:
    found = read_path(target)
    assert isinstance(found, Path), found
    return found.text


def why(target: str) -> str:
    found = read_path(target)
    assert isinstance(found, PathFault), found
    return found.why


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/v1/storage", "/v1/storage"),
        ("/v1/storage/", "/v1/storage/"),
        ("/v1/storage/a.txt?list=1", "/v1/storage/a.txt"),
        ("/v1/storage?", "/v1/storage"),
        ("/?/../x", "/"),
        ("/a?b#c", "/a"),
        ("/a?%zz", "/a"),
        ("/a%20b", "/a b"),
        ("/a%20b?x=%2e%2e", "/a b"),
        ("/%7Eada", "/~ada"),
        ("/%c3%a9", "/é"),
        ("/%F0%9F%94%91", "/🔑"),
        ("/%41", "/A"),
        ("/a%3Fb", "/a?b"),
        ("/a%23b", "/a#b"),
        ("/a%25b", "/a%b"),
        ("/100%25", "/100%"),
        ("/...", "/..."),
        ("/..a/.b./c..", "/..a/.b./c.."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a:b@c!$&'()*+,=~_-.", "/a:b@c!$&'()*+,=~_-."),
        ('/a"<>^`{|}[]', '/a"<>^`{|}[]'),
    ],
)
def test_a_plain_path_is_decoded_once(target, path):
    assert read_path(target) == Path(text=path, encoded_slash=False)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2Fb"),
        ("/x/a%2Fb%2Fc/y", "/x/a%2Fb%2Fc/y"),
        ("/a%2F%20b", "/a%2F b"),
        ("/a%2F...", "/a%2F..."),
    ],
)
def test_an_encoded_slash_stays_encoded_in_one_spelling(target, path):
    assert read_path(target) == Path(text=path, encoded_slash=True)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/storage/..;/dns",
        "/v1/storage/.;/x",
        "/v1/storage;jsessionid=1/x",
        "/v1/storage/x;a=b",
        "/v1/storage/;",
        "/v1/storage/x%3Bapi_key=1",
        "/v1/storage/x%3bapi_key=1",
        "/v1/storage/..%3b/dns",
        "/;/v1/storage",
        "/v1/storage/x;api_key=1;api_key=2",
    ],
)
def test_d2_16_a_matrix_parameter_where_none_belongs_is_refused(target):
    assert why(target) == "it holds a matrix parameter (;) where none belongs"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/v1/storage/../dns", "dot segment"),
        ("/v1/storage/..", "dot segment"),
        ("/..", "dot segment"),
        ("/.", "dot segment"),
        ("/../", "dot segment"),
        ("/v1/./storage", "dot segment"),
        ("/v1/storage/.", "dot segment"),
        ("/v1/storage/%2e%2e/dns", "dot segment"),
        ("/v1/storage/%2E%2e/dns", "dot segment"),
        ("/v1/storage/.%2e/dns", "dot segment"),
        ("/v1/storage/%2e./dns", "dot segment"),
        ("/v1/%2e/storage", "dot segment"),
        ("/v1/storage/a%2F..", "dot segment"),
        ("/v1/storage/..%2Fdns", "dot segment"),
        ("/v1/storage/%2e%2e%2Fdns", "dot segment"),
        ("/v1/storage/a%2F.%2Fb", "dot segment"),
        ("/v1/storage/..?x", "dot segment"),
        ("//", "empty segment"),
        ("//v1/storage", "empty segment"),
        ("/v1//storage", "empty segment"),
        ("/v1/storage//", "empty segment"),
        ("///", "empty segment"),
        ("/v1/storage/%2F", "encoded slash stands beside another"),
        ("/v1/storage/%2Fx", "encoded slash stands beside another"),
        ("/v1/storage/x%2F", "encoded slash stands beside another"),
        ("/v1/storage/x%2F%2fy", "encoded slash stands beside another"),
        ("/v1%2F/storage", "encoded slash stands beside another"),
        ("/v1/storage\\..\\dns", "backslash"),
        ("/v1\\storage", "backslash"),
        ("/v1/storage%5C..%5Cdns", "encoded backslash"),
        ("/v1/storage/a%5cb", "encoded backslash"),
        ("/v1/storage/%252e%252e/dns", "percent-encoded twice"),
        ("/v1/storage/%252Fx", "percent-encoded twice"),
        ("/v1/storage/%25%32%46x", "percent-encoded twice"),
        ("/v1/storage/%25252e", "percent-encoded twice"),
        ("/v1/storage/a%2541", "percent-encoded twice"),
        ("/v1/storage/%25%35c", "percent-encoded twice"),
        ("/v1/storage/%c0%ae%c0%ae/dns", "not UTF-8"),
        ("/v1/storage/%c0%af", "not UTF-8"),
        ("/v1/storage/%e0%80%af", "not UTF-8"),
        ("/v1/storage/%f0%80%80%af", "not UTF-8"),
        ("/v1/storage/%ff", "not UTF-8"),
        ("/v1/storage/%ed%a0%80", "not UTF-8"),
        ("/v1/storage/%c3", "not UTF-8"),
        ("/v1/storage/%c3%2f%a9", "not UTF-8"),
        ("/v1/storage/%00", "encoded control"),
        ("/v1/storage/a%00.txt", "encoded control"),
        ("/v1/storage/%0d%0aHost:x", "encoded control"),
        ("/v1/storage/%7f", "encoded control"),
        ("/v1/storage/%c2%85", "encoded control"),
        ("/v1/storage/%09", "encoded control"),
        ("/v1/storage/\x00", "space or a control"),
        ("/v1/storage/\r\nHost: x", "space or a control"),
        ("/v1/storage/a b", "space or a control"),
        ("/v1/storage/\t", "space or a control"),
        ("/v1/storage/\x7f", "space or a control"),
        ("/v1/storage/é", "outside ASCII"),
        ("/v1/storage/\uff0e\uff0e/dns", "outside ASCII"),
        ("/v1/storage/\u2215", "outside ASCII"),
        ("/v1/storage/\udcff", "outside ASCII"),
        ("/v1/storage/%", "% that is not followed"),
        ("/v1/storage/%2", "% that is not followed"),
        ("/v1/storage/%zz", "% that is not followed"),
        ("/v1/storage/%%32e", "% that is not followed"),
        ("/v1/storage/%u002e", "% that is not followed"),
        ("/v1/storage/% 2e", "space or a control"),
        ("/v1/storage/x#/dns", "fragment"),
        ("/v1/storage#", "fragment"),
    ],
)
def test_d2_17_what_two_programs_could_read_in_two_ways_is_refused_not_repaired(target, told):
    assert told in why(target)


OTHER_FORMS = ["", "v1/storage", "?/v1/storage", "*", "http://h/v1/storage", "h:443", "../v1", "."]
OTHER_FORMS += ["%2Fv1", "https://h/v1/storage?x", " /v1/storage", "\ufeff/v1", "a" * 40]


@pytest.mark.parametrize(
    "target",
    OTHER_FORMS,
)
def test_d2_20_a_target_in_absolute_authority_or_asterisk_form_is_refused(target):
    assert why(target)


@pytest.mark.parametrize(
    "target",
    [
        "/" + "a" * MAX_TARGET,
        "/" + "a%20" * (MAX_TARGET // 4) + "a",
        "/a?" + "q" * MAX_TARGET,
        "/a%20?" + "q" * MAX_TARGET,
        "/a" * (MAX_TARGET // 2 + 1),
    ],
    ids=["plain", "encoded", "query", "encoded with query", "segments"],
)
def test_a_target_longer_than_the_limit_is_refused_whatever_it_is_made_of(target):
    assert "longer than 16384" in why(target)


@pytest.mark.parametrize("filler", ["a", "%20", "/a"])
def test_a_target_of_exactly_the_limit_is_read(filler):
    target = (
        "/" + "a" * ((MAX_TARGET - 1) % len(filler)) + filler * ((MAX_TARGET - 1) // len(filler))
    )
    assert len(target) == MAX_TARGET
    assert isinstance(read_path(target), Path)


@pytest.mark.parametrize(
    "unit", ["%41", "%25", "%2541", "%c3%a9", "%2F", "a%2F", "%2ea/", "%5c", "%%", ".a/"]
)
def test_a_long_hostile_path_costs_no_object_for_each_piece(unit):
    target = "/" + unit * ((MAX_TARGET - 1) // len(unit))
    read_path(target)
    tracemalloc.start()
    try:
        read_path(target)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Texts as long as the target, in a few spellings at once; a list of pieces is ten times that.
    assert peak < 20 * MAX_TARGET


PARTS = [*"/.%;\\#? a", "%2e", "%2E", "%2f", "%2F", "%5c", "%3b", "%00", "%25", "%252e", "%c0%ae"]
PARTS += ["é", "%c3%a9", "..", "//", "%0a", "\x00", "%7f", "v1", "2", "f", "%", "%4", "\u2024"]
PARTS += ["%e2%80%8b", "%ef%bf%be", "%ef", "%BE", "\ufffe", "x", "u", "N"]
PIECES = st.sampled_from(PARTS)
TARGETS = st.one_of(
    st.text(max_size=60),
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(PIECES, max_size=12).map(lambda parts: "/" + "".join(parts)),
    st.binary(max_size=40).map(lambda raw: "/" + quote(raw)),
)


def is_sound(raw: str) -> bool:
    """Whether a path is to be read, by the rules one after the other and a piece at a time."""
    if len(raw) > MAX_TARGET or not re.fullmatch(r"/(?:[!-$&-\[\]-~]|%[0-9A-Fa-f]{2})*", raw):
        return False
    if "//" in raw or "#" in raw:
        return False
    try:
        parts = re.split("%2f", raw, flags=re.IGNORECASE)
        pieces = [unquote_to_bytes(one).decode() for one in parts]
    except UnicodeDecodeError:
        return False
    segments = [one for piece in pieces for one in piece.split("/")]
    empty = "" in segments[1:-1] or (segments[-1] == "" and not raw.endswith("/"))
    text = "/".join(pieces)
    return not (
        empty
        or {".", ".."} & {*segments}
        or re.search(r"[\x00-\x1f\x7f-\x9f;\\\ufffe]|%[0-9A-Fa-f]{2}", text)
    )


@FUZZ
@given(target=TARGETS)
@example("/%2%2F")
@example("/%25%2F2F")
@example("/a%2F%25")
@example("/%2f%32%66")
def test_d2_17_what_is_accepted_decodes_to_one_unmistakable_path(target):
    found = read_path(target)
    if isinstance(found, PathFault):
        assert found.why
        assert not is_sound(target.partition("?")[0])
        return
    raw = target.partition("?")[0]
    independent = decoded_once(raw).decode()
    assert found.text == independent
    assert found.encoded_slash == ("%2f" in raw.lower())
    assert found.text.startswith("/")
    for segment in found.text.replace("%2F", "/").split("/")[1:-1]:
        assert segment not in {"", ".", ".."}
    assert found.text.rsplit("/", 1)[-1].rsplit("%2F", 1)[-1] not in {".", ".."}
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\\;]", found.text)
    assert not re.search(r"%[0-9A-Fa-f]{2}", found.text.replace("%2F", "/"))


@FUZZ
@given(target=TARGETS)
def test_a_path_written_again_and_read_again_is_the_same_path(target):
    found = read_path(target)
    if isinstance(found, PathFault):
        return
    assert read_path(encoded(found)) == found
    if found.text.isascii() and not re.search(r"[%?# ]", found.text):
        assert read_path(found.text) == found


@FUZZ
@given(target=TARGETS, query=st.text(max_size=30))
def test_a_query_never_changes_the_path(target, query):
    path = target.replace("?", "")
    assert read_path(f"{path}?{query}") == read_path(path)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/\\;%"),
    min_size=1,
).filter(lambda name: name not in {".", ".."})


@FUZZ
@given(segments=st.lists(NAMES, max_size=5))
def test_every_sound_name_can_be_reached_by_percent_encoding_it(segments):
    plain = "/" + "/".join(segments)
    assert text(quote(plain, safe="/")) == plain
    assert text("/" + "/".join(everything_encoded(part) for part in segments)) == plain


def everything_encoded(segment: str) -> str:
    return "".join(f"%{byte:02x}" for byte in segment.encode())
