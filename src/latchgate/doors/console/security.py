"""How somebody signs in, as they see and change it: authenticators, sessions, password.

Rule of this file: whatever changes how one signs in takes a proof of the last ten minutes that it
is they (`fresh`), and what was made is shown once.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from latchgate.core.basic import MAX_PASSWORD
from latchgate.core.secret import Secret
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import Own
from latchgate.doors.console.sign_in import party_of
from latchgate.doors.console.site import relying_party
from latchgate.doors.form import FormError
from latchgate.doors.typed import hashed, is_right
from latchgate.keyring import master
from latchgate.manage import authenticators, identities, links, passwords
from latchgate.manage.passwords import NAMESPACE
from latchgate.signin import ceremony, passkey, session, totp
from latchgate.signin.ceremony import Ceremony, Sort
from latchgate.signin.passkey import PasskeyError
from latchgate.signin.rules import normalized, password_faults

_DONE = {
    "app": N_("The authenticator app was added."),
    "passkey": N_("The passkey was added."),
    "removed": N_("It was removed."),
    "ended": N_("The session was ended."),
    "linked": N_("You can sign in with it from now on."),
    "unlinked": N_("It no longer signs you in."),
    "password": N_("The password was changed; every other session was ended."),
}
_NONE: Mapping[str, list[str]] = {}
_log = logging.getLogger(__name__)


async def show(browser: Browser) -> Reply:
    """Show what signs somebody in, and where they are signed in."""
    store, who = browser.door.store, browser.who
    return browser.page(
        "security.html",
        login=await run_in_threadpool(identities.login_name, store, NAMESPACE, who.user_id),
        factors=await run_in_threadpool(authenticators.factors, store, who.user_id),
        held=await run_in_threadpool(authenticators.listed, store, who.user_id),
        sessions=await run_in_threadpool(
            session.listed, store, who.user_id, now=browser.door.clock()
        ),
        links=await run_in_threadpool(links.listed_own, store, browser.person),
        providers=browser.door.providers.providers,
        named=relying_party(browser.origin) is not None,
        with_a_name=browser.frame.site.with_a_name,
        done=browser.words(_DONE.get(browser.query.get("done", ""), "")),
    )


async def begin_app(browser: Browser) -> Reply:
    """Draw a secret for an authenticator app; it counts once a code of it was right."""
    door, who = browser.door, browser.who
    key = await run_in_threadpool(master.load, door.master_key)
    sealed = authenticators.seal(key, who.user_id, totp.draw(door.entropy), door.entropy)
    await run_in_threadpool(
        ceremony.begin,
        door.store,
        browser.known,
        Sort.NEW_TOTP,
        user_id=who.user_id,
        data={"sealed": base64.b64encode(sealed).decode()},
        now=door.clock(),
    )
    return browser.redirect("/security/app")


async def show_app(browser: Browser) -> Reply:
    """Show the secret as a QR code, and ask for a code of it."""
    begun = await _begun(browser, Sort.NEW_TOTP)
    return await _app(browser, begun) if begun else browser.redirect("/security")


async def take_app(browser: Browser) -> Reply:
    """Take a code of the new secret, and keep it."""
    door, who = browser.door, browser.who
    begun = await _begun(browser, Sort.NEW_TOTP)
    if begun is None:
        return browser.redirect("/security")
    code = totp.read_code(browser.form.get("code", ""))
    secret = await run_in_threadpool(_unsealed, browser, begun)
    step = totp.step_of(secret, code, now=door.clock(), after=0) if code else None
    if step is None:
        problem = browser.words(
            N_("That code is not the one that the app shows now. Is its clock right?")
        )
        return await _app(browser, begun, problem=problem)
    before = await run_in_threadpool(authenticators.factors, door.store, who.user_id)
    if await _finished(browser, Sort.NEW_TOTP) is None:
        return browser.redirect("/security")
    await run_in_threadpool(
        authenticators.add_app,
        door.store,
        browser.person,
        name=browser.form.get("name", ""),
        sealed=base64.b64decode(begun.data["sealed"]),
        step=step,
        entropy=door.entropy,
    )
    return await _added(browser, "app", codes=before.codes)


async def passkey_options(browser: Browser) -> Reply:
    """Give a page's script what it asks the browser to make."""
    door, who, party = browser.door, browser.who, party_of(browser)
    challenge = door.entropy(passkey.CHALLENGE_BYTES)
    await run_in_threadpool(
        ceremony.begin,
        door.store,
        browser.known,
        Sort.NEW_PASSKEY,
        user_id=who.user_id,
        data={"challenge": base64.b64encode(challenge).decode()},
        now=door.clock(),
    )
    login = await run_in_threadpool(identities.login_name, door.store, NAMESPACE, who.user_id)
    known = await run_in_threadpool(authenticators.passkey_handles, door.store, who.user_id)
    name = login or who.user_id
    return browser.json(
        passkey.creation(
            party, user_id=who.user_id, login=name, name=name, known=known, challenge=challenge
        )
    )


async def take_passkey(browser: Browser) -> Reply:
    """Take the passkey that a browser made, and keep it."""
    door, who, party = browser.door, browser.who, party_of(browser)
    begun = await _finished(browser, Sort.NEW_PASSKEY)
    if begun is None:
        return browser.redirect("/security")
    try:
        made = passkey.made(
            party,
            browser.form.get("credential", ""),
            challenge=base64.b64decode(begun.data["challenge"]),
        )
    except PasskeyError as error:
        _log.warning("a passkey was refused: %s", error)
        raise FormError(422, "That passkey could not be added. Try again.") from error
    before = await run_in_threadpool(authenticators.factors, door.store, who.user_id)
    await run_in_threadpool(
        authenticators.add_passkey,
        door.store,
        browser.person,
        name=browser.form.get("name", ""),
        handle=made.handle,
        public=made.public,
        counter=made.counter,
        entropy=door.entropy,
    )
    return await _added(browser, "passkey", codes=before.codes)


async def new_codes(browser: Browser) -> Reply:
    """Make recovery codes instead of those before, and show them this once."""
    return await _codes(browser, added="")


async def remove(browser: Browser) -> Reply:
    """Take an authenticator away."""
    await run_in_threadpool(
        authenticators.remove, browser.door.store, browser.person, browser.form.get("id", "")
    )
    return browser.redirect("/security?done=removed")


async def end_session(browser: Browser) -> Reply:
    """End one of the user's sessions, or all but this one."""
    store, wanted = browser.door.store, browser.form.get("id", "")
    if wanted == browser.who.id:
        await browser.sign_out()
        return browser.redirect("/sign-in")
    if wanted == "others":
        actor = browser.who.actor(browser.address)
        await run_in_threadpool(
            session.end_all, store, browser.who.user_id, actor=actor, keep=browser.who.id
        )
    else:
        await run_in_threadpool(
            session.end_one, store, browser.who, wanted, address=browser.address
        )
    return browser.redirect("/security?done=ended")


async def show_password(browser: Browser) -> Reply:
    """Show the form for a new password."""
    return await _password(browser)


async def take_password(browser: Browser) -> Reply:
    """Change the password, with the current one; the session goes on with another secret."""
    door, who, policy = browser.door, browser.who, browser.door.engine.policy
    current = normalized(browser.form.get("current", ""))
    wanted = normalized(browser.form.get("new", ""))
    if wanted != normalized(browser.form.get("repeated", "")):
        return await _password(browser, repeated=N_("The two new passwords are not the same."))
    held = await run_in_threadpool(
        passwords.held_by, door.store, policy, who.tenant_id, who.user_id
    )
    faults = await run_in_threadpool(password_faults, wanted, known=held.known)
    if faults:
        told = {"new": [f"The new password {fault}" for fault in faults]}
        return await _password(browser, told)
    usable = 0 < len(current) <= MAX_PASSWORD
    right = usable and await is_right(
        door,
        Secret(current),
        account=held.login,
        like=held.digest,
        client=browser.asked.client,
    )
    if not right:
        return await _password(browser, current=N_("The current password is wrong."))
    if current == wanted:
        same = N_("The new password is the current one; choose another.")
        return await _password(browser, new=same)
    made = await hashed(door, Secret(wanted))
    _, n = await run_in_threadpool(
        passwords.change_of,
        door.store,
        policy,
        browser.person,
        held,
        hashed=made,
        entropy=door.entropy,
    )
    await door.acknowledged(n)
    await browser.sign_in(who.user_id, who.methods)
    return browser.redirect("/security?done=password")


async def _password(browser: Browser, faults: Mapping[str, list[str]] = _NONE, **own: str) -> Reply:
    """Show the form; `faults` are of the rules, by field, `own` are told by this page."""
    store, user_id = browser.door.store, browser.who.user_id
    login = await run_in_threadpool(identities.login_name, store, NAMESPACE, user_id)
    told = {**faults, **{name: [Own(browser.words(text))] for name, text in own.items()}}
    status = 422 if told else 200
    return browser.page("password.html", status=status, faults=told, login=login or "")


async def _begun(browser: Browser, sort: Sort) -> Ceremony | None:
    """Return what its user began in this browser."""
    door = browser.door
    begun = await run_in_threadpool(
        ceremony.under_way, door.store, browser.known, sort, now=door.clock()
    )
    return begun if begun is not None and begun.user_id == browser.who.user_id else None


async def _finished(browser: Browser, sort: Sort) -> Ceremony | None:
    door = browser.door
    begun = await run_in_threadpool(
        ceremony.finish, door.store, browser.known, sort, now=door.clock()
    )
    return begun if begun is not None and begun.user_id == browser.who.user_id else None


def _unsealed(browser: Browser, begun: Ceremony) -> Secret:
    key = master.load(browser.door.master_key)
    return authenticators.unseal(key, browser.who.user_id, base64.b64decode(begun.data["sealed"]))


async def _app(browser: Browser, begun: Ceremony, *, problem: str = "") -> Reply:
    door, who = browser.door, browser.who
    secret = await run_in_threadpool(_unsealed, browser, begun)
    login = await run_in_threadpool(identities.login_name, door.store, NAMESPACE, who.user_id)
    address = totp.address(secret, login=login or who.user_id, issuer="Latchgate")
    import segno  # noqa: PLC0415 - loaded when an authenticator is first shown

    drawn = segno.make(address.reveal(), error="m", micro=False)
    text = secret.reveal()
    return browser.page(
        "app.html",
        status=422 if problem else 200,
        code=Markup(drawn.svg_inline(scale=5, light="#fff")),  # noqa: S704 - drawn from base32
        secret=" ".join(text[at : at + 4] for at in range(0, len(text), 4)),
        problem=problem,
    )


async def _added(browser: Browser, what: str, *, codes: int) -> Reply:
    """Go on after something was added: whoever has no recovery codes yet gets some."""
    if codes:
        return browser.redirect(f"/security?done={what}")
    return await _codes(browser, added=browser.words(_DONE[what]))


async def _codes(browser: Browser, *, added: str) -> Reply:
    drawn = await run_in_threadpool(
        authenticators.new_codes,
        browser.door.store,
        browser.person,
        entropy=browser.door.entropy,
    )
    return browser.page("codes.html", codes=[one.reveal() for one in drawn], added=added)


PAGES = (
    Page("/security", show=show, query=frozenset({"done"})),
    Page("/security/app/new", take=begin_app, fresh=True),
    Page(
        "/security/app",
        show=show_app,
        take=take_app,
        fields=frozenset({"code", "name"}),
        fresh=True,
    ),
    Page("/security/passkey/options", take=passkey_options, fresh=True),
    Page(
        "/security/passkey",
        take=take_passkey,
        fields=frozenset({"credential", "name"}),
        fresh=True,
    ),
    Page("/security/codes", take=new_codes, fresh=True),
    Page("/security/remove", take=remove, fields=frozenset({"id"}), fresh=True),
    Page("/security/sessions/end", take=end_session, fields=frozenset({"id"})),
    Page(
        "/security/password",
        show=show_password,
        take=take_password,
        fields=frozenset({"login", "current", "new", "repeated"}),
        fresh=True,
    ),
)
