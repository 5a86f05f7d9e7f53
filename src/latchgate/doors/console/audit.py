"""The journal as people read it: who changed what, one change in full, and its signed head."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.concurrency import run_in_threadpool

from latchgate.core.model import Noun
from latchgate.doors.console import places
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field
from latchgate.doors.console.times import read_moment
from latchgate.keyring.errors import KeyringError
from latchgate.manage import audit, naming
from latchgate.manage.audit import Filter, Row
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.naming import Named

SCOPES = ("manage:audit.read", audit.EVERYTHING)
LENGTH = 50  # rows of a page
NOUNS: Mapping[str, str] = {
    Noun.CREDENTIAL: N_("Credential"),
    Noun.USER: N_("User"),
    Noun.TENANT: N_("Tenant"),
    Noun.PROJECT: N_("Project"),
    Noun.ROLE: N_("Role"),
    Noun.POLICY: N_("Policy"),
    Noun.LOGIN: N_("Login name"),
    Noun.APPLICATION: N_("Application"),
    Noun.APPLICATION_KEY: N_("Application's key"),
    Noun.SIGNING_KEY: N_("Signing key"),
    Noun.STORAGE: N_("Storage account"),
    Noun.LIFETIME: N_("Expiry policy"),
    Noun.WEBHOOK: N_("Webhook"),
    Noun.ALERT: N_("Alert"),
    Noun.LEAK_RULE: N_("Leak rule"),
    Noun.OAUTH_CLIENT: N_("OAuth2 client"),
    Noun.CONSENT: N_("Consent"),
    Noun.AUTHENTICATOR: N_("Authenticator"),
    Noun.SESSION: N_("Session"),
    Noun.WORKLOAD: N_("Workload"),
    Noun.DATABASE: N_("Database"),
}
_TEXTS = ("actor", "action", "noun", "record", "tenant")
_QUERY = frozenset({*_TEXTS, "since", "until", "after"})
_SIDES = ("before", "after")
_NUMBER = re.compile(r"[0-9]{1,15}")
_USER_ID = re.compile(r"u-[^\s:]+")
_ACTOR = re.compile(r"user:(?P<user>\S+)")
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Line:
    """One row as a page shows it: names beside its ids, and the addresses of what it is about."""

    row: Row
    user_id: str  # of the actor, empty where none of a tenant did it
    actor: str
    record: str  # what the record is called, empty for its id alone
    record_at: str
    actor_at: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One field of a record: what it was before and is after; None where it was not there."""

    field: str
    before: object
    after: object


async def show(browser: Browser) -> Reply:
    """List changes, the newest first."""
    told = {name: text.strip() for name, text in browser.query.items() if text.strip()}
    try:
        wanted, after = _read(told)
    except InvalidError as error:
        return _page(browser, told, [], None, faults=by_field(error))
    rows, following = await run_in_threadpool(
        audit.listed,
        browser.door.store,
        browser.caller,
        wanted,
        limit=LENGTH,
        after=after,
        newest_first=True,
    )
    lines = await run_in_threadpool(_lines, browser, rows)
    return _page(browser, told, lines, following)


async def show_row(browser: Browser) -> Reply:
    """Show one change in full."""
    if not _NUMBER.fullmatch(browser.id):
        raise NotFoundError(f"there is no row {browser.id[:40]!r} in the journal")
    store, caller = browser.door.store, browser.caller
    row = await run_in_threadpool(audit.shown, store, caller, int(browser.id))
    (line,) = await run_in_threadpool(_lines, browser, [row])
    rest = {name: held for name, held in row.detail.items() if name not in _SIDES}
    return browser.page(
        "audit_row.html",
        line=line,
        row=row,
        changes=_changes(row.detail),
        sides=[side for side in _SIDES if isinstance(row.detail.get(side), dict)],
        rest=msgspec.json.format(_encode(rest), indent=2).decode() if rest else "",
        nouns=NOUNS,
        everything=browser.may(audit.EVERYTHING),
        cli=(f"latchgate audit list --after {row.n - 1} --limit 1 --json",),
    )


async def show_head(browser: Browser) -> Reply:
    """Sign where the journal stands, and say what that is for."""
    door = browser.door
    head, problem = "", ""
    try:
        signed = await run_in_threadpool(audit.head, door.store, door.master_key, now=door.clock())
        head = msgspec.json.format(msgspec.json.encode(signed), indent=2).decode()
    except KeyringError as error:
        problem = f"{error}."
    return browser.page(
        "audit_head.html",
        status=503 if problem else 200,
        head=head,
        unsigned=problem,
        cli=(
            "latchgate audit head > head.json",
            "latchgate audit verify --against head.json",
            "latchgate audit export --to journal.jsonl",
            "latchgate audit verify --export journal.jsonl --against head.json",
        ),
    )


def _read(told: Mapping[str, str]) -> tuple[Filter, int]:
    faults: list[tuple[str, str]] = []
    times: dict[str, float] = {}
    for name in ("since", "until"):
        try:
            times |= (
                {name: read_moment(name, told[name], end=name == "until")} if name in told else {}
            )
        except InvalidError as error:
            faults += error.faults
    if "noun" in told and told["noun"] not in NOUNS:
        faults.append(("noun", f"must be one of {', '.join(NOUNS)}"))
    if not _NUMBER.fullmatch(told.get("after", "0")):
        faults.append(("after", "must be the number of a row"))
    if faults:
        raise InvalidError(faults)
    texts = {name: told[name] for name in _TEXTS if name in told}
    # The journal names a user by the word before their id; people paste the id.
    if _USER_ID.fullmatch(texts.get("actor", "")):
        texts["actor"] = f"user:{texts['actor']}"
    return msgspec.convert(texts | times, Filter), int(told.get("after", "0"))


def _lines(browser: Browser, rows: Iterable[Row]) -> list[Line]:
    """Put names beside ids: one query for the users of a page, one for its credentials."""
    found = list(rows)
    store, caller = browser.door.store, browser.caller
    everywhere = browser.may(audit.EVERYTHING)
    actors = {row.n: _user_of(row.actor) for row in found}
    ids = set(actors.values()) | {row.record for row in found if row.noun == Noun.USER}
    users = naming.users(store, caller, ids - {""}, everywhere=everywhere)
    held = {row.record for row in found if row.noun == Noun.CREDENTIAL}
    credentials = naming.credentials(store, caller, held, everywhere=everywhere)
    lines: list[Line] = []
    for row in found:
        user_id = actors[row.n]
        named = credentials.get(row.record) if row.noun == Noun.CREDENTIAL else None
        lines.append(
            Line(
                row,
                user_id,
                users.get(user_id, row.actor.partition(" ")[0]),
                named.name if named else _called(row, users),
                _place(browser, row, named),
                places.of_record(browser, Noun.USER, user_id) if user_id in users else "",
            )
        )
    return lines


def _user_of(actor: str) -> str:
    found = _ACTOR.match(actor)
    return found["user"] if found is not None else ""


def _called(row: Row, users: Mapping[str, str]) -> str:
    """Return what a record is called, by its own row where that says it."""
    if row.noun == Noun.USER and row.record in users:
        return users[row.record]
    for side in ("after", "before"):
        told = row.detail.get(side)
        if isinstance(told, dict) and isinstance(told.get("name"), str):
            return str(told["name"])
    return ""


def _place(browser: Browser, row: Row, named: Named | None) -> str:
    # What belongs to another tenant is not on the pages of this one.
    if row.tenant_id != browser.caller.tenant_id and row.noun != Noun.TENANT:
        return ""
    if row.noun == Noun.CREDENTIAL:
        return places.of_credential(browser, row.record, named.kind) if named else ""
    return places.of_record(browser, row.noun, row.record)


def _changes(detail: Mapping[str, Any]) -> list[Changed]:
    """Return each field of a record that a row tells of."""
    before, after = (told if isinstance(told, dict) else {} for told in map(detail.get, _SIDES))
    fields = dict.fromkeys((*before, *after))
    return [
        Changed(name, _shown(name, before.get(name)), _shown(name, after.get(name)))
        for name in fields
    ]


@dataclass(frozen=True, slots=True)
class At:
    """A time among the fields of a record, Unix seconds."""

    at: float


def _shown(name: str, held: object) -> object:
    """Return a value as it is shown: times apart, lists in one line, the rest as JSON."""
    if isinstance(held, bool) or held is None or isinstance(held, str):
        return held
    if isinstance(held, (int, float)):
        return At(float(held)) if name.endswith("_at") else f"{held}"
    if isinstance(held, list) and all(isinstance(one, str) for one in held):
        return ", ".join(held)
    return msgspec.json.encode(held).decode()


def _page(
    browser: Browser,
    told: Mapping[str, str],
    lines: list[Line],
    following: int | None,
    *,
    faults: Mapping[str, list[str]] | None = None,
) -> Reply:
    kept = {name: text for name, text in told.items() if name != "after"}
    narrowed = urlencode(kept)
    on = urlencode({**kept, "after": str(following)})
    return browser.page(
        "audit.html",
        status=422 if faults else 200,
        told=told,
        lines=lines,
        first=f"/audit?{narrowed}" if narrowed else "/audit",
        following=f"/audit?{on}" if following is not None else "",
        narrowed=bool(kept),
        nouns=NOUNS,
        faults=faults or {},
        everything=browser.may(audit.EVERYTHING),
        head=browser.opens("/audit/head"),
        cli=(_command(told),),
    )


def _command(told: Mapping[str, str]) -> str:
    """Return the command that lists the same, oldest first."""
    words = ["latchgate", "audit", "list"]
    for name in _TEXTS:
        words += [f"--{name}", told[name]] if name in told else []
    return shlex.join(words)


PAGES = (
    Page("/audit", show=show, query=_QUERY, scopes=SCOPES),
    Page("/audit/head", show=show_head, scopes=(audit.EVERYTHING,)),
    Page("/audit/{id}", show=show_row, scopes=SCOPES),
)
