"""What is set here: the language, who people sign in through, and what this Latchgate is."""

from __future__ import annotations

from importlib.metadata import version

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import COOKIE
from latchgate.doors.console.page import Page
from latchgate.doors.console.providers import CALLBACK
from latchgate.doors.form import FormError
from latchgate.signin.next_path import local

_LIFETIMES = ("manage:lifetimes.read",)
_LEAKS = ("manage:leaks.read",)
# Whoever links people with their accounts there has to know the issuer.
PROVIDERS = ("manage:users.read", "operator:policy.read")


async def show(browser: Browser) -> Reply:
    """Show the language and what this is, and lead to the rest."""
    frame = browser.frame
    return browser.page(
        "settings.html",
        lifetimes=browser.may(*_LIFETIMES),
        leaks=browser.may(*_LEAKS),
        providers=browser.may(*PROVIDERS),
        version=version("latchgate"),
        policy=browser.policy,
        console_url=frame.site.origin,
        api_url=browser.door.api_url,
        cli=("latchgate --version", "latchgate whoami"),
    )


async def choose_language(browser: Browser) -> Reply:
    """Have the browser keep a language, and go on in it."""
    wanted = browser.form.get("language", "")
    if wanted not in browser.frame.languages.known:
        raise FormError(422, "There is no such language here.")
    browser.keep(COOKIE, wanted)
    return browser.redirect(local(browser.form.get("next")))


async def show_providers(browser: Browser) -> Reply:
    """Show who people sign in through, and how one is added."""
    callback = f"{browser.frame.site.origin}{CALLBACK}"
    return browser.page(
        "settings_providers.html",
        providers=[(one, f"{callback}{one.name}") for one in browser.door.providers.providers],
        callback=callback,
        operator=browser.may("operator:policy.read"),
        cli=(
            "latchgate user link USER --issuer ISSUER --subject SUBJECT",
            "latchgate policy check",
        ),
    )


PAGES = (
    Page("/settings", show=show),
    Page("/settings/providers", show=show_providers, scopes=PROVIDERS),
    Page(
        "/language",
        take=choose_language,
        fields=frozenset({"language", "next"}),
        signed_in=False,
    ),
)
