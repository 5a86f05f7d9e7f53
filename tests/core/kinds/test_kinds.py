"""The laws that every kind of credential keeps."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.makers import APPLICATION, LOGIN, MAKERS, Maker, user
from tests.core.worlds import (
    FUZZ,
    NOW,
    OWNER,
    PROJECT,
    TENANT,
    changed,
    credential,
    decide,
    request,
    without,
    world,
)

from latchgate.core.answer import refusal
from latchgate.core.dialects import DIALECTS
from latchgate.core.explain import record as explained
from latchgate.core.explain import worded
from latchgate.core.kinds import APPLICATION_KEY, KINDS, IssuedKind
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import (
    ApplicationKey,
    Credential,
    Decision,
    Grant,
    Key,
    Login,
    Noun,
    Record,
    Refused,
)
from latchgate.core.network import Networks
from latchgate.core.reason import Reason, Step
from latchgate.core.redact import MASK, Redactor, redactor
from latchgate.core.scope import NONE
from latchgate.core.standing import assemble

EVERY_DIALECT = tuple(DIALECTS)
ALL_MAKERS = [pytest.param(maker, id=word) for word, maker in MAKERS.items()]
of_every_kind = pytest.mark.parametrize("maker", ALL_MAKERS)
OF_USERS = [each for each in ALL_MAKERS if each.id != APPLICATION_KEY]
of_every_kind_of_users = pytest.mark.parametrize("maker", OF_USERS)
OF_A_SHAPE = [each for each in ALL_MAKERS if each.id != "account_password"]
of_every_kind_that_looks_like_something = pytest.mark.parametrize("maker", OF_A_SHAPE)

INVISIBLE = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e", "\x00", "\t")
PUT_IN_PLACE = ("0", "O", "l", "I", "a", "Z", "_", ".", "-", " ", "%", "\u0430", "\u00e9")


def ask(maker: Maker, text: str, records: dict[Key, Record], *, now: float = NOW) -> Decision:
    """Decide a request that carries `text`, in the first dialect's area."""
    asked = request("GET", f"/{EVERY_DIALECT[0]}", maker.sent(text))
    return decide(asked, records, policy=maker.policy(EVERY_DIALECT), now=now)


def opened(maker: Maker, seed: object = 1) -> tuple[str, dict[Key, Record]]:
    """Return a text that opens its world; it says so itself, or every refusal would be empty."""
    issued = maker.issue(seed)
    records = maker.known(issued)
    assert ask(maker, issued.secret.reveal(), records).allowed
    return issued.secret.reveal(), records


def same_id_other_secret(maker: Maker, issued: Issued) -> tuple[Issued, str]:
    """Return a credential, and a well-made text that names it and is not its secret.

    The record takes over the other text's id: only the digest tells the two apart.
    """
    other = maker.issue("another")
    record = Issued(id=other.id, secret=issued.secret, digest=issued.digest, hint=issued.hint)
    return record, other.secret.reveal()


def mask_of(maker: Maker) -> Redactor:
    """Return what masks this kind's credentials and no other's."""
    pattern = maker.kind().pattern
    assert pattern is not None
    return redactor([pattern])


def test_every_kind_has_a_maker_so_that_the_laws_hold_it():
    assert set(MAKERS) == {*KINDS, APPLICATION_KEY}


@of_every_kind
@FUZZ
@given(seed=st.integers())
def test_what_is_issued_is_read_back_and_verified(maker, seed):
    kind, issued = maker.kind(), maker.issue(seed)
    (claimed,) = kind.parse(request(headers=maker.sent(issued.secret.reveal())))
    assert claimed.kind == kind.name
    by_login = {Noun.LOGIN} & {noun for noun, _ in maker.known(issued)} and claimed.login
    assert claimed.credential_id == ("" if by_login else issued.id)
    assert claimed.login == (LOGIN if by_login else None)
    assert claimed.digest == (b"" if maker.slow else issued.digest)
    assert (claimed.password is not None) == maker.slow
    if claimed.password is not None:
        assert claimed.password.reveal() == issued.secret.reveal()
    assert ask(maker, issued.secret.reveal(), maker.known(issued)).allowed


@of_every_kind_of_users
def test_a_verified_credential_grants_what_its_record_and_its_owner_say(maker):
    kind, issued = user(maker.kind()), maker.issue(1)
    found = kind.parse(request(headers=maker.sent(issued.secret.reveal())))
    assert isinstance(found, tuple)
    (claimed,) = found
    record = credential(issued, kind)
    facts = assemble(
        record, owner=OWNER, tenant=TENANT, project=PROJECT, owner_rights=record.scopes, parent=None
    )
    presented = changed(claimed, digest=issued.digest)
    grant = kind.verify(presented, facts, request(), NOW, [])
    assert grant == Grant(credential=record, owner=OWNER, rights=record.scopes)
    # What nobody worked out is right for no record, not even for one without a digest.
    empty = assemble(
        changed(record, digest=b""),
        owner=OWNER,
        tenant=TENANT,
        project=PROJECT,
        owner_rights=record.scopes,
        parent=None,
    )
    for digest, known in ((b"", empty), (b"", facts), (issued.digest, empty)):
        judged = kind.verify(changed(claimed, digest=digest), known, request(), NOW, [])
        assert judged == Refused(Reason.SECRET_WRONG)


@of_every_kind
def test_different_entropy_makes_different_ids_texts_and_digests(maker):
    made = [maker.issue(seed) for seed in range(500)]
    for part in ("id", "digest"):
        assert len({getattr(issued, part) for issued in made}) == 500
    # A hint tells credentials apart only where the text says in the clear which one it is.
    assert len({issued.hint for issued in made}) == (500 if maker.named else 1)
    assert len({issued.secret.reveal() for issued in made}) == 500


@of_every_kind
def test_the_same_entropy_makes_the_same_text_so_nothing_else_is_drawn_on(maker):
    assert maker.issue(1).secret.reveal() == maker.issue(1).secret.reveal()


@of_every_kind
@pytest.mark.parametrize("off", [-1, 1, None])
def test_issuing_takes_exactly_the_entropy_it_names(maker, off):
    size = 0 if off is None else maker.entropy_bytes + off
    with pytest.raises(ValueError, match="entropy"):
        maker.kind().issue(Spec(service="storage"), b"\x01" * size)


@of_every_kind
def test_a_secret_carries_at_least_128_random_bits(maker):
    texts = [maker.private(maker.issue(seed).secret.reveal()) for seed in range(3000)]
    assert len({len(text) for text in texts}) == 1
    bits = sum(math.log2(len(set(column))) for column in zip(*texts, strict=True))
    assert bits >= 128


@pytest.mark.parametrize("maker", [each for each in ALL_MAKERS if each.id != "account_password"])
def test_what_is_kept_of_a_text_is_256_bits_that_change_by_half_with_any_character(maker):
    kept = [int.from_bytes(maker.issue(seed).digest, "big") for seed in range(200)]
    assert all(len(maker.issue(seed).digest) == 32 for seed in range(200))
    apart = [(one ^ other).bit_count() for one, other in pairwise(kept)]
    assert min(apart) > 70
    assert max(apart) < 186


def test_a_password_that_a_person_chose_is_given_no_quick_digest():
    maker = MAKERS["account_password"]
    assert maker.slow
    kind = maker.kind()
    assert isinstance(kind, IssuedKind)
    issued = kind.issue(Spec(service="storage"), bytes(maker.entropy_bytes))
    assert issued.digest == b""
    assert [one.word for one in MAKERS.values() if one.slow] == ["account_password"]


@pytest.mark.parametrize("maker", [one for one in MAKERS.values() if one.tellable is not None])
def test_a_checksum_is_right_by_a_second_implementation_and_wrong_after_any_change(maker):
    for seed in range(100):
        text = maker.issue(seed).secret.reveal()
        assert maker.tellable(text)
        assert not maker.tellable(text[:-1] + ("0" if text[-1] != "0" else "1"))
        assert not maker.tellable(("b" if text[0] != "b" else "c") + text[1:])


@of_every_kind
def test_d5_34_one_changed_character_anywhere_is_refused(maker):
    text, records = opened(maker)
    for at, was in enumerate(text):
        for now_is in {*PUT_IN_PLACE, was.swapcase(), chr(ord(was) ^ 1)} - {was}:
            tampered = text[:at] + now_is + text[at + 1 :]
            assert not ask(maker, tampered, records).allowed, (at, was, now_is)


@of_every_kind
def test_d5_34_two_neighbours_swapped_are_refused(maker):
    text, records = opened(maker)
    for at in range(len(text) - 1):
        swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        assert ask(maker, swapped, records).allowed == (swapped == text), at


@of_every_kind
def test_d5_34_a_text_cut_at_any_length_is_refused(maker):
    text, records = opened(maker)
    for length in range(len(text)):
        assert not ask(maker, text[:length], records).allowed, length
        assert not ask(maker, text[len(text) - length :], records).allowed, -length


@of_every_kind
@pytest.mark.parametrize("more", [*PUT_IN_PLACE, *INVISIBLE, "=", "==", "\n", "\r", ",", ";", '"'])
def test_d5_34_a_text_extended_by_anything_is_refused(maker, more):
    text, records = opened(maker)
    for extended in (text + more, more + text, text + more + text):
        padded = maker.spaces and extended.lstrip(" ") == text
        assert ask(maker, extended, records).allowed == padded, extended


@of_every_kind
def test_d5_34_letters_in_another_case_are_refused(maker):
    text, records = opened(maker)
    for other in {text.upper(), text.lower(), text.swapcase(), text.title()} - {text}:
        assert not ask(maker, other, records).allowed
    for at, letter in enumerate(text):
        if letter.swapcase() != letter:
            swapped = text[:at] + letter.swapcase() + text[at + 1 :]
            assert not ask(maker, swapped, records).allowed, at


@of_every_kind
@pytest.mark.parametrize("character", INVISIBLE, ids=lambda found: f"U+{ord(found):04X}")
def test_d5_34_an_invisible_character_anywhere_is_refused(maker, character):
    text, records = opened(maker)
    for at in range(len(text) + 1):
        assert not ask(maker, text[:at] + character + text[at:], records).allowed, at


@of_every_kind
def test_d5_34_characters_that_normalise_to_the_text_are_refused(maker):
    text, records = opened(maker)
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in text)
    assert not ask(maker, wide, records).allowed
    for at in range(len(text)):
        assert not ask(maker, text[:at] + wide[at] + text[at + 1 :], records).allowed, at


STATES: dict[str, dict[str, Any]] = {
    "revoked": {"revoked_at": NOW - 1},
    "expired": {"expires_at": NOW - 1},
    "rotated, in its grace": {"superseded_by": "next", "expires_at": NOW + 0.001},
    "rotated, at the edge of its grace": {"superseded_by": "next", "expires_at": NOW},
    "rotated without a grace": {"superseded_by": "next", "revoked_at": NOW, "expires_at": NOW + 1},
    "disabled": {"disabled_at": NOW - 1},
    "used from elsewhere": {"networks": Networks.of(["203.0.113.0/24"])},
    "usable nowhere": {"networks": Networks(())},
    "without scopes": {"scopes": NONE},
    "without services": {"services": frozenset()},
    "of a missing parent": {"parent_id": "nobody"},
}
HOLDERS: dict[str, Record] = {
    "owner without the API": changed(OWNER, api=False),
    "owner used from elsewhere": changed(OWNER, networks=Networks.of(["203.0.113.0/24"])),
    "owner disabled": changed(OWNER, active=False),
    "tenant suspended": changed(TENANT, active=False),
    "project disabled": changed(PROJECT, active=False),
    "owner without roles": changed(OWNER, roles=()),
}


PROGRAM_STATES: dict[str, dict[str, Any]] = {
    "revoked": {"revoked_at": NOW - 1},
    "revoked in time to come": {"revoked_at": NOW + 1},
    "rotated, in its grace": {"superseded_by": "ak-next", "expires_at": NOW + 0.001},
    "rotated, at the edge of its grace": {"superseded_by": "ak-next", "expires_at": NOW},
    "key of another user": {"user_id": "u-bob"},
}


def in_program_states(maker: Maker, issued: Issued) -> dict[str, dict[Key, Record]]:
    """Return the same application key in every state that one can be in."""
    sound = maker.known(issued)
    suspended = changed(APPLICATION, approved=False)
    blocked = changed(OWNER, blocked=frozenset({"app-0", APPLICATION.id}))
    worlds = {"sound": sound, "key of this user": maker.known(issued, user_id=OWNER.id)}
    worlds |= {name: maker.known(issued, **state) for name, state in PROGRAM_STATES.items()}
    worlds["not approved"] = {**sound, (Noun.APPLICATION, APPLICATION.id): suspended}
    worlds["application gone"] = without(sound, APPLICATION)
    worlds["blocked by the user"] = {**sound, (Noun.USER, OWNER.id): blocked}
    other = changed(OWNER, blocked=frozenset({"app-0"}))
    worlds["another blocked by the user"] = {**sound, (Noun.USER, OWNER.id): other}
    return worlds


def in_states(maker: Maker, issued: Issued) -> dict[str, dict[Key, Record]]:
    """Return the same credential in every state that a credential can be in."""
    sound = maker.known(issued)
    worlds = {"sound": sound}
    worlds |= {name: maker.known(issued, **state) for name, state in STATES.items()}
    for name, holder in HOLDERS.items():
        worlds[name] = {
            **sound,
            **{key: one for key, one in world(holder).items() if one is holder},
        }
    for gone in (OWNER, TENANT, PROJECT):
        worlds[f"{gone.id} gone"] = without(sound, gone)
    return worlds


@of_every_kind_of_users
@pytest.mark.parametrize("dialect", EVERY_DIALECT)
def test_without_the_secret_every_state_looks_like_a_credential_that_never_was(maker, dialect):
    issued, guess = same_id_other_secret(maker, maker.issue("issued"))
    asked = request("GET", f"/{dialect}", maker.sent(guess))
    policy = maker.policy(EVERY_DIALECT)
    nobody = decide(asked, world(), policy=policy)
    assert nobody.reason is maker.unknown
    never = refusal(nobody)
    for name, records in in_states(maker, issued).items():
        decision = decide(asked, records, policy=policy)
        assert decision.reason is maker.wrong, name
        assert refusal(decision) == never, name
        assert decision.credential is None, name
        assert decision.grant is None, name
        assert [step for step, _, _ in decision.trace][-1] is Step.SECRET, name


@pytest.mark.parametrize("dialect", EVERY_DIALECT)
def test_without_the_key_every_state_of_a_program_looks_like_a_key_that_never_was(dialect):
    maker = MAKERS[APPLICATION_KEY]
    issued, guess = same_id_other_secret(maker, maker.issue("issued"))
    asked = request("GET", f"/{dialect}", maker.sent(guess))
    policy = maker.policy(EVERY_DIALECT)
    key_id = (Noun.APPLICATION_KEY, issued.id)
    nobody = {key: one for key, one in maker.known(issued).items() if key != key_id}
    never = refusal(decide(asked, nobody, policy=policy))
    for name, records in in_program_states(maker, issued).items():
        decision = decide(asked, records, policy=policy)
        assert decision.reason is Reason.APPLICATION_UNKNOWN, name
        assert refusal(decision) == never, name
        assert decision.grant is None, name


def test_with_the_key_every_state_of_a_program_has_a_reason_of_its_own():
    maker = MAKERS[APPLICATION_KEY]
    issued = maker.issue("issued")
    reasons = {
        name: ask(maker, issued.secret.reveal(), records).reason
        for name, records in in_program_states(maker, issued).items()
    }
    assert reasons == {
        "sound": Reason.ALLOWED,
        "key of this user": Reason.ALLOWED,
        "revoked": Reason.APPLICATION_KEY_REVOKED,
        "revoked in time to come": Reason.APPLICATION_KEY_REVOKED,
        "rotated, in its grace": Reason.ALLOWED,
        "rotated, at the edge of its grace": Reason.APPLICATION_KEY_REVOKED,
        "key of another user": Reason.APPLICATION_KEY_OF_ANOTHER,
        "not approved": Reason.APPLICATION_NOT_APPROVED,
        "application gone": Reason.APPLICATION_NOT_APPROVED,
        "blocked by the user": Reason.APPLICATION_BLOCKED,
        "another blocked by the user": Reason.ALLOWED,
    }


@of_every_kind_of_users
def test_with_the_secret_every_state_has_a_reason_of_its_own(maker):
    issued = maker.issue("issued")
    reasons = {
        name: ask(maker, issued.secret.reveal(), records).reason
        for name, records in in_states(maker, issued).items()
    }
    assert reasons == {
        "sound": Reason.ALLOWED,
        "revoked": Reason.CREDENTIAL_REVOKED,
        "expired": Reason.CREDENTIAL_EXPIRED,
        "rotated, in its grace": Reason.ALLOWED,
        "rotated, at the edge of its grace": Reason.CREDENTIAL_SUPERSEDED,
        "rotated without a grace": Reason.CREDENTIAL_SUPERSEDED,
        "disabled": Reason.CREDENTIAL_DISABLED,
        "used from elsewhere": Reason.NETWORK_NOT_ALLOWED,
        "usable nowhere": Reason.NETWORK_NOT_ALLOWED,
        "without scopes": Reason.SCOPE_NOT_GRANTED,
        "without services": Reason.SERVICE_NOT_GRANTED,
        "of a missing parent": Reason.PARENT_GONE,
        "owner without the API": Reason.OWNER_WITHOUT_API,
        "owner used from elsewhere": Reason.NETWORK_NOT_ALLOWED,
        "owner disabled": Reason.OWNER_DISABLED,
        "tenant suspended": Reason.TENANT_SUSPENDED,
        "project disabled": Reason.PROJECT_DISABLED,
        "owner without roles": Reason.OWNER_LACKS_SCOPE,
        "u-ada gone": Reason.OWNER_MISSING,
        "t-acme gone": Reason.TENANT_SUSPENDED,
        "p-web gone": Reason.PROJECT_DISABLED,
    }


@of_every_kind_of_users
@FUZZ
@given(expiry=st.floats(min_value=0, max_value=4e9))
def test_a_credential_is_valid_to_the_last_moment_before_its_expiry(maker, expiry):
    issued = maker.issue(1)
    records = maker.known(issued, expires_at=expiry)
    text = issued.secret.reveal()
    before = math.nextafter(expiry, -math.inf)
    assert ask(maker, text, records, now=before).allowed
    for late in (expiry, math.nextafter(expiry, math.inf), expiry + 1):
        assert ask(maker, text, records, now=late).reason is Reason.CREDENTIAL_EXPIRED


@of_every_kind_of_users
def test_revoked_goes_before_expired_and_both_before_anything_about_the_owner(maker):
    issued = maker.issue(1)
    late = {"revoked_at": NOW - 1, "expires_at": NOW - 2}
    nobody = without(maker.known(issued, **late), OWNER, TENANT, PROJECT)
    assert ask(maker, issued.secret.reveal(), nobody).reason is Reason.CREDENTIAL_REVOKED
    gone = without(maker.known(issued, expires_at=NOW - 2), OWNER, TENANT, PROJECT)
    assert ask(maker, issued.secret.reveal(), gone).reason is Reason.CREDENTIAL_EXPIRED


@of_every_kind
def test_d5_35_no_other_kind_and_no_look_alike_claims_it(maker):
    for text in (maker.issue(1).secret.reveal(), *(text for text, _ in maker.imported)):
        carriers = maker.kind().carriers
        own = {name: value for name, value in maker.sent(text).items() if name in carriers}
        for other in maker.others():
            found = other.parse(request(headers=own))
            assert found is None, (text, other)


@of_every_kind
def test_a_record_of_another_kind_under_the_same_id_is_not_the_credential(maker):
    issued = maker.issue(1)
    decision = ask(maker, issued.secret.reveal(), maker.known(issued, kind="other.kind"))
    assert decision.reason is maker.unknown


@of_every_kind
def test_it_names_every_header_that_it_is_read_from_and_reads_no_other(maker):
    text = maker.issue(1).secret.reveal()
    carriers = maker.kind().carriers
    assert set(maker.sent(text)) & set(carriers)
    for name in (*carriers, "x-other", "cookie", "proxy-authorization"):
        assert name == name.lower()
        found = maker.kind().parse(request(headers={name: maker.sent(text).get(name, text)}))
        assert (found is not None) == (name in carriers)


@of_every_kind
def test_imported_texts_are_read_and_open_what_their_record_says(maker):
    for text, public_id in maker.imported:
        (claimed,) = maker.kind().parse(request(headers=maker.sent(text)))
        assert claimed.credential_id == public_id
        issued = Issued(id=public_id, secret=maker.issue(1).secret, digest=claimed.digest, hint="")
        records = maker.known(issued)
        assert ask(maker, text, records).allowed, text
        for at in range(len(text)):
            other = "x" if text[at] != "x" else "y"
            assert not ask(maker, text[:at] + other + text[at + 1 :], records).allowed, (text, at)


PROSE = {
    "alone": "{}",
    "a sentence": "the key is {}, keep it",
    "the end of a sentence": "It is {}. Then",
    "quotes": "key='{}'",
    "JSON": '{{"key": "{}"}}',
    "a shell": "export KEY={}; make",
    "curl": 'curl -H "Authorization: Bearer {}" https://api.example.com',
    "a header of its own": "X-API-Key: {}\r\nHost: h",
    "a query": "GET /v1/storage?key={}&x=1 HTTP/1.1",
    "an encoded query": "GET /v1/login?next=%2Fv1%3Fkey%3D{}%26x HTTP/1.1",
    "a path": "GET /{}/x HTTP/1.1",
    "bytes": "b'{}'",
    "an escaped line of JSON": '{{"event": "failed:\\n{}\\n"}}',
    "an escaped tab": '{{"event": "failed:\\t{}"}}',
    "a name with an underscore": "API_KEY_{}",
    "markup": "<td>{}</td>",
}


def hidden(maker: Maker, text: str) -> str:
    """Return what must not be seen of a text: the last sixteen characters of what is random."""
    return maker.private(text)[-16:]


@of_every_kind_that_looks_like_something
@pytest.mark.parametrize("prose", PROSE.values(), ids=PROSE.keys())
def test_a_leaked_one_is_found_in_prose_and_masked(maker, prose):
    kind = maker.kind()
    mask = mask_of(maker)
    for seed in range(20):
        text = maker.issue(seed).secret.reveal()
        line = prose.format(text)
        assert re.search(kind.pattern, line), line
        masked = mask(line)
        assert hidden(maker, text) not in masked
        assert MASK in masked


@of_every_kind_that_looks_like_something
def test_masking_keeps_the_public_part_so_that_a_key_can_be_found_and_revoked(maker):
    issued = maker.issue(1)
    masked = mask_of(maker)(f"leaked: {issued.secret.reveal()}")
    assert (issued.id in masked) == maker.named
    assert masked == f"leaked: {issued.hint.removesuffix('…')}{MASK}"


@of_every_kind_that_looks_like_something
def test_masking_twice_changes_nothing_more(maker):
    mask = mask_of(maker)
    for prose in PROSE.values():
        once = mask(prose.format(maker.issue(1).secret.reveal()))
        assert mask(once) == once


@of_every_kind_that_looks_like_something
def test_whatever_is_read_as_a_credential_is_also_masked(maker):
    mask = mask_of(maker)
    for text, public_id in maker.imported:
        assert maker.kind().parse(request(headers=maker.sent(text)))
        secret = text.split(public_id, 1)[1].lstrip("_")
        assert secret not in mask(f"seen {text} here"), text


@of_every_kind
@FUZZ
@given(text=st.text(st.characters(codec="latin-1"), max_size=80))
def test_reading_any_header_text_never_raises(maker, text):
    kind = maker.kind()
    issued = maker.issue(1).secret.reveal()
    for value in (
        text,
        f"Bearer {text}",
        f"Basic {text}",
        issued + text,
        text + issued,
        issued[:20] + text,
    ):
        for name in maker.sent(issued):
            found = kind.parse(request(headers={name: value, "x-api-key": text}))
            assert found is None or isinstance(found, (tuple, Refused))


@of_every_kind
@FUZZ
@given(text=st.text(max_size=60))
def test_reading_any_unicode_text_never_raises_and_opens_nothing(maker, text):
    issued = maker.issue(1)
    right = issued.secret.reveal()
    records = maker.known(issued)
    for value in (text, right + text, text + right):
        if (value.lstrip(" ") if maker.spaces else value) != right:
            assert not ask(maker, value, records).allowed


@of_every_kind
def test_d5_50_the_secret_shows_in_no_printout_of_anything_it_passes_through(maker):
    issued = maker.issue(1)
    text = issued.secret.reveal()
    asked = request("GET", f"/{EVERY_DIALECT[0]}", maker.sent(text))
    policy = maker.policy(EVERY_DIALECT)
    mask = redactor(policy.patterns())
    shown: list[object] = [issued, issued.hint, issued.secret, asked, maker.kind().parse(asked)]
    states = in_program_states if maker.word == APPLICATION_KEY else in_states
    for name, records in states(maker, issued).items():
        decision = decide(asked, records, policy=policy)
        kept = explained(decision, asked, NOW, mask)
        shown += [name, decision, decision.trace, json.dumps(kept), json.dumps(worded(kept))]
        holders = (Credential, ApplicationKey, Login)
        shown += [record for record in records.values() if isinstance(record, holders)]
        if not decision.allowed:
            shown.append(refusal(decision))
    for thing in shown:
        for printed in (repr(thing), str(thing), f"{thing}", ascii(thing)):
            assert hidden(maker, text) not in printed, type(thing)
            assert maker.private(text)[:16] not in printed, type(thing)
            for carried in maker.sent(text).values():
                assert carried.rpartition(" ")[2][-16:] not in printed, type(thing)


@of_every_kind
def test_d5_36_the_store_is_asked_by_public_id_and_never_shown_a_secret(maker):
    issued = maker.issue(1)
    needed: list[Key] = []
    asked = request("GET", f"/{EVERY_DIALECT[0]}", maker.sent(issued.secret.reveal()))
    decide(asked, maker.known(issued), policy=maker.policy(EVERY_DIALECT), needed=needed)
    assert any(public_id == issued.id for _, public_id in needed)
    for _, public_id in needed:
        assert maker.private(issued.secret.reveal()) not in public_id
        assert issued.digest.hex() not in public_id


@of_every_kind
def test_the_hint_names_the_credential_and_holds_nothing_of_its_secret(maker):
    issued = maker.issue(1)
    text = issued.secret.reveal()
    assert (issued.id in issued.hint) == maker.named
    assert text.startswith(issued.hint.removesuffix("…"))
    assert maker.private(text)[:4] not in issued.hint
