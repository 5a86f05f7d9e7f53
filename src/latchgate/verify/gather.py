"""What is known of those who ask: from memory, or from the store by way of the shell."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

import msgspec

from latchgate.core import assertion
from latchgate.core.model import (
    AccessToken,
    Application,
    ApplicationFacts,
    ApplicationKey,
    Credential,
    Facts,
    Key,
    Login,
    Noun,
    Presented,
    Project,
    Record,
    Role,
    Signed,
    SigningKey,
    Tenant,
    Token,
    User,
)
from latchgate.core.scope import ALL, NONE
from latchgate.core.secret import DIGEST_LENGTH, same
from latchgate.core.standing import MAX_PARENTS, assemble, rights_of, roles_left
from latchgate.verify.cache import MISSING, Cache, Missing
from latchgate.verify.signature import is_signed
from latchgate.verify.walk import Need, Told, Walk

# Another worker may mint with a key for a moment after it was replaced.
_LATE_SECONDS = 60.0
MAX_PREDECESSORS = 3  # of a login's newest credential, so many before it are looked at
_NO_ROLES = frozenset[str]()  # one for all: Python makes a new empty one each time
_Get = Callable[[Key], Record | None]
_Found = TypeVar("_Found")


def at_hand(walk: Walk, presented: Presented) -> Facts | Missing | None:
    """Return what `gather` would, from memory alone; MISSING where it would have to read."""
    known = _recalled(walk, presented)
    if known is not None:
        return known
    if presented.login is not None or presented.signed is not None:
        return MISSING
    absent = walk.cache.recall((Noun.CREDENTIAL, presented.credential_id)) is None
    return None if absent else MISSING


def gather(walk: Walk, presented: Presented) -> Generator[Need, Told, Facts | None]:
    """Find a credential, its owner, tenant, project, roles and parents; None when unknown."""
    known = _recalled(walk, presented)
    if known is not None:
        return known
    if presented.signed is not None:
        return (yield from _gather_signed(walk, presented, presented.signed))

    def build(get: _Get) -> Facts | None:
        credential_id = presented.credential_id
        if presented.login is not None:
            login = get((Noun.LOGIN, account(walk, presented)))
            if not isinstance(login, Login) or presented.kind not in login.credentials:
                return None
            credential_id = login.credentials[presented.kind]
        record = get((Noun.CREDENTIAL, credential_id))
        if not isinstance(record, Credential):
            return None
        if presented.login is not None:
            record = _meant(presented, record, get)
        return _assemble(record, get, MAX_PARENTS)

    facts = yield from _fetch(walk.cache, build)
    if facts is not None:
        walk.cache.derive(facts)
    return facts


def _meant(presented: Presented, newest: Credential, get: _Get) -> Credential:
    """Return which of a login's credentials was sent: its newest, or one before it.

    A login has the successor of what was rotated; the secrets before it work through their grace.
    Which one is meant says the digest, for the id of none was told. Where no digest fits it is the
    newest, so that a wrong secret fares as it would with a login that was never rotated.
    """
    credential = newest
    for _ in range(MAX_PREDECESSORS):
        if _fits(presented, credential) or credential.predecessor_id is None:
            break
        before = get((Noun.CREDENTIAL, credential.predecessor_id))
        if not isinstance(before, Credential) or before.kind != newest.kind:
            return newest
        credential = before
    return credential if _fits(presented, credential) else newest


def _fits(presented: Presented, credential: Credential) -> bool:
    """Whether a digest is that of what was sent; for a chosen secret, whether it could be."""
    if presented.password is not None:
        return len(credential.digest) != DIGEST_LENGTH
    return same(presented.digest, credential.digest)


def _gather_signed(
    walk: Walk, presented: Presented, signed: Signed
) -> Generator[Need, Told, Facts | None]:
    """Put a token's credential together; None when it was not signed here, or its source is gone.

    The digest becomes that of the text whose signature was right: whoever sends another text of the
    same id has sent a wrong secret.
    """
    return (yield from _signed_for(walk.cache, presented, signed))


def proven(cache: Cache, presented: Presented) -> Generator[Need, Told, Facts | None]:
    """Put together what a signed token stands for; None unless this very text was signed here."""
    facts = cache.facts.get(presented.credential_id)
    if facts is None and presented.signed is not None:
        facts = yield from _signed_for(cache, presented, presented.signed)
    right = facts is not None and same(facts.credential.digest, presented.digest)
    return facts if right else None


def _signed_for(
    cache: Cache, presented: Presented, signed: Signed
) -> Generator[Need, Told, Facts | None]:
    if not (yield from _is_ours(cache, presented, signed)):
        return None
    facts = yield from stand_for(cache, presented.kind, signed.token, presented.digest)
    if facts is not None:
        cache.derive(facts)
    return facts


def stand_for(
    cache: Cache, kind: str, token: Token | AccessToken, told: bytes
) -> Generator[Need, Told, Facts | None]:
    """Put together the credential that a token stands for; None when its source is gone."""

    def build(get: _Get) -> Facts | None:
        source = get((Noun.CREDENTIAL, token.credential_id))
        if not isinstance(source, Credential):
            return None
        return _assemble(minted(kind, token, source, told), get, MAX_PARENTS)

    return (yield from _fetch(cache, build))


def person(cache: Cache, credential: Credential) -> Generator[Need, Told, Facts]:
    """Put together what somebody signed in stands for, as a credential of theirs that is not kept.

    Whether their programs may use the API does not keep them themselves out.
    """

    def build(get: _Get) -> Facts:
        def whole(key: Key) -> Record | None:
            record = get(key)
            return msgspec.structs.replace(record, api=True) if isinstance(record, User) else record

        return _assemble(credential, whole, 0)

    return (yield from _fetch(cache, build))


def _is_ours(cache: Cache, presented: Presented, signed: Signed) -> Generator[Need, Told, bool]:
    """Check a token's signature, once while it is remembered; the slowest step of a decision."""
    if presented.digest in cache.signed:
        return True

    def build(get: _Get) -> SigningKey | None:
        key = get((Noun.SIGNING_KEY, signed.key_id))
        return key if isinstance(key, SigningKey) else None

    key = yield from _fetch(cache, build)
    right = (
        key is not None
        # A retired key signs nothing new: what says so was not signed while it was in use.
        and (key.retired_at is None or signed.token.issued_at <= key.retired_at + _LATE_SECONDS)
        and is_signed(key, signed.message, signed.signature)
    )
    if right:
        cache.remember_signed(presented.digest)
    return right


def minted(kind: str, token: Token | AccessToken, source: Credential, told: bytes) -> Credential:
    """Return the credential that a token stands for, below the one that it was minted from.

    One with scopes of its own makes more only where it was given for that (a grant): what was
    exchanged for it may be wider.
    """
    if isinstance(token, AccessToken):
        # A grant may have been narrowed since: what its token makes is bounded by both.
        project_id, scopes, roles = source.project_id, token.scopes & source.scopes, None
        issues, services = source.issues and source.application_id is not None, source.services
    else:
        project_id, scopes, roles, issues = token.project_id, ALL, token.roles, token.issues
        services = None
    ends_at = token.expires_at
    if source.superseded_by is not None and source.expires_at is not None:
        ends_at = min(ends_at, source.expires_at)  # so that its bearer is told the true end
    deleted = token.id in source.denied_tokens or (
        source.tokens_after is not None and token.issued_at < source.tokens_after
    )
    return Credential(
        id=token.id,
        kind=kind,
        tenant_id=source.tenant_id,
        project_id=project_id,
        owner_id=source.owner_id,
        parent_id=source.id,
        services=services,
        scopes=scopes,
        networks=None,
        issues=issues,
        environment=source.environment,
        external_id=source.external_id,
        digest=told,
        created_at=token.issued_at,
        expires_at=ends_at,
        revoked_at=token.issued_at if deleted else None,
        name=source.name,
        roles=roles,
        access_rules=source.access_rules,
        minted=True,
        superseded_by=source.superseded_by,
        superseded_at=source.superseded_at,
        application_id=source.application_id,
    )


def _recalled(walk: Walk, presented: Presented) -> Facts | None:
    credential_id = presented.credential_id
    if presented.login is not None:
        login = walk.cache.recall((Noun.LOGIN, account(walk, presented)))
        if not isinstance(login, Login):
            return None
        return _recalled_of(walk, presented, login.credentials.get(presented.kind, ""))
    return walk.cache.facts.get(credential_id)


def _recalled_of(walk: Walk, presented: Presented, newest_id: str) -> Facts | None:
    """Recall which of a login's credentials was sent; None where not all of them are at hand."""
    facts = newest = walk.cache.facts.get(newest_id)
    for _ in range(MAX_PREDECESSORS):
        if facts is None or _fits(presented, facts.credential):
            return facts
        if facts.credential.predecessor_id is None:
            break
        facts = walk.cache.facts.get(facts.credential.predecessor_id)
    return newest if facts is not None and not _fits(presented, facts.credential) else facts


def account(walk: Walk, presented: Presented) -> str:
    """Return the id of a login: the area says in which namespace its name is looked up.

    What is named by its id instead has an account of its own, to be throttled by; whom an identity
    provider names has a namespace of its own, the same in every area.
    """
    namespace = walk.area.logins if walk.area is not None else ""
    if presented.assertion is not None:
        namespace = assertion.NAMESPACE
    elif walk.claim is not None:
        namespace = walk.claim.logins
    return f"{namespace}:{presented.label}"


def gather_application(
    walk: Walk, presented: Presented
) -> Generator[Need, Told, ApplicationFacts | None]:
    """Find an application's key and the application; None when the key is unknown."""

    def build(get: _Get) -> ApplicationFacts | None:
        key = get((Noun.APPLICATION_KEY, presented.credential_id))
        if not isinstance(key, ApplicationKey) or key.kind != presented.kind:
            return None
        application = get((Noun.APPLICATION, key.application_id))
        return ApplicationFacts(key, application if isinstance(application, Application) else None)

    return (yield from _fetch(walk.cache, build))


def recalled(cache: Cache, keys: Iterable[Key]) -> Generator[Need, Told, dict[Key, Record | None]]:
    """Find records by their keys."""
    return (yield from _fetch(cache, lambda get: {key: get(key) for key in keys}))


def _fetch(cache: Cache, build: Callable[[_Get], _Found]) -> Generator[Need, Told, _Found]:
    """Run `build` again and again until all it looked for was known or had been read."""
    known: dict[Key, Record | None] = {}
    while True:
        lacking: list[Key] = []

        def get(key: Key, lacking: list[Key] = lacking) -> Record | None:
            found = known[key] if key in known else cache.recall(key)
            if isinstance(found, Missing):
                lacking.append(key)
                return None
            return found

        built = build(get)
        if not lacking:
            return built
        told = yield Need(tuple(dict.fromkeys(lacking)))
        if isinstance(told, dict):
            known.update(told)


def _assemble(credential: Credential, get: _Get, parents_left: int) -> Facts:
    owner = get((Noun.USER, credential.owner_id))
    tenant = get((Noun.TENANT, credential.tenant_id))
    project = get((Noun.PROJECT, credential.project_id))
    application = None
    if credential.application_id is not None:
        application = get((Noun.APPLICATION, credential.application_id))
    parent = None
    if credential.parent_id is not None and parents_left:
        above = get((Noun.CREDENTIAL, credential.parent_id))
        if isinstance(above, Credential):
            parent = _assemble(above, get, parents_left - 1)
    held: list[str] = []
    if isinstance(owner, User):
        held = [
            role_id for project_id, role_id in owner.roles if project_id == credential.project_id
        ]
    left: dict[str, Role] = {}
    owner_rights = NONE
    if credential.roles is None:
        owner_rights = rights_of(held, credential.tenant_id, _roles(get))
    else:
        left = roles_left(credential, held, parent, _roles(get))
        for role in left.values():
            owner_rights |= role.scopes
    return assemble(
        credential,
        owner=owner if isinstance(owner, User) else None,
        tenant=tenant if isinstance(tenant, Tenant) else None,
        project=project if isinstance(project, Project) else None,
        owner_rights=owner_rights,
        parent=parent,
        roles=frozenset(left) if left else _NO_ROLES,
        application=application if isinstance(application, Application) else None,
    )


def _roles(get: _Get) -> Callable[[str], Role | None]:
    def find(role_id: str) -> Role | None:
        role = get((Noun.ROLE, role_id))
        return role if isinstance(role, Role) else None

    return find
