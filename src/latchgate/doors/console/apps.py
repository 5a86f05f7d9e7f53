"""Apps connection: Basic with a password of its own, for programs that know nothing else.

Switched on and off, reissued, shown once; one card for each login namespace that has it. Source:
providers/teracloud, "BASIC authentication".
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from latchgate.core.kinds.spec import Issued
from latchgate.core.policy import Area, Policy
from latchgate.core.scope import Scopes
from latchgate.doors.console import ready
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, or_none, read_spec
from latchgate.manage import basic, storage
from latchgate.manage.basic import BasicSpec, StoredBasic
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.oauth.consent import Group, in_words
from latchgate.store.errors import ConflictError
from latchgate.store.usage import LastUse

_PATH = "/apps"
_READ, _WRITE = ("own:basic.read",), ("own:basic.write",)
_WEBDAV = "PROPFIND"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where programs connect; `key` is whether they bring an application's key too."""

    url: str
    webdav: bool
    key: bool


@dataclass(frozen=True, slots=True)
class Card:
    """What somebody has in one login namespace, and what it opens."""

    namespace: str
    title: str
    basic: StoredBasic
    expired: bool
    connections: tuple[Connection, ...]
    opens: tuple[Group, ...]
    use: LastUse | None


async def show(browser: Browser) -> Reply:
    """Show every card."""
    cards = await run_in_threadpool(_cards, browser)
    project_id = browser.caller.credential.project_id
    return browser.page(
        "apps.html",
        cards=cards,
        projects={one.id: one.name for one in browser.standing.projects},
        project_id=project_id,
        cli=tuple(line for one in cards for line in _cli("show", one.namespace)),
    )


async def confirm_on(browser: Browser) -> Reply:
    """Say what is switched on, and ask for a login name where there is none yet."""
    return await _switch_on(browser, {})


async def switch_on(browser: Browser) -> Reply:
    """Switch Basic on, and show the password this once."""
    door, caller = browser.door, browser.caller
    try:
        told = {"namespace": _namespace(browser), "login": or_none(browser.form.get("login"))}
        spec = read_spec(BasicSpec, told)
        found, issued, _ = await run_in_threadpool(
            basic.enable,
            door.store,
            browser.policy,
            caller,
            caller.owner.id,
            spec=spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return await _switch_on(browser, by_field(error))
    except ConflictError as error:
        return await _switch_on(browser, {"login": [str(error)]})
    except ForbiddenError as error:
        return await _switch_on(browser, {"": [str(error)]})
    return await _shown_once(browser, found, issued)


async def confirm_new(browser: Browser) -> Reply:
    """Ask before the password is replaced."""
    card = await run_in_threadpool(_card, browser, _namespace(browser))
    what = (
        N_("The app password of now ends at once: every program that has it is refused."),
        N_("You see the new one once, and give it to your programs again."),
    )
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Reissue the app password of %(name)s?"), name=card.title),
        what=[browser.words(one) for one in what],
        action=browser.path,
        verb=browser.words(N_("Reissue it")),
        back=_PATH,
        cli=_cli("reissue", card.namespace),
    )


async def reissue(browser: Browser) -> Reply:
    """Replace the password, wait until the old one is refused, and show the new one this once."""
    door, caller, namespace = browser.door, browser.caller, _namespace(browser)
    found, issued, n = await run_in_threadpool(
        basic.reissue,
        door.store,
        browser.policy,
        caller,
        caller.owner.id,
        namespace,
        now=door.clock(),
        entropy=door.entropy,
        once=browser.once(namespace),
    )
    if issued is not None:
        await door.acknowledged(n)
    return await _shown_once(browser, found, issued)


async def confirm_off(browser: Browser) -> Reply:
    """Ask before Basic is switched off."""
    card = await run_in_threadpool(_card, browser, _namespace(browser))
    what = [N_("Every program that connects with it is refused from that moment.")]
    if card.basic.login_password:
        what.append(N_("Your login password is not taken as Basic there any more, for good."))
    what.append(N_("Your login name stays yours. Switched on again, you get another password."))
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Switch the apps connection of %(name)s off?"), name=card.title),
        what=[browser.words(one) for one in what],
        action=browser.path,
        verb=browser.words(N_("Switch it off")),
        back=_PATH,
        once="",
        cli=_cli("disable", card.namespace),
    )


async def switch_off(browser: Browser) -> Reply:
    """Switch Basic off, and say who follows."""
    door, caller, policy = browser.door, browser.caller, browser.policy
    found, n = await run_in_threadpool(
        basic.disable, door.store, policy, caller, caller.owner.id, _namespace(browser)
    )
    return browser.page(
        "credential_ended.html",
        heading=browser.words(N_("The apps connection was switched off")),
        name=_title(policy, found.namespace),
        receipt=await door.acknowledged(n),
        back=_PATH,
        back_words=browser.words(N_("Back to apps connection")),
    )


async def _switch_on(browser: Browser, faults: dict[str, list[str]]) -> Reply:
    card = await run_in_threadpool(_card, browser, _namespace(browser))
    return browser.page(
        "apps_on.html",
        status=422 if faults else 200,
        card=card,
        faults=faults,
        typed=browser.form.get("login", ""),
        name=browser.caller.owner.name,
        cli=_cli("enable", card.namespace),
    )


async def _shown_once(browser: Browser, found: StoredBasic, issued: Issued | None) -> Reply:
    card = await run_in_threadpool(_card, browser, found.namespace)
    if issued is None:
        return browser.page("credential_made_before.html", name=card.title, back=_PATH)
    login, first = found.login or "", next(iter(card.connections), None)
    samples = []
    if first is not None:
        samples = ready.of_app_password(login, issued.secret, first.url, webdav=first.webdav)
    url = ((browser.words(N_("Connection URL")), first.url),) if first is not None else ()
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("Your app password")),
        done=browser.words(N_("Basic is on, with this password. One from before works no more.")),
        name=card.title,
        parts=(
            *url,
            (browser.words(N_("Connection ID")), login),
            (browser.words(N_("App password")), issued.secret.reveal()),
        ),
        samples=samples,
        back=_PATH,
    )


def _namespace(browser: Browser) -> str:
    """Return the namespace that a path names; NotFoundError where none is of that name."""
    if browser.id not in basic.namespaces(browser.policy):
        raise NotFoundError(f"no apps connect by {browser.id!r}")
    return browser.id


def _cards(browser: Browser) -> list[Card]:
    return [_card(browser, namespace) for namespace in basic.namespaces(browser.policy)]


def _card(browser: Browser, namespace: str) -> Card:
    door, caller, policy = browser.door, browser.caller, browser.policy
    found = basic.show(door.store, policy, caller, caller.owner.id, namespace)
    areas = basic.areas(policy, namespace)
    opened = Scopes.of(
        scope for one in areas if one.service is not None for scope in policy.scopes_of(one.service)
    )
    held = [scope for scope in opened.listed() if scope in caller.rights]
    uses = door.usage.last_uses([found.credential_id] if found.credential_id else [])
    return Card(
        namespace=namespace,
        title=_title(policy, namespace),
        basic=found,
        expired=found.expires_at is not None and found.expires_at <= door.clock(),
        connections=_connections(browser, areas),
        opens=in_words(policy, tuple(held)),
        use=uses.get(found.credential_id or ""),
    )


def _connections(browser: Browser, areas: tuple[Area, ...]) -> tuple[Connection, ...]:
    """Return where programs connect: the shortest paths alone, on the host of the user's files.

    Whoever stores files tells on which host they are; what nobody tells of is below the address
    of the API, as the operator publishes it.
    """
    told = storage.shown(browser.door.store, browser.caller, browser.caller.owner.id)
    paths = {one.path for one in areas}
    tops = [one for one in areas if not any(_is_below(one.path, other) for other in paths)]
    found: dict[str, Connection] = {}
    for area in tops:
        webdav = area.rule(_WEBDAV) is not None
        hosts = [f"https://{host}" for host in area.hosts]
        if not hosts and webdav and told.node is not None:
            hosts = [f"https://{told.node}"]
        for host in hosts or [browser.door.api_url]:
            url = f"{host}{area.path.rstrip('/')}/"
            found.setdefault(url, Connection(url, webdav, area.application is not None))
    # Where files are comes first: it is what most connect for.
    return tuple(sorted(found.values(), key=lambda one: (not one.webdav, one.key)))


def _is_below(path: str, other: str) -> bool:
    return path != other and path.startswith(f"{other.rstrip('/')}/")


def _title(policy: Policy, namespace: str) -> str:
    """Return what the provider of a namespace calls itself, as its credentials are marked with."""
    areas = basic.areas(policy, namespace)
    return next((one.realm for one in areas), namespace)


def _cli(verb: str, namespace: str) -> tuple[str, ...]:
    return (f"latchgate basic {verb} --namespace {namespace}",)


def _offered(policy: Policy) -> bool:
    return bool(basic.namespaces(policy))


PAGES = (
    Page(_PATH, show=show, scopes=_READ, offered=_offered),
    Page(
        f"{_PATH}/{{id}}/on",
        show=confirm_on,
        take=switch_on,
        fields=frozenset({"login"}),
        scopes=_WRITE,
        offered=_offered,
    ),
    Page(f"{_PATH}/{{id}}/reissue", show=confirm_new, take=reissue, scopes=_WRITE),
    Page(f"{_PATH}/{{id}}/off", show=confirm_off, take=switch_off, scopes=_WRITE),
)
