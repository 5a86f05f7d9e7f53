"""The page where a person lets a program go on that has no browser.

Rule of this file: a code that came in a link is filled in and nothing more; the person sends it,
sees who asks for what, from where, and says so themselves (RFC 8628 §5.4). Codes are counted by
person and address before they are looked up, right or wrong.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.authorize import login_of
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.onward import server_of
from latchgate.doors.console.page import Page
from latchgate.doors.form import FormError
from latchgate.manage.errors import TooManyError
from latchgate.oauth import clients, consent, device, discovery
from latchgate.oauth.clients import Client
from latchgate.oauth.consent import Question
from latchgate.oauth.device import Approval, Pending
from latchgate.oauth.grants import Holder

_ANSWER = f"{discovery.VERIFICATION}/answer"
_RETRY_SECONDS = 60
_UNKNOWN = N_("No program waits under that code. It may have ended: begin anew on the device.")
MAX_CODE = 40


async def show(browser: Browser) -> Reply:
    """Ask for the code; nothing is looked up."""
    code = browser.query.get("user_code", "")
    return _form(browser, code) if browser.session is not None else _sign_in(browser, code)


async def take(browser: Browser) -> Reply:
    """Take a code, and show who waits under it."""
    code = browser.form.get("user_code", "")
    if browser.session is None:
        return _sign_in(browser, code)
    found = await _waiting(browser, code)
    if found is None:
        return _form(browser, code, problem=_UNKNOWN)
    return await _ask(browser, *found)


async def answer(browser: Browser) -> Reply:
    """Take a person's yes or no."""
    decision = browser.form.get("decision")
    if decision not in {"allow", "deny"}:
        raise FormError(400, "Say whether you allow it or not.")
    found = await _waiting(browser, browser.form.get("user_code", ""))
    if found is None:
        return _form(browser, "", problem=_UNKNOWN)
    pending, client, question = found
    store, now = browser.door.store, browser.door.clock()
    if decision == "deny":
        done = await run_in_threadpool(device.deny, store, pending.user_code, now=now)
    else:
        project_id = question.chosen(browser.form.get("project"))
        if project_id is None:
            return await _ask(browser, *found, problem=N_("Choose one of your projects."))
        done = await run_in_threadpool(_approved, browser, pending, client, project_id)
    if not done:
        return _form(browser, "", problem=_UNKNOWN)
    return browser.page(
        "device_done.html", allowed=decision == "allow", name=client.application_name
    )


def _approved(browser: Browser, pending: Pending, client: Client, project_id: str) -> bool:
    who, door = browser.who, browser.door
    approval = Approval(Holder(who.user_id, project_id), who.auth_time, who.methods)
    if not device.approve(door.store, pending.user_code, approval, now=door.clock()):
        return False
    server = server_of(browser)
    consent.remember(server, client, who, pending.scopes, address=browser.address)
    return True


async def _waiting(browser: Browser, code: str) -> tuple[Pending, Client, Question] | None:
    """Return who waits under a code; TooManyError after too many that nobody waited under."""
    door, at, guesses = browser.door, browser.asked.client, browser.frame.guesses
    account = f"device:{browser.who.user_id}"
    if not guesses.allows(account, at, door.ticks()):
        raise TooManyError("too many wrong codes of late", retry_after=_RETRY_SECONDS)
    # Counted before it is known to be wrong: of many at once each would else be the first.
    guesses.guessed(account, at, door.ticks())
    found = await run_in_threadpool(_found, browser, code)
    if found is not None:
        guesses.succeeded(account, at)
    return found


def _found(browser: Browser, code: str) -> tuple[Pending, Client, Question] | None:
    server, who = server_of(browser), browser.who
    pending = device.pending(server.store, code, now=server.clock())
    client = clients.found(server.store, pending.client_id) if pending is not None else None
    if pending is None or client is None or not client.stands:
        return None
    if client.tenant_id not in {None, who.tenant_id}:
        return None
    question = consent.question(server, client, who, pending.scopes)
    return None if question.blocked or not question.projects else (pending, client, question)


def _sign_in(browser: Browser, code: str) -> Reply:
    query = f"?user_code={device.shown(device.typed(code)[:MAX_CODE])}" if code else ""
    provider = browser.query.get("provider", "")
    return browser.to_sign_in(f"{browser.path}{query}", provider=provider)


def _form(browser: Browser, code: str, *, problem: str = "") -> Reply:
    return browser.page(
        "device.html",
        status=400 if problem else 200,
        code=code[:MAX_CODE],
        problem=browser.words(problem),
    )


async def _ask(
    browser: Browser, pending: Pending, _client: Client, question: Question, *, problem: str = ""
) -> Reply:
    return browser.page(
        "consent.html",
        status=400 if problem else 200,
        question=question,
        action=_ANSWER,
        carried={"user_code": pending.user_code},
        device=pending,
        login=await login_of(browser),
        problem=browser.words(problem),
    )


PAGES = (
    Page(
        discovery.VERIFICATION,
        show=show,
        take=take,
        fields=frozenset({"user_code"}),
        query=frozenset({"user_code", "provider"}),
        signed_in=False,
    ),
    Page(_ANSWER, take=answer, fields=frozenset({"user_code", "decision", "project"})),
)
