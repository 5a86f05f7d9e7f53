"""Workloads: what another issuer signed about a program, exchanged for a short access token.

Rule of this file: whoever sends a statement is told one thing whatever is wrong with it; exactly
what it was is kept for the tenant's administrators. A workload is named by its id, never found by
what a statement says: else a tenant could claim another's. Each statement is exchanged once.
Source: RFC 8693; RFC 7523 §3 for what is asked of a statement; RFC 8725.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from latchgate.core.assertion import (
    ALGORITHMS,
    Issuer,
    Statement,
    claims_fault,
    header_fault,
    identity,
    lifetime,
    read_statement,
    subject_fault,
)
from latchgate.core.claim_rules import Rules, misfit
from latchgate.core.model import Refused
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret, digest
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.exchange import ACCESS_TOKEN, Asked
from latchgate.oauth.minting import TokenAnswer, Wanted, answer, mint
from latchgate.oauth.scopes import read_scopes, within
from latchgate.oauth.server import AuthorizationServer
from latchgate.signin.jose import PublicKey, fitting, signed
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Store, stored

SHORTEST = 300.0  # seconds that a token lasts even where the statement for it ends before
MAX_SPENT = 10_000  # statements of one workload that are remembered at once
_SORT = "statement"
_MAX_ID = 64
_MALFORMED = Reason.CREDENTIAL_MALFORMED


@dataclass(frozen=True, slots=True)
class Workload:
    """Whose statements are believed, about what, and what they open; `lifetime` is seconds."""

    id: str
    issuer: str
    jwks_uri: str
    audience: str
    claims: Rules
    scopes: tuple[str, ...]
    lifetime: float
    grant_id: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """A statement that was read for a workload, and by which key it says that it was signed.

    Nothing that it says is believed yet.
    """

    workload: Workload
    token: Secret
    algorithm: str
    key_id: str | None


class UntrustedError(Exception):
    """A statement that is not exchanged, and exactly why: for administrators alone."""

    def __init__(self, why: str, reason: Reason = _MALFORMED) -> None:
        self.refused = Refused(reason, why)
        super().__init__(why)


def found(store: Store, workload_id: str) -> Workload | None:
    """Return a workload by its id, switched off or not; StoreError when it can't be read."""
    table = schema.workload
    if len(workload_id) > _MAX_ID:
        return None
    with store.reading() as connection:
        wanted = sa.select(table).where(table.c.id == workload_id)
        told = connection.execute(wanted).mappings().one_or_none()
    if told is None:
        return None
    row = stored(told)
    return Workload(
        id=row["id"],
        issuer=row["issuer"],
        jwks_uri=row["jwks_uri"],
        audience=row["audience"],
        claims=row["claims"],
        scopes=tuple(row["scopes"]),
        lifetime=row["lifetime"],
        grant_id=row["grant_id"],
        enabled=row["disabled_at"] is None,
    )


def read(workload: Workload, token: Secret) -> Trial:
    """Read a statement, before any key is asked for; UntrustedError says what is wrong with it."""
    if not workload.enabled:
        raise UntrustedError("the workload is disabled", Reason.CREDENTIAL_DISABLED)
    told = read_statement(token.reveal())
    if told is None:
        raise UntrustedError("it is no signed JSON Web Token")
    if isinstance(told, str):
        raise UntrustedError(told)
    fault = header_fault(told.header) or subject_fault(told.claims)
    if fault is None and told.claims.get("iss") != workload.issuer:
        fault = f"the token's iss is not {workload.issuer}"
    if fault is None and told.header["alg"] not in ALGORITHMS:
        fault = f"the token is not signed with one of {', '.join(sorted(ALGORITHMS))}"
    if fault is not None:
        raise UntrustedError(fault)
    return Trial(workload, token, told.header["alg"], told.header.get("kid"))


def proven(trial: Trial, keys: tuple[PublicKey, ...], *, now: float) -> Statement:
    """Return a statement that its issuer signed, that holds now and that fits the workload.

    UntrustedError says exactly what is wrong.
    """
    workload, text = trial.workload, trial.token.reveal()
    key = fitting(keys, trial.key_id, trial.algorithm)
    if key is None:
        raise UntrustedError("its issuer has no such key for its algorithm", Reason.SECRET_WRONG)
    if not signed(text, key, trial.algorithm):
        raise UntrustedError("its signature is not its issuer's", Reason.SECRET_WRONG)
    told = read_statement(text)
    if told is None or isinstance(told, str):
        raise UntrustedError("it is no signed JSON Web Token")
    meant = Issuer(workload.issuer, workload.jwks_uri, workload.audience, tuple(sorted(ALGORITHMS)))
    fault = claims_fault(told.claims, meant)
    if fault is not None:
        raise UntrustedError(fault)
    begins, ends = lifetime(told.claims)
    if now < begins:
        raise UntrustedError("it does not hold yet")
    if now >= ends:
        raise UntrustedError("it has expired, or was issued more than a day ago")
    other = misfit(workload.claims, told.claims)
    if other is not None:
        value = repr(told.claims.get(other))[:200]
        raise UntrustedError(f"its claim {other} is {value}, which the workload's rule is not for")
    return told


def exchanged(
    server: AuthorizationServer, trial: Trial, told: Statement, asked: Asked
) -> TokenAnswer:
    """Give a token for a proven statement, of the scopes asked for or of all that it opens.

    It lasts as long as the workload says, but no longer than the statement or five minutes. The
    statement is spent by it: UntrustedError when it was before. OAuthError as `minting.mint`.
    """
    workload, now = trial.workload, server.clock()
    _, ends = lifetime(told.claims)
    names = read_scopes(asked.scope) if asked.scope is not None else ()
    wanted = Wanted(
        source_id=workload.grant_id,
        client_id=workload.id,
        scopes=within(names, workload.scopes, "the workload") or workload.scopes,
        actor=identity(workload.issuer, told.claims["sub"]),
        until=min(now + workload.lifetime, max(ends, now + SHORTEST)),
    )
    try:
        made = answer(mint(server, wanted), issued=ACCESS_TOKEN)
    except OAuthError as error:
        if error.code is not Code.INVALID_GRANT:
            raise
        why = "whom it acts as is disabled, or what it was given was revoked"
        raise UntrustedError(why, Reason.PARENT_GONE) from error
    # Last, so that a fault of ours before it spends nothing; what was made is told to nobody then.
    spend(server.store, trial, ends=ends, now=now)
    return made


def spend(store: Store, trial: Trial, *, ends: float, now: float) -> None:
    """Remember that a statement was exchanged until it ends; UntrustedError when it was before.

    Only one that was proven is, so that nobody else fills the memory; a workload has a bounded
    number there, beyond which it is let in with no more of them. StoreError when it can't be kept.
    """
    table = schema.ceremony
    # What was signed, without the signature: some algorithms let anybody spell another one.
    name = digest("exchanged statement", trial.token.reveal().rpartition(".")[0])
    mine = sa.and_(table.c.user_id == trial.workload.id, table.c.sort == _SORT)
    row: dict[str, object] = {"digest": name, "sort": _SORT, "user_id": trial.workload.id}
    row |= {"data": "{}", "expires_at": ends}
    try:
        with store.writing() as connection:
            over = sa.and_(table.c.sort == _SORT, table.c.expires_at <= now)
            connection.execute(sa.delete(table).where(over))
            count = sa.select(sa.func.count()).select_from(table).where(mine)
            if connection.execute(count).scalar_one() >= MAX_SPENT:
                raise UntrustedError(f"{MAX_SPENT} of its statements were exchanged and hold still")
            connection.execute(sa.insert(table).values(**row))
    except ConflictError:
        raise UntrustedError("this very token was exchanged before: each is, once") from None


def refused(decision_id: str) -> OAuthError:
    """Return what is answered for a statement that is not exchanged, whatever is wrong with it."""
    msg = (
        "the subject_token is not exchanged for this client_id;"
        f" an administrator of its tenant sees why: latchgate explain --id {decision_id}"
    )
    return OAuthError(Code.INVALID_GRANT, msg)
