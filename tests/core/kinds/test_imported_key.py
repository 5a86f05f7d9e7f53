from __future__ import annotations

import hashlib
import time

import msgspec
import pytest
from tests.core.worlds import request

from latchgate.core.kinds import ImportedKey, IssuedKind
from latchgate.core.model import Refused
from latchgate.core.reason import Reason
from latchgate.core.redact import redactor

PATTERN = "ak_(?:live|test)_[0-9A-Za-z]{22,64}"
TEXT = "ak_live_" + "aB3dE6gH9jK2mN5pQ8sT1vW4"


def configured(**settings) -> ImportedKey:
    return ImportedKey.configured("acme.imported_key", {"pattern": PATTERN, **settings})


def sent(kind: ImportedKey, **headers: str):
    return kind.parse(request(headers={name.replace("_", "-"): v for name, v in headers.items()}))


@pytest.mark.parametrize("name", ["latchgate", "sha256", "sha512"])
def test_a_key_is_found_by_what_the_other_system_kept_of_it(name):
    kind = configured(hash=name)
    (claimed,) = sent(kind, authorization=f"Bearer {TEXT}")
    assert claimed == kind.of_text(TEXT)
    assert claimed.credential_id.startswith("ik-")
    assert len(claimed.digest) == 32
    if name == "latchgate":
        with pytest.raises(ValueError, match="as secret"):
            kind.of_hash("0" * 64)
        return
    kept = hashlib.new(name, TEXT.encode()).hexdigest()
    for spelled in (kept, kept.upper(), f"{name}:{kept}"):
        assert kind.of_hash(spelled) == claimed
    for wrong in ("", kept[1:], "g" + kept[1:], f"md5:{kept}"):
        with pytest.raises(ValueError, match="hexadecimal"):
            kind.of_hash(wrong)
    # Who holds the stolen hash holds no key: as a key it has another id.
    assert kind.of_text(kept).credential_id != claimed.credential_id


def test_the_same_key_at_two_providers_is_two_credentials():
    other = ImportedKey.configured("other.imported_key", {"pattern": PATTERN})
    assert other.of_text(TEXT).credential_id != configured().of_text(TEXT).credential_id
    assert other.of_text(TEXT).digest != configured().of_text(TEXT).digest


def test_it_is_read_from_its_headers_alone_with_its_scheme_in_any_case():
    kind = configured(headers=["X-Acme-Key", "Authorization"], scheme="ApiKey")
    claimed = (kind.of_text(TEXT),)
    assert sent(kind, authorization=f"apikey  {TEXT}") == claimed
    assert sent(kind, x_acme_key=TEXT) == claimed
    assert sent(kind, x_acme_key=TEXT, authorization=f"ApiKey {TEXT}") == claimed
    assert len(sent(kind, x_acme_key=TEXT, authorization=f"ApiKey {TEXT}x")) == 2
    for value in (f"Bearer {TEXT}", TEXT, f"ApiKey{TEXT}", f"ApiKey {TEXT} ", f"ApiKey x{TEXT}"):
        assert sent(kind, authorization=value) is None
    assert sent(kind, x_other=TEXT) is None
    twice = request(headers={"x-acme-key": TEXT})
    told = kind.parse(msgspec.structs.replace(twice, repeated=frozenset({"x-acme-key"})))
    assert isinstance(told, Refused)
    assert told.reason is Reason.CREDENTIAL_REPEATED


def test_it_is_masked_in_logs_and_issues_nothing():
    kind = configured()
    assert redactor([kind.pattern])(f"key={TEXT};") == "key=***;"
    assert not isinstance(kind, IssuedKind)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a+)+", "needs an end"),
        ("[0-9a-f]{32,}", "needs an end"),
        ("[0-9a-f]{1,513}", "needs an end"),
        ("([0-9a-f]{2,4}){16,32}", "may not repeat"),
        ("[a-z]{30,200}[a-z]{1,300}", "ways"),
        ("[0-9a-f]{31}", "124 random bits"),
        ("[0-9a-f]{32}|key", "0 random bits"),
        (r"\w{40}", "write the characters"),
        ("[^a]{40}", "may"),
        (".{40}", "may hold"),
        ("(?i:[a-z]{40})", "what letters mean"),
        ("(?i)[a-z]{40}", "what letters mean"),
        ("[a-z]{40}$", "end to end"),
        (r"([0-9a-f]{32})\1", "may hold"),
        ("(?=k)[0-9a-f]{40}", "may hold"),
        ("[0-9a-f]{40", "repeats by"),
        ("([0-9a-f]{40}", "no regular expression"),
        ("[\u0430-\u044f]{40}", "visible ASCII"),
    ],
)
def test_a_pattern_that_is_slow_loose_or_weak_is_refused_with_the_key_it_stands_at(pattern, why):
    with pytest.raises(msgspec.ValidationError, match=why) as told:
        ImportedKey.configured("acme.imported_key", {"pattern": pattern})
    assert str(told.value).endswith("- at `$.pattern`")


def test_the_slowest_pattern_that_is_taken_costs_little_on_the_longest_text():
    kind = ImportedKey.configured(
        "acme.imported_key", {"pattern": "[a-z]{28,90}[a-z]{1,60}[0-9]{1,1}"}
    )
    begun = time.process_time()
    assert not kind.is_shaped("a" * 512)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("pattern", "anchor"),
    [
        (PATTERN, "ak_"),
        ("sk-[0-9a-f]{40}", "sk-"),
        ("[0-9a-f]{40}", None),
        ("aaa[0-9a-f]{40}|bbb[0-9a-f]{40}", None),
        ("abcd?[0-9a-f]{40}", None),
    ],
)
def test_scanners_look_for_what_every_key_begins_with(pattern, anchor):
    shape = ImportedKey.configured("acme.imported_key", {"pattern": pattern}).leak
    assert (shape.anchor if shape is not None else None) == anchor


def test_a_leaked_one_is_known_by_the_digest_that_is_stored():
    kind = configured(hash="sha256")
    found = kind.recognise(f"{TEXT}, and more")
    assert found is not None
    claimed = kind.of_text(TEXT)
    assert (found.length, found.id, found.digest) == (
        len(TEXT),
        claimed.credential_id,
        claimed.digest,
    )
    assert (found.shown, found.certain) == ("ak_", False)
    assert kind.recognise("ak_live_" + "x" * 30) is None
