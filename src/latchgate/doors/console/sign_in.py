"""Signing in: login name and password, a second factor, a passkey; and out again.

Rule of this file: what was wrong is told to nobody, and costs the same work (ATTACKS D4.27).
Whoever has a second factor gets no session before it was right: the password leaves only a note,
bound to the browser, that it was. No step stands for another.
"""

from __future__ import annotations

import base64
import logging
import math
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from latchgate.core.basic import MAX_LOGIN, MAX_PASSWORD
from latchgate.core.secret import Secret
from latchgate.doors.console.browser import Browser, is_inside
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.site import relying_party
from latchgate.doors.form import FormError
from latchgate.doors.typed import is_right
from latchgate.keyring import master
from latchgate.manage import authenticators, identities, logins, passwords, provisioning
from latchgate.manage.errors import TooManyError
from latchgate.manage.passwords import NAMESPACE, Account
from latchgate.signin import ceremony, passkey, totp
from latchgate.signin.ceremony import Ceremony, Sort
from latchgate.signin.next_path import local
from latchgate.signin.passkey import Party, PasskeyError
from latchgate.signin.rules import normalized

_WRONG = N_("The login name or the password is wrong.")
_WRONG_CODE = N_("That code is wrong, or was used already.")
_WRONG_PASSKEY = N_("That passkey could not be used here.")
_RETRY_SECONDS = 60
_MAX_CODE = 100
_log = logging.getLogger(__name__)


async def show(browser: Browser) -> Reply:
    """Show the form; whoever is signed in already goes on, unless they must prove it again."""
    following = local(browser.query.get("next"))
    again = browser.query.get("again") == "1"
    if browser.session is not None and not again:
        return browser.redirect(following)
    wanted = browser.query.get("provider", "")
    if browser.door.providers.knows(wanted):
        query = {"next": following} | ({"again": "1"} if again else {})
        return browser.redirect(f"/sign-in/provider/{wanted}?{urlencode(query)}")
    return await _form(browser, following, login=browser.query.get("login", "")[:MAX_LOGIN])


async def take(browser: Browser) -> Reply:
    """Take login name and password; then ask for a second factor, or sign in."""
    name, typed = browser.form.get("login", ""), browser.form.get("password", "")
    following = local(browser.form.get("next"))
    found = await _known(browser, name, typed)
    if found is None:
        _log.warning("a sign-in was refused: wrong login name or password")
        return await _form(browser, following, login=name[:MAX_LOGIN], problem=_WRONG)
    if not is_inside(browser.asked.client, found.networks):
        raise FormError(403, "This password can't be used from your network address.")
    store = browser.door.store
    held = await run_in_threadpool(authenticators.factors, store, found.user_id)
    if held.second:
        await run_in_threadpool(
            ceremony.begin,
            store,
            browser.known,
            Sort.SECOND,
            user_id=found.user_id,
            data={"next": following, "login": name.strip(), "credential": found.credential_id},
            now=browser.door.clock(),
        )
        return browser.redirect("/sign-in/second")
    await browser.sign_in(found.user_id, ("pwd",))
    return browser.redirect(following)


async def show_second(browser: Browser) -> Reply:
    """Ask for the second factor of whoever's password was right in this browser."""
    begun = await _begun(browser)
    if begun is None or begun.user_id is None:
        return browser.redirect("/sign-in")
    return await _second(browser, begun.user_id, begun.data["next"])


async def take_second(browser: Browser) -> Reply:
    """Take a code of an app or a recovery code, and sign in."""
    begun = await _begun(browser)
    if begun is None or begun.user_id is None:
        return browser.redirect("/sign-in")
    user_id, following = begun.user_id, local(begun.data["next"])
    door, client = browser.door, browser.asked.client
    account, guesses = f"second:{user_id}", browser.frame.guesses
    if not guesses.allows(account, client, door.ticks()):
        raise TooManyError("too many wrong codes of late", retry_after=_RETRY_SECONDS)
    # Counted before it is known to be wrong: of many at once each would else be the first.
    guesses.guessed(account, client, door.ticks())
    if not await run_in_threadpool(_is_code, browser, user_id, browser.form.get("code", "")):
        _log.warning("a sign-in was refused: the password was right, the code was wrong")
        return await _second(browser, user_id, following, problem=_WRONG_CODE)
    guesses.succeeded(account, client)
    done = await run_in_threadpool(
        ceremony.finish, door.store, browser.known, Sort.SECOND, now=door.clock()
    )
    if done is None or done.user_id != user_id:
        return browser.redirect("/sign-in")
    told = begun.data
    await browser.sign_in(
        user_id,
        (*told.get("methods", ("pwd",)), "otp", "mfa"),
        provider=told.get("provider"),
        auth_time=told.get("auth_time"),
    )
    return browser.redirect(following)


async def passkey_options(browser: Browser) -> Reply:
    """Give a page's script what it asks the browser for."""
    party, door = party_of(browser), browser.door
    wait = browser.frame.asked.take(browser.asked.client, door.ticks())
    if wait:
        raise TooManyError("too many passkeys asked for of late", retry_after=math.ceil(wait))
    challenge = door.entropy(passkey.CHALLENGE_BYTES)
    await run_in_threadpool(
        ceremony.begin,
        door.store,
        browser.known,
        Sort.PASSKEY,
        user_id=None,
        data={"challenge": base64.b64encode(challenge).decode()},
        now=door.clock(),
    )
    return browser.json(passkey.request(party, challenge=challenge))


async def take_passkey(browser: Browser) -> Reply:
    """Take what a browser answered, and sign in."""
    party, following = party_of(browser), local(browser.form.get("next"))
    try:
        user_id = await run_in_threadpool(_proven, browser, party)
    except PasskeyError as error:
        _log.warning("a sign-in was refused: a passkey proved nothing: %s", error)
        return await _form(browser, following, problem=_WRONG_PASSKEY)
    await browser.sign_in(user_id, ("pop", "user", "mfa"))
    return browser.redirect(following)


async def sign_out(browser: Browser) -> Reply:
    """End the session."""
    await browser.sign_out()
    return browser.redirect("/sign-in")


def party_of(browser: Browser) -> Party:
    """Return who asks for passkeys on this page; FormError where it has no name."""
    name = relying_party(browser.origin)
    if name is None:
        raise FormError(409, "Passkeys need an address with a name, such as localhost.")
    return Party(browser.origin, name)


async def _known(browser: Browser, name: str, typed: str) -> Account | None:
    """Return whose login name and password these are, after the same work for anybody."""
    door = browser.door
    if not 0 < len(name) <= MAX_LOGIN or not 0 < len(typed) <= MAX_PASSWORD:
        return None
    found = await run_in_threadpool(
        passwords.account, door.store, door.engine.policy, name.strip(), now=door.clock()
    )
    right = await is_right(
        door,
        Secret(normalized(typed)),
        account=logins.login_id(NAMESPACE, name.strip()),
        like=found.digest if found is not None else None,
        client=browser.asked.client,
    )
    return found if right else None


async def _begun(browser: Browser) -> Ceremony | None:
    """Return the sign-in that waits for a second factor here, while what came first stands."""
    door = browser.door
    begun = await run_in_threadpool(
        ceremony.under_way, door.store, browser.known, Sort.SECOND, now=door.clock()
    )
    if begun is None:
        return None
    if "provider" in begun.data:
        return begun if await run_in_threadpool(_is_linked, browser, begun) else None
    found = await run_in_threadpool(
        passwords.account, door.store, door.engine.policy, begun.data["login"], now=door.clock()
    )
    if found is None or found.credential_id != begun.data["credential"]:
        return None
    return begun


def _is_linked(browser: Browser, begun: Ceremony) -> bool:
    """Whether whom a provider signed in still is the user who is asked for a second factor."""
    door, told = browser.door, begun.data
    listed = door.providers.providers
    provider = next((one for one in listed if one.name == told["provider"]), None)
    if provider is None or begun.user_id is None:
        return False
    return provisioning.stands(door.store, provider, told["subject"], begun.user_id, door.clock())


def _is_code(browser: Browser, user_id: str, typed: str) -> bool:
    door = browser.door
    if len(typed) > _MAX_CODE:
        return False
    code = totp.read_code(typed)
    if code is not None:
        key = master.load(door.master_key)
        return authenticators.use_app(door.store, key, user_id, code, now=door.clock())
    tenant_id = identities.tenant_of(door.store, user_id)
    return authenticators.use_code(door.store, user_id, tenant_id, typed, address=browser.address)


def _proven(browser: Browser, party: Party) -> str:
    """Return whose passkey signed this browser's challenge; PasskeyError."""
    door = browser.door
    begun = ceremony.finish(door.store, browser.known, Sort.PASSKEY, now=door.clock())
    if begun is None:
        raise PasskeyError("nothing was asked of this browser, or it took too long")
    told = passkey.answer(browser.form.get("credential", ""))
    held = authenticators.passkey(door.store, told.handle)
    if held is None or held.user_id != told.user_id:
        raise PasskeyError("it is not known here")
    challenge = base64.b64decode(begun.data["challenge"])
    counter = passkey.proven(
        party, told, public=held.public, counter=held.counter, challenge=challenge
    )
    if not authenticators.use_passkey(door.store, held, counter=counter, now=door.clock()):
        raise PasskeyError("it was used at the same time elsewhere")
    return held.user_id


async def _form(browser: Browser, following: str, *, login: str = "", problem: str = "") -> Reply:
    """Show the form; whoever is signed in may only prove again that it is they."""
    own = None
    if browser.session is not None:
        own = await run_in_threadpool(
            identities.login_name, browser.door.store, NAMESPACE, browser.session.user_id
        )
    return browser.page(
        "sign_in.html",
        status=403 if problem else 200,
        next=following,
        login=own or login,
        own=own,
        again=browser.session is not None,
        named=relying_party(browser.origin) is not None,
        with_a_name=browser.frame.site.with_a_name,
        providers=browser.door.providers.providers,
        problem=browser.words(problem),
    )


async def _second(browser: Browser, user_id: str, following: str, *, problem: str = "") -> Reply:
    held = await run_in_threadpool(authenticators.factors, browser.door.store, user_id)
    return browser.page(
        "second.html",
        status=403 if problem else 200,
        factors=held,
        next=local(following),
        named=relying_party(browser.origin) is not None,
        with_a_name=browser.frame.site.with_a_name,
        problem=browser.words(problem),
    )


PAGES = (
    Page(
        "/sign-in",
        show=show,
        take=take,
        fields=frozenset({"login", "password", "next"}),
        query=frozenset({"next", "again", "login", "provider"}),
        signed_in=False,
    ),
    Page(
        "/sign-in/second",
        show=show_second,
        take=take_second,
        fields=frozenset({"code"}),
        signed_in=False,
    ),
    Page("/sign-in/passkey/options", take=passkey_options, signed_in=False),
    Page(
        "/sign-in/passkey",
        take=take_passkey,
        fields=frozenset({"credential", "next"}),
        signed_in=False,
    ),
    Page("/sign-out", take=sign_out, signed_in=False),
)
