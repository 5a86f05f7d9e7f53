"""A new API key: what it may do, from where, until when; its secret is in one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from latchgate.core.duration import duration_text, parse_duration
from latchgate.core.policy import Policy, Service
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.reading import by_field, lines, or_none, read_spec
from latchgate.doors.console.samples import call_of, samples
from latchgate.manage import keys, lifetimes
from latchgate.manage.errors import InvalidError
from latchgate.manage.key_terms import handed_out
from latchgate.manage.keys import KeySpec

FIELDS = frozenset(
    {
        "name",
        "description",
        "environment",
        "allowed_ip_ranges",
        "here",
        "expires_in",
        "expires_at",
        "external_id",
    }
)
SEVERAL = frozenset({"services", "scopes"})
# What is offered beside a day of one's own and the longest that is allowed.
_LIVES = (("30d", N_("30 days")), ("90d", N_("90 days")), ("365d", N_("1 year")))
_USUAL = "90d"
ON_DAY, LONGEST = "day", "longest"
_NO_SERVICE = "choose at least one service"
_NO_SCOPE = "choose what it may do with each service that it is for"


@dataclass(frozen=True, slots=True)
class Offer:
    """A service that a key may be for: its scopes with their words, of those one holds."""

    id: str
    title: str
    provider: str
    scopes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lives:
    """How long a new key may live: choices for a form, and the bounds that a policy sets.

    `bounds` are pairs of a provider's title and the longest life there.
    """

    choices: tuple[tuple[str, str], ...]
    usual: str
    bounds: tuple[tuple[str, str], ...]


async def show(browser: Browser) -> Reply:
    """Show the form."""
    return await _form(browser, {}, {})


async def create(browser: Browser) -> Reply:
    """Make the key, and show its secret this once."""
    door, policy, now = browser.door, browser.policy, browser.door.clock()
    try:
        spec = _spec(browser)
        key, issued, _ = await run_in_threadpool(
            keys.issue,
            door.store,
            policy,
            browser.caller,
            spec,
            now=now,
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return await _form(browser, browser.form, by_field(error))
    if issued is None:
        return browser.redirect(f"/keys/{key.id}?done=again")
    secret = issued.secret.reveal()
    kind = policy.issued(key.kind)
    call = call_of(policy, kind, key.services, key.scopes, door.api_url)
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("Your new API key")),
        done=browser.words(N_("The key was made.")),
        name=key.name,
        parts=[(browser.words(N_("Key id")), key.id), (browser.words(N_("API key")), secret)],
        samples=samples(secret, call),
        back=f"/keys/{key.id}",
        cli=(f"latchgate key show {key.id}",),
    )


def _spec(browser: Browser) -> KeySpec:
    """Read what was asked; InvalidError."""
    form = browser.form
    services = list(dict.fromkeys(browser.chosen["services"]))
    # Boxes below a service that was not chosen are hidden: what they hold was not seen.
    scopes = [one for one in browser.chosen["scopes"] if one.partition(":")[0] in services]
    faults = []
    if not services:
        faults.append(("services", _NO_SERVICE))
    elif {one.partition(":")[0] for one in scopes} != set(services):
        faults.append(("services", _NO_SCOPE))
    ranges = lines(form.get("allowed_ip_ranges")) or []
    if form.get("here") and browser.address is not None and browser.address not in ranges:
        ranges.append(browser.address)
    life, day = form.get("expires_in", LONGEST), or_none(form.get("expires_at"))
    if life == ON_DAY and day is None:
        faults.append(("expires_at", "choose the day"))
    if faults:
        raise InvalidError(faults)
    return read_spec(
        KeySpec,
        {
            "name": form.get("name", "").strip(),
            "description": form.get("description", "").strip().replace("\r\n", "\n"),
            "services": services,
            "scopes": list(dict.fromkeys(scopes)),
            "environment": or_none(form.get("environment")),
            "external_id": or_none(form.get("external_id")),
            "allowed_ip_ranges": ranges or None,
            "expires_in": life if life not in {ON_DAY, LONGEST} else None,
            # A day is over when it is over, wherever its reader is: at its end, in UTC.
            "expires_at": f"{day}T23:59:59Z" if life == ON_DAY else None,
        },
    )


async def _form(
    browser: Browser, told: Mapping[str, str], faults: Mapping[str, list[str]]
) -> Reply:
    caller, policy = browser.caller, browser.policy
    offers = _offers(policy, browser)
    lives = await run_in_threadpool(_lives, browser, offers)
    return browser.page(
        "keys_new.html",
        status=422 if faults else 200,
        offers=offers,
        several_providers=len({one.provider for one in offers}) > 1,
        lives=lives,
        told=told,
        chosen={name: frozenset(browser.chosen.get(name, ())) for name in SEVERAL},
        faults=faults,
        address=browser.address,
        bounded_to=caller.owner.networks.listed() if caller.owner.networks is not None else None,
        cli=("latchgate key create --name NAME --service SERVICE --scope SCOPE --expires-in 90d",),
    )


def _offers(policy: Policy, browser: Browser) -> tuple[Offer, ...]:
    titles = provider_titles(policy)
    return tuple(
        Offer(
            one.id,
            one.title,
            titles.get(one.provider, one.provider),
            tuple((scope, one.scopes[scope]) for scope in held),
        )
        for one, held in _last(handed_out(policy, browser.caller.rights))
    )


def _last(
    found: list[tuple[Service, tuple[str, ...]]],
) -> list[tuple[Service, tuple[str, ...]]]:
    """Put what manages Latchgate itself after the services that it is there for."""
    return sorted(found, key=lambda one: one[0].provider == "latchgate")


def _lives(browser: Browser, offers: tuple[Offer, ...]) -> Lives:
    """Return for how long a key of what is offered may live."""
    policy, door = browser.policy, browser.door
    titles = provider_titles(policy)
    held = {policy.services[one.id].provider for one in offers}
    found = {
        name: lifetimes.longest(door.store, browser.caller, f"{name}.service_key")
        for name in sorted(held)
    }
    bounds = {name: life for name, life in found.items() if life is not None}
    free = len(bounds) < len(found) or not found
    most = None if free else max(bounds.values())
    choices = [
        (life, browser.words(words))
        for life, words in _LIVES
        if most is None or parse_duration(life) <= most
    ]
    choices.append((ON_DAY, browser.words(N_("On a day that I choose"))))
    last = N_("Never") if not bounds else N_("As long as the expiry policy lets it")
    choices.append((LONGEST, browser.words(last)))
    known = {life for life, _ in choices}
    return Lives(
        tuple(choices),
        _USUAL if _USUAL in known else LONGEST,
        tuple((titles.get(name, name), duration_text(life)) for name, life in bounds.items()),
    )


def titled(policy: Policy) -> list[Service]:
    """Return the services that some key may be for."""
    return [
        one for one in policy.services.values() if f"{one.provider}.service_key" in policy.kinds
    ]


def provider_titles(policy: Policy) -> dict[str, str]:
    """Return what providers are called, by their names in policy files."""
    return {area.provider: area.realm for area in policy.areas}
