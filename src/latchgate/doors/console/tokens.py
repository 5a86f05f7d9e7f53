"""One's own API tokens: listed, made, shown once, deleted. Source: providers/upcloud."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.policy import Policy
from latchgate.doors.console import lasting, lists, ready
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, lines, read_spec
from latchgate.manage import tokens
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.states import state_of
from latchgate.manage.tokens import TokenSpec
from latchgate.oauth.consent import in_words

_PATH = "/tokens"
_READ, _WRITE = ("own:tokens.read",), ("own:tokens.write",)
_PRESETS = ("1h", "24h", "7d", "30d", "90d", "365d")
_CLI = "latchgate account token"
_FIELDS = lasting.FIELDS | {"name", "allowed_ip_ranges", "here", "can_create_tokens", "reach"}


async def show(browser: Browser) -> Reply:
    """List them."""
    door, now = browser.door, browser.door.clock()
    asked = lists.read(browser, tokens.LISTING)
    found, following = await run_in_threadpool(
        tokens.listed, door.store, browser.policy, browser.caller, asked.query, now=now
    )
    uses = await run_in_threadpool(door.usage.last_uses, [one.id for one in found])
    return browser.page(
        "tokens.html",
        asked=asked,
        following=following,
        found=[(one, state_of(one, now), uses.get(one.id)) for one in found],
        cli=(f"{_CLI} list",),
    )


async def new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return await _form(browser, {})


async def create(browser: Browser) -> Reply:
    """Make one, and show it this once."""
    door, form = browser.door, browser.form
    ranges = lines(form.get("allowed_ip_ranges")) or []
    if "here" in form and browser.address is not None:
        ranges = [*ranges, browser.address]
    chosen = list(browser.chosen.get("scopes", ()))
    try:
        spec = read_spec(
            TokenSpec,
            lasting.asked(form)
            | {
                "name": form.get("name", "").strip(),
                "can_create_tokens": "can_create_tokens" in form,
                "allowed_ip_ranges": list(dict.fromkeys(ranges)) or None,
                "scopes": chosen if form.get("reach") == "some" else None,
            },
        )
        token, issued, _ = await run_in_threadpool(
            tokens.create,
            door.store,
            browser.policy,
            browser.caller,
            spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return await _form(browser, by_field(error))
    except ForbiddenError as error:
        return await _form(browser, {"": [str(error)]})
    if issued is None:
        return browser.page("credential_made_before.html", name=token.name, back=_PATH)
    kind = _kind(browser.policy)
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("Your new API token")),
        done=browser.words(N_("The token was made.")),
        name=token.name,
        parts=((browser.words(N_("API token")), issued.secret.reveal()),),
        samples=ready.of_token(browser.policy, kind, issued.secret, door.api_url) if kind else (),
        back=_PATH,
    )


async def confirm(browser: Browser) -> Reply:
    """Ask before one is deleted."""
    token = await run_in_threadpool(
        tokens.shown, browser.door.store, browser.policy, browser.caller, browser.id
    )
    what = [N_("Whatever uses it is refused from that moment, for good. It can't be undone.")]
    if token.can_create_tokens:
        what.append(N_("The tokens that were made with it end with it."))
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Delete the API token %(name)s?"), name=token.name),
        what=[browser.words(one) for one in what],
        action=browser.path,
        verb=browser.words(N_("Delete it")),
        back=_PATH,
        once="",
        cli=(f"{_CLI} delete {token.id}",),
    )


async def delete(browser: Browser) -> Reply:
    """Delete one, and say who follows."""
    door = browser.door
    token, n = await run_in_threadpool(
        tokens.delete, door.store, browser.policy, browser.caller, browser.id
    )
    return browser.page(
        "credential_ended.html",
        heading=browser.words(N_("The API token was deleted")),
        name=token.name,
        receipt=await door.acknowledged(n),
        back=_PATH,
        back_words=browser.words(N_("Back to your API tokens")),
    )


async def _form(browser: Browser, faults: Mapping[str, list[str]]) -> Reply:
    policy = browser.policy
    kind = _kind(policy)
    usable = _usable(policy, kind)
    held = tuple(scope for scope in usable if scope in browser.caller.rights)
    return browser.page(
        "tokens_new.html",
        status=422 if faults else 200,
        faults=faults,
        form=browser.form,
        chosen=browser.chosen.get("scopes", ()),
        groups=in_words(policy, held),
        life=await lasting.offered(browser, kind.name if kind else "", _PRESETS),
        address=browser.address,
        cli=(f"{_CLI} create --name NAME --expires-in 30d --allow-ip-range RANGE",),
    )


def _usable(policy: Policy, kind: ApiToken | None) -> list[str]:
    """Return every scope that a token can be used for."""
    services = dict.fromkeys(area.service for area in policy.areas if kind in area.kinds)
    return [scope for name in services if name for scope in policy.services[name].scopes]


def _kind(policy: Policy) -> ApiToken | None:
    return next((one for one in policy.kinds.values() if isinstance(one, ApiToken)), None)


def _offered(policy: Policy) -> bool:
    return _kind(policy) is not None


PAGES = (
    Page(_PATH, show=show, query=lists.names(tokens.LISTING), scopes=_READ, offered=_offered),
    Page(
        f"{_PATH}/new",
        show=new,
        take=create,
        fields=_FIELDS,
        several=frozenset({"scopes"}),
        scopes=_WRITE,
        offered=_offered,
    ),
    Page(f"{_PATH}/{{id}}/delete", show=confirm, take=delete, scopes=_WRITE, offered=_offered),
)
