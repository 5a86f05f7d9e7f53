"""The pages of the authorization endpoint: which account, whether they consent, and the answer.

Rule of this file: the request is carried through every page whole and read anew by each, so that no
page trusts what another one found. What is wrong with it is told where `oauth.authorization` says.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.onward import answered, server_of
from latchgate.doors.console.page import Page
from latchgate.doors.form import FormError
from latchgate.manage import identities
from latchgate.manage.passwords import NAMESPACE
from latchgate.oauth import authorization, consent, discovery
from latchgate.oauth.authorization import CHOSEN, SINCE, Asked, Prompt, RefusedError, Step
from latchgate.oauth.consent import Question
from latchgate.oauth.errors import Code, OAuthError
from latchgate.store.errors import StoreError

_CONSENT = f"{discovery.AUTHORIZE}/consent"
_ACCOUNT = f"{discovery.AUTHORIZE}/account"
_log = logging.getLogger(__name__)


async def show(browser: Browser) -> Reply:
    """Answer a client's request, or ask the person what has to be asked first."""
    return await _reading(browser, browser.raw, _shown)


async def take_consent(browser: Browser) -> Reply:
    """Take a person's yes or no."""
    return await _reading(browser, browser.form.get("request", "").encode(), _decided)


async def take_account(browser: Browser) -> Reply:
    """Go on with who is signed in, or sign in as somebody else."""
    return await _reading(browser, browser.form.get("request", "").encode(), _chosen)


async def _reading(
    browser: Browser, raw: bytes, following: Callable[[Browser, Asked], Awaitable[Reply]]
) -> Reply:
    """Read a request, go on with it, and tell whoever is to be told what was wrong with it.

    UnanswerableError where that is the person alone.
    """
    try:
        asked = await run_in_threadpool(authorization.read, server_of(browser), raw)
    except RefusedError as error:
        return answered(browser, error.back, authorization.refusal(error.error))
    try:
        return await following(browser, asked)
    except OAuthError as error:
        refused = error
    except StoreError:
        _log.exception("an authorization request could not be answered")
        refused = OAuthError(Code.TEMPORARILY_UNAVAILABLE, "try again later")
    return answered(browser, asked.back, authorization.refusal(refused))


async def _shown(browser: Browser, asked: Asked) -> Reply:
    waits = await _waits(browser, asked)
    if waits is not None:
        return waits
    question = await _question(browser, asked)
    due = question.asked or question.project_id is None or Prompt.CONSENT in asked.prompts
    if question.project_id is not None and not due:
        return await _allowed(browser, asked, question.project_id)
    if asked.silent and question.asked:
        raise OAuthError(Code.CONSENT_REQUIRED, "the person has to consent first")
    if asked.silent:
        raise OAuthError(Code.INTERACTION_REQUIRED, "the person has to choose a project first")
    return await _ask(browser, asked, question)


async def _decided(browser: Browser, asked: Asked) -> Reply:
    if browser.form.get("decision") == "deny":
        raise OAuthError(Code.ACCESS_DENIED, "the person refused it")
    if browser.form.get("decision") != "allow":
        raise FormError(400, "Say whether you allow it or not.")
    waits = await _waits(browser, asked)
    if waits is not None:
        return waits
    question = await _question(browser, asked)
    project_id = question.chosen(browser.form.get("project"))
    if project_id is None:
        return await _ask(browser, asked, question, problem=N_("Choose one of your projects."))
    await run_in_threadpool(
        consent.remember,
        server_of(browser),
        asked.client,
        browser.who,
        asked.scopes,
        address=browser.address,
    )
    return await _allowed(browser, asked, project_id)


async def _chosen(browser: Browser, asked: Asked) -> Reply:
    decision, now = browser.form.get("decision"), browser.door.clock()
    if decision == "deny":
        raise OAuthError(Code.ACCESS_DENIED, "the person refused it")
    if decision == "another":
        await browser.sign_out()
        following = authorization.again(asked, **{SINCE: f"{now:.6f}"})
        return browser.to_sign_in(f"{discovery.AUTHORIZE}?{following}", login=asked.login_hint)
    following = authorization.again(asked, **{CHOSEN: browser.who.id})
    return browser.redirect(f"{discovery.AUTHORIZE}?{following}")


async def _waits(browser: Browser, asked: Asked) -> Reply | None:
    """Return the page that comes before the answer; None when it can be given."""
    now, session = browser.door.clock(), browser.session
    step = authorization.step(asked, session, now=now)
    if step is Step.READY:
        return None
    if step is Step.CHOOSE:
        return await _accounts(browser, asked)
    following = authorization.again(asked, **{SINCE: f"{now:.6f}"})
    return browser.to_sign_in(
        f"{discovery.AUTHORIZE}?{following}",
        again=step is Step.PROVE_AGAIN,
        login=asked.login_hint,
    )


async def _question(browser: Browser, asked: Asked) -> Question:
    """Return what is asked; OAuthError access_denied where no answer could allow it."""
    question = await run_in_threadpool(
        consent.question, server_of(browser), asked.client, browser.who, asked.scopes
    )
    if question.blocked:
        raise OAuthError(Code.ACCESS_DENIED, "the person keeps this application out")
    if not question.projects:
        raise OAuthError(Code.ACCESS_DENIED, "the person has a role in no project")
    return question


async def _ask(browser: Browser, asked: Asked, question: Question, *, problem: str = "") -> Reply:
    return browser.page(
        "consent.html",
        status=400 if problem else 200,
        question=question,
        action=_CONSENT,
        carried={"request": asked.text},
        device=None,
        login=await login_of(browser),
        problem=browser.words(problem),
    )


async def _accounts(browser: Browser, asked: Asked) -> Reply:
    return browser.page(
        "account.html",
        action=_ACCOUNT,
        carried={"request": asked.text},
        client=asked.client,
        fits=authorization.fits(asked, browser.who),
        login=await login_of(browser),
    )


async def _allowed(browser: Browser, asked: Asked, project_id: str) -> Reply:
    code = await run_in_threadpool(
        authorization.issue, server_of(browser), asked, browser.who, project_id
    )
    return answered(browser, asked.back, {"code": code})


async def login_of(browser: Browser) -> str:
    """Return the name that who is signed in knows themselves by."""
    store, user_id = browser.door.store, browser.who.user_id
    found = await run_in_threadpool(identities.login_name, store, NAMESPACE, user_id)
    if found is not None:
        return found
    return await run_in_threadpool(identities.name_of, store, user_id)


PAGES = (
    Page(discovery.AUTHORIZE, show=show, signed_in=False, entrance=True),
    Page(_CONSENT, take=take_consent, fields=frozenset({"request", "decision", "project"})),
    Page(_ACCOUNT, take=take_account, fields=frozenset({"request", "decision"})),
)
