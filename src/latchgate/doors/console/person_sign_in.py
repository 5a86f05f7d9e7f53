"""How somebody signs in, as an administrator sees to it: passwords, second factors, links.

Rule of this file: a password is drawn here and shown once, in the answer to the form; hashing it
waits outside the event loop and outside any transaction. Whoever changes how somebody signs in, who
may be themselves, proved lately that it is they (`fresh`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from shlex import quote

from starlette.concurrency import run_in_threadpool

from latchgate.core.kinds import OidcBearer
from latchgate.doors.console import faults
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.person import person_page, who_of
from latchgate.doors.console.reading import or_none, read_spec
from latchgate.doors.typed import hashed
from latchgate.manage import authenticators, holdings, links, passwords
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.links import LinkSpec
from latchgate.manage.passwords import FirstPassword
from latchgate.store.errors import ConflictError

_WRITE = ("manage:users.write",)
_TAKEN = N_(
    "They can't sign in with it any more, and their sessions end. Their login name stays theirs."
)
_YOURS = N_("This is you: you are signed out, too.")


async def show_password(browser: Browser) -> Reply:
    """Show the form that issues a password."""
    return await _password(browser, {"namespace": passwords.NAMESPACE})


async def take_password(browser: Browser) -> Reply:
    """Issue a random password, and show it this once."""
    door, form, policy = browser.door, browser.form, browser.policy
    given = {name: or_none(form.get(name)) for name in ("namespace", "login", "project_id")}
    try:
        spec = read_spec(FirstPassword, given)
        issued = passwords.draw(policy, spec.namespace, entropy=door.entropy)
        made = await hashed(door, issued.secret)
        login, n = await run_in_threadpool(
            passwords.set_first,
            door.store,
            policy,
            browser.caller,
            browser.id,
            spec=spec,
            issued=replace(issued, digest=made),
        )
    except InvalidError as error:
        return await _password(browser, form, faults.told(browser, error))
    except ConflictError as error:
        return await _password(browser, form, faults.taken(error, "login"))
    await door.acknowledged(n)
    one = await who_of(browser)
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("Password of %(name)s"), name=one.name),
        done=browser.words(N_("The password was issued; one that they had before opens nothing.")),
        name=one.name,
        parts=(
            (browser.words(N_("Login name")), login),
            (browser.words(N_("Password")), issued.secret.reveal()),
        ),
        samples=(),
        back=f"/people/{one.id}",
    )


async def _password(
    browser: Browser, form: Mapping[str, str], wrong: dict[str, list[str]] | None = None
) -> Reply:
    one = await who_of(browser)
    held = await run_in_threadpool(holdings.named, browser.door.store, browser.caller, one.roles)
    return browser.page(
        "people_password.html",
        status=422 if wrong else 200,
        one=one,
        form=form,
        faults=wrong or {},
        projects=list({(role.project_id, role.project): None for role in held}),
        namespaces=[(name, name) for name in passwords.namespaces(browser.policy)],
        cli=(f"latchgate account password issue --user {one.id} --login NAME",),
    )


async def ask_take(browser: Browser) -> Reply:
    """Ask once before a password is taken."""
    one, namespace = await who_of(browser), browser.query.get("namespace", passwords.NAMESPACE)
    if namespace not in passwords.namespaces(browser.policy):
        raise NotFoundError(f"nobody has a password in {namespace[:32]!r}")
    what = [_TAKEN, _YOURS] if one.id == browser.who.user_id else [_TAKEN]
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Take the password of %(name)s?"), name=one.name),
        what=[browser.words(text) for text in what],
        action=f"/people/{one.id}/password/take",
        verb=browser.words(N_("Take the password")),
        back=f"/people/{one.id}",
        carried={"namespace": namespace},
        cli=(f"latchgate account password disable --user {one.id} --namespace {namespace}",),
    )


async def take_away(browser: Browser) -> Reply:
    """Take a password, and say who follows."""
    door, namespace = browser.door, browser.form.get("namespace", passwords.NAMESPACE)
    n = await run_in_threadpool(
        passwords.disable, door.store, browser.policy, browser.caller, browser.id, namespace
    )
    done = N_("The password was taken.")
    return await person_page(browser, done=done, receipt=await door.acknowledged(n))


async def ask_reset(browser: Browser) -> Reply:
    """Ask once before second factors are taken away."""
    one = await who_of(browser)
    what = N_("For somebody who lost them: authenticator apps, passkeys and recovery codes go, and"
              " their sessions end. The password alone signs them in then, until they add others."
              " Make sure that it is they who ask.")  # fmt: skip
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Take the second factors of %(name)s?"), name=one.name),
        what=[browser.words(what)],
        action=f"/people/{one.id}/factors",
        verb=browser.words(N_("Take them away")),
        back=f"/people/{one.id}",
        cli=(f"latchgate user reset-factors {one.id}",),
    )


async def reset(browser: Browser) -> Reply:
    """Take away all that somebody signs in with besides the password."""
    await run_in_threadpool(authenticators.clear, browser.door.store, browser.caller, browser.id)
    return browser.redirect(f"/people/{browser.id}?done=factors")


async def show_link(browser: Browser) -> Reply:
    """Show the form that links somebody with an account elsewhere."""
    return await _link(browser, {})


async def take_link(browser: Browser) -> Reply:
    """Link somebody, and show them."""
    door, form = browser.door, browser.form
    given = {name: or_none(form.get(name)) for name in ("issuer", "subject", "project_id")}
    try:
        spec = read_spec(LinkSpec, given)
        await run_in_threadpool(
            links.link,
            door.store,
            browser.policy,
            browser.caller,
            browser.id,
            spec=spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
            issuers=door.providers.issuers,
        )
    except InvalidError as error:
        return await _link(browser, form, faults.told(browser, error))
    except ConflictError as error:
        return await _link(browser, form, faults.taken(error, "subject"))
    return browser.redirect(f"/people/{browser.id}?done=linked")


async def _link(
    browser: Browser, form: Mapping[str, str], wrong: dict[str, list[str]] | None = None
) -> Reply:
    one = await who_of(browser)
    held = await run_in_threadpool(holdings.named, browser.door.store, browser.caller, one.roles)
    return browser.page(
        "people_link.html",
        status=422 if wrong else 200,
        one=one,
        form=form,
        faults=wrong or {},
        issuers=issuers_of(browser),
        projects=list({(role.project_id, role.project): None for role in held}),
        cli=(f"latchgate user link {one.id} --issuer ISSUER --subject SUBJECT",),
    )


def issuers_of(browser: Browser) -> list[tuple[str, str]]:
    """Return whose subjects can be linked: issuers, each with what it is called."""
    kinds = browser.policy.kinds.values()
    believed = {one.issuer.url: one.issuer.url for one in kinds if isinstance(one, OidcBearer)}
    named = {one.issuer: one.title for one in browser.door.providers.providers}
    return sorted((believed | named).items(), key=lambda one: one[1])


async def ask_unlink(browser: Browser) -> Reply:
    """Ask once before a link is taken away."""
    one, wanted = await who_of(browser), browser.query.get("link_id", "")
    known = await run_in_threadpool(links.listed, browser.door.store, browser.caller, one.id)
    link = next((link for link in known if link.id == wanted), None)
    if link is None:
        raise NotFoundError(f"there is no link {wanted[:64]!r}")
    what = N_("%(subject)s at %(issuer)s signs nobody in here any more, no token of theirs is"
              " accepted, and sessions that came through a provider end.")  # fmt: skip
    named = f"--issuer {quote(link.issuer)} --subject {quote(link.subject)}"
    command = f"latchgate user unlink {one.id} {named}"
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Unlink %(name)s?"), name=one.name),
        what=[browser.words(what, subject=link.subject, issuer=link.issuer)],
        action=f"/people/{one.id}/unlink",
        verb=browser.words(N_("Unlink")),
        back=f"/people/{one.id}",
        carried={"link_id": link.id},
        cli=(command,),
    )


async def unlink(browser: Browser) -> Reply:
    """Take a link away, and say who follows."""
    door, link_id = browser.door, browser.form.get("link_id", "")
    _, n = await run_in_threadpool(links.unlink, door.store, browser.caller, browser.id, link_id)
    done = N_("The link was taken away.")
    return await person_page(browser, done=done, receipt=await door.acknowledged(n))


_LINK = frozenset({"link_id"})
_SPACE = frozenset({"namespace"})
PAGES = (
    Page(
        "/people/{id}/password",
        show=show_password,
        take=take_password,
        fields=frozenset({"namespace", "login", "project_id"}),
        scopes=_WRITE,
        fresh=True,
    ),
    Page(
        "/people/{id}/password/take",
        show=ask_take,
        take=take_away,
        query=_SPACE,
        fields=_SPACE,
        scopes=_WRITE,
        fresh=True,
    ),
    Page("/people/{id}/factors", show=ask_reset, take=reset, scopes=_WRITE, fresh=True),
    Page(
        "/people/{id}/link",
        show=show_link,
        take=take_link,
        fields=frozenset({"issuer", "subject", "project_id"}),
        scopes=_WRITE,
        fresh=True,
    ),
    Page(
        "/people/{id}/unlink",
        show=ask_unlink,
        take=unlink,
        query=_LINK,
        fields=_LINK,
        scopes=_WRITE,
        fresh=True,
    ),
)
