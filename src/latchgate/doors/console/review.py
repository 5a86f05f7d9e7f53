"""The operator's review: who asks for an application, what they said of it, what is decided.

Rule of this file: whatever is decided has a reason, which the developer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Handler, Page
from latchgate.doors.console.reading import by_field, read_spec, read_version
from latchgate.manage import applications
from latchgate.manage.applications import LISTING, Review, State, StoredApplication, Verb
from latchgate.manage.errors import InvalidError
from latchgate.manage.listing import Query
from latchgate.verify.receipt import Receipt

_READ, _WRITE = "operator:applications.read", "operator:applications.write"
_QUEUE = 10  # requests that are told whole, the oldest first
_KEYS = 50  # of one application that are shown
_DEVELOPERS: Mapping[str, str] = {
    "corporation": N_("a corporation"),
    "individual": N_("an individual"),
    "open_source": N_("an open source project"),
}
_REASON = "1 to 2,000 characters, without control characters"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision as pages word it: what its button says, what follows from it, what was done."""

    verb: Verb
    label: str
    question: str
    follows: str
    done: str
    ends: bool = False


_DECISIONS = {
    one.verb: one
    for one in (
        Decision(
            Verb.APPROVE,
            N_("Approve"),
            N_("Approve %(name)s?"),
            N_("Its developer can pick up an API key then, and OAuth2 clients can be made of it."),
            N_("It was approved."),
        ),
        Decision(
            Verb.REFUSE,
            N_("Refuse"),
            N_("Refuse %(name)s?"),
            N_("It gets no key. It can be approved later all the same."),
            N_("It was refused."),
            ends=True,
        ),
        Decision(
            Verb.SUSPEND,
            N_("Suspend"),
            N_("Suspend %(name)s?"),
            N_("Its keys, its clients and their tokens are refused at once, for everybody."),
            N_("It was suspended for everybody."),
            ends=True,
        ),
        Decision(
            Verb.REINSTATE,
            N_("Reinstate"),
            N_("Reinstate %(name)s?"),
            N_("Its keys, its clients and their tokens are taken again."),
            N_("It may act again."),
        ),
    )
}


async def show(browser: Browser) -> Reply:
    """Show the requests that wait, and below them every application."""
    door = browser.door
    asked = lists.read(browser, LISTING)
    waiting: list[StoredApplication] = []
    more = None
    if not asked.narrowed and not asked.paged:
        queue = Query(limit=_QUEUE, filters={"state": str(State.REQUESTED)})
        waiting, more = await run_in_threadpool(
            applications.listed, door.store, queue, now=door.clock()
        )
    found, following = await run_in_threadpool(
        applications.listed, door.store, asked.query, now=door.clock()
    )
    return browser.page(
        "review.html",
        asked=asked,
        waiting=waiting,
        more=more,
        found=found,
        following=following,
        developers=_DEVELOPERS,
        decides=browser.may(_WRITE),
        cli=(
            "latchgate app list --filter state=requested",
            "latchgate app approve ID --reason TEXT",
            "latchgate app refuse ID --reason TEXT",
        ),
    )


async def show_one(browser: Browser) -> Reply:
    """Show one application: everything that it said, what was decided, its keys."""
    found = await run_in_threadpool(applications.shown, browser.door.store, browser.id)
    return await _one(browser, found)


async def _one(
    browser: Browser,
    found: StoredApplication,
    *,
    done: str = "",
    receipt: Receipt | None = None,
) -> Reply:
    door = browser.door
    keys = await run_in_threadpool(
        applications.keys, door.store, browser.policy, found.id, now=door.clock()
    )
    shown = keys[-_KEYS:]
    uses = await run_in_threadpool(door.usage.last_uses, [found.id, *(one.id for one in shown)])
    possible = applications.decidable(found.state) if browser.may(_WRITE) else ()
    return browser.page(
        "review_one.html",
        one=found,
        developer=_DEVELOPERS.get(found.developer, ""),
        keys=shown,
        count=len(keys),
        uses=uses,
        decisions=[_DECISIONS[verb] for verb in possible],
        done=browser.words(done),
        receipt=receipt,
        cli=(
            f"latchgate app show {found.id}",
            *(f"latchgate app {verb} {found.id} --reason TEXT" for verb in possible),
        ),
    )


def _asks(decision: Decision) -> Handler:
    """Return what asks for the reason of a decision."""

    async def ask(browser: Browser) -> Reply:
        found = await run_in_threadpool(applications.shown, browser.door.store, browser.id)
        return _decide(browser, decision, found)

    return ask


def _takes(decision: Decision) -> Handler:
    """Return what takes a decision, and says who follows."""

    async def take(browser: Browser) -> Reply:
        door, reason = browser.door, browser.form.get("reason", "")
        try:
            # A browser ends the lines of a text with two characters.
            review = read_spec(Review, {"reason": reason.replace("\r\n", "\n").strip()})
        except InvalidError:
            found = await run_in_threadpool(applications.shown, door.store, browser.id)
            return _decide(browser, decision, found, by_field(InvalidError([("reason", _REASON)])))
        found, n = await run_in_threadpool(
            applications.decide,
            door.store,
            browser.caller,
            browser.id,
            decision.verb,
            review.reason,
            match=read_version(browser),
        )
        return await _one(browser, found, done=decision.done, receipt=await door.acknowledged(n))

    return take


def _decide(
    browser: Browser,
    decision: Decision,
    found: StoredApplication,
    faults: Mapping[str, list[str]] | None = None,
) -> Reply:
    told = browser.form.get("version", "") if faults else str(found.version)
    return browser.page(
        "review_decide.html",
        status=422 if faults else 200,
        one=found,
        decision=decision,
        question=browser.words(decision.question, name=found.name),
        reason=browser.form.get("reason", ""),
        version=told,
        faults=faults or {},
        cli=(f"latchgate app {decision.verb} {found.id} --reason TEXT",),
    )


PAGES = (
    Page("/review", show=show, query=lists.names(LISTING), scopes=(_READ,)),
    Page("/review/{id}", show=show_one, scopes=(_READ,)),
    *(
        Page(
            f"/review/{{id}}/{decision.verb}",
            show=_asks(decision),
            take=_takes(decision),
            fields=frozenset({"reason", "version"}),
            scopes=(_WRITE,),
        )
        for decision in _DECISIONS.values()
    ),
)
