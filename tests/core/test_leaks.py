"""Our secrets in bytes: found however they are spelled there, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from urllib.parse import quote

import pytest

from latchgate import providers
from latchgate.core import leaks
from latchgate.core.kinds import IssuedKind, Spec
from latchgate.core.kinds.project_token import ProjectToken, payload_of
from latchgate.core.leaks import OVERLAP, Finder, Grade, cut, identify, is_allowed, shapes
from latchgate.core.model import Token
from latchgate.core.policy_file import with_built_in
from latchgate.core.secret import CHECKSUM_LENGTH, checksum

POLICY = with_built_in(
    {f"{name}.toml": providers.text(f"{name}.toml") for name in providers.SHIPPED},
    providers.text(providers.BUILT_IN),
    version=1,
)
KNOWN = shapes(POLICY.kinds)
FINDER = Finder(KNOWN)
RANDOM = random.Random(20_261_122)


def drawn(name):
    """Return a new secret of a kind, as the program makes it."""
    kind = POLICY.kinds.get(name)
    if isinstance(kind, IssuedKind):
        return kind.issue(Spec("storage"), RANDOM.randbytes(kind.entropy_bytes)).secret.reveal()
    if isinstance(kind, ProjectToken):
        token = Token(
            "a" * 22, "b" * 32, "p-1", ("r-1",), issues=False, issued_at=1.0, expires_at=2.0
        )
        payload, _ = payload_of(token)
        return kind.spell(RANDOM.randbytes(32), RANDOM.randbytes(64), payload)
    letters = [RANDOM.choice("0123456789ABCDEFGHabcdefgh") for _ in range(32)]
    if name == leaks.WEBHOOK_SECRET:
        return "whsec_" + "".join(letters)
    body = "lgdev_" + "".join(letters)[:22]
    return body + checksum(body)


SECRETS = {name: drawn(name) for name in KNOWN}
LIKELY = {"upcloud.api_token", "teracloud.application_key", leaks.WEBHOOK_SECRET}
of_every_shape = pytest.mark.parametrize("name", list(KNOWN))


def spelled(secret):
    """Return a secret as files hold it: bytes, and how the finding says it was read."""
    pair = base64.b64encode(f"ada:{secret}".encode())
    folded = base64.encodebytes(RANDOM.randbytes(100) + f"\n{secret}\n".encode())
    escaped = quote(f"?key={secret}&x", safe="").replace("_", "%5F").encode()
    return {
        "bare": (secret.encode(), "plain"),
        "quoted": (f'{{"key": "{secret}"}}'.encode(), "plain"),
        "after an escaped break": (f"{{'a': 'x\\n{secret}'}}".encode(), "plain"),
        "basic": (b"Authorization: Basic " + pair + b"\r\n", "base64"),
        "folded base64": (b"data: |\n" + folded, "base64"),
        "url-safe base64": (base64.urlsafe_b64encode(b"\xff\xfe?>" + secret.encode()), "base64"),
        "percent": (b"GET /" + escaped + b" HTTP/1.1", "percent"),
        "binary": (b"\0\xff\x80" + secret.encode() + b"\0\0\xfe", "plain"),
    }


@of_every_shape
def test_a_secret_is_found_however_it_is_spelled(name):
    secret = SECRETS[name]
    for sort, (data, form) in spelled(secret).items():
        if sort == "after an escaped break" and name == "teracloud.application_key":
            continue  # a letter stands before it: any hexadecimal text would be one
        found = FINDER.find(data)
        assert [one.kind for one in found] == [name], sort
        (one,) = found
        assert one.grade is (Grade.LIKELY if name in LIKELY else Grade.CERTAIN), sort
        assert one.form == (form if form != "percent" or "_" in secret else one.form), sort
        assert (name, one.digest) in [(kind, read.digest) for kind, read in identify(secret, KNOWN)]
        if form == "plain":
            assert data[one.start : one.end] == secret.encode()


@of_every_shape
def test_a_finding_shows_nothing_of_the_secret(name):
    secret = SECRETS[name]
    (found,) = FINDER.find(secret.encode())
    part = max(secret.split("_"), key=len)
    assert part not in repr(found)
    assert part not in found.fingerprint
    assert len(found.fingerprint) == 32


@of_every_shape
def test_a_part_of_a_secret_is_identified_as_nothing(name):
    secret = SECRETS[name]
    assert [kind for kind, _ in identify(secret, KNOWN)] == [name]
    ours = {read.digest for _, read in identify(secret, KNOWN)}
    for text in (secret[:-1], f" {secret}", f"{secret}\n", secret[: len(secret) // 2]):
        read = identify(text, KNOWN)
        assert not [one for _, one in read if one.certain or one.digest in ours]


@pytest.mark.parametrize("name", sorted(set(KNOWN) - LIKELY - {"kakaocloud.project_token"}))
def test_a_wrong_checksum_is_certain_of_nothing(name):
    secret = SECRETS[name]
    last = "0" if secret[-1] != "0" else "1"
    for data in (secret[:-1] + last, secret[:-CHECKSUM_LENGTH]):
        assert not [one for one in FINDER.find(data.encode()) if one.grade is Grade.CERTAIN]


def test_an_imported_key_is_likely_and_a_word_of_a_document_is_not():
    imported = "wayscloud_storage_abc123_" + "Zx9_kQ2wL7mT4vB8nR1c"
    (found,) = FINDER.find(imported.encode())
    assert (found.grade, found.id, found.end) == (Grade.LIKELY, "abc123", len(imported))
    for text in ("wayscloud_storage_id_your_secret_goes_here", "wayscloud_storage_abc_" + "x" * 30):
        assert FINDER.find(text.encode()) == []


def test_what_programs_write_holds_no_secret_of_ours():
    hexes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(500)]
    texts = {
        "digests": json.dumps([{"sha256": one, "md5": one[:32]} for one in hexes]).encode(),
        "base64": base64.encodebytes(RANDOM.randbytes(60_000)),
        "one line": base64.urlsafe_b64encode(RANDOM.randbytes(60_000)),
        "noise": RANDOM.randbytes(200_000),
        "upper": "".join(hexes).upper().encode(),
        "anchors": b"kcpt_" * 2_000 + b"wayscloud_" * 2_000 + b"%5F" * 2_000,
        "nothing": b"",
        "one repeated": b"A" * 5_000 + b"f" * 5_000,
    }
    for name, data in texts.items():
        assert FINDER.find(data) == [], name


def test_several_secrets_are_found_in_order_and_each_once():
    names = ["latchgate.service_key", "wayscloud.service_key", "teracloud.app_password"]
    data = b" ".join(SECRETS[name].encode() for name in names)
    assert [one.kind for one in FINDER.find(data)] == names


def test_a_line_may_say_that_a_secret_is_meant_to_be_there():
    secret = SECRETS["wayscloud.service_key"].encode()
    data = b"key = '" + secret + b"'  # latchgate:allow\nother = '" + secret + b"'\n"
    assert [is_allowed(data, one) for one in FINDER.find(data)] == [True, False]


def test_base64_that_is_cut_goes_on_between_its_groups():
    blob = base64.b64encode(RANDOM.randbytes(9_000) + SECRETS["wayscloud.service_key"].encode())
    for lead in (b"", b"x: ", b'"a":"'):
        data = lead + blob
        for at in (4_000, 4_001, 4_002, 4_003):
            where = cut(data, at)
            assert at - 4 < where <= at
            assert [one.kind for one in FINDER.find(data[where:])] == ["wayscloud.service_key"]


def test_no_secret_is_longer_than_what_windows_share():
    longest = max(len(secret) for secret in SECRETS.values())
    assert OVERLAP > 4_096 * 2
    assert longest < OVERLAP


def test_many_secrets_in_one_encoded_text_are_each_shown_where_they_are():
    secret = SECRETS["upcloud.app_password"].encode()
    lines = [b"%d %s" % (at, secret) for at in range(500)]
    escaped = quote(b"\n".join(lines), safe="").encode()
    found = FINDER.find(escaped)
    assert len(found) == 500
    assert {escaped[one.start : one.end] for one in found} == {quote(secret, safe="").encode()}
    folded = b"x: |\n" + base64.encodebytes(b"\n".join(lines))
    found = FINDER.find(folded)
    assert len(found) == 500
    for one in found:
        part = folded[one.start : one.end]
        assert not part[:1].isspace()
        assert not part[-1:].isspace()
        assert secret in base64.b64decode(part + b"==")  # the last may lack its padding


@of_every_shape
def test_secrets_on_lines_below_each_other_and_below_base64_are_all_found(name):
    """Lines as long as folded base64 has them are not taken for more of it."""
    secret = SECRETS[name].encode()
    for before in (b"", *(b"A" * length + b"\n" for length in (60, 64, 76, 80))):
        for lead in (b"", b"x = ", b'"'):
            data = before * 2 + b"\n".join([lead + secret] * 3) + b"\n"
            assert [one.kind for one in FINDER.find(data)] == [name] * 3, (before, lead)
