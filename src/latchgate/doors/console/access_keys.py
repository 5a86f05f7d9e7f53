"""One's own access keys: listed, made of roles, shown once, deleted with the account password.

Source: providers/kakaocloud, "Get access key", "Delete Access key".
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.core.basic import MAX_PASSWORD
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.policy import Policy
from latchgate.core.secret import Secret
from latchgate.doors.console import lasting, lists, ready
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, or_none, read_spec
from latchgate.doors.typed import prove
from latchgate.manage import access_keys, step_up
from latchgate.manage.access_keys import AccessKeySpec, StoredAccessKey
from latchgate.manage.errors import ForbiddenError, InvalidError, StepUpError
from latchgate.manage.profile import HeldRole
from latchgate.manage.states import state_of
from latchgate.oauth.consent import in_words
from latchgate.store.errors import ConflictError

_PATH = "/access-keys"
_READ, _WRITE = ("own:access-keys.read",), ("own:access-keys.write",)
_PRESETS = ("7d", "30d", "90d", "365d")
_CLI = "latchgate access-key"
_FIELDS = lasting.FIELDS | {"name", "description", "access_rules", "unrestricted"}


async def show(browser: Browser) -> Reply:
    """List them."""
    door, now = browser.door, browser.door.clock()
    asked = lists.read(browser, access_keys.LISTING)
    found, following = await run_in_threadpool(
        access_keys.listed, door.store, browser.policy, browser.caller, asked.query, now=now
    )
    uses = await run_in_threadpool(door.usage.last_uses, [one.id for one in found])
    return browser.page(
        "access_keys.html",
        asked=asked,
        following=following,
        found=[(one, state_of(one, now), uses.get(one.id)) for one in found],
        projects={one.id: one.name for one in browser.standing.projects},
        of=None,
        removes=browser.may(*_WRITE),
        cli=(f"{_CLI} list",),
    )


async def new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return await _form(browser, {})


async def create(browser: Browser) -> Reply:
    """Make one, and show its secret this once."""
    door, form = browser.door, browser.form
    try:
        spec = read_spec(
            AccessKeySpec,
            lasting.asked(form)
            | {
                "name": form.get("name", "").strip(),
                "description": form.get("description", "").strip(),
                "roles": list(browser.chosen.get("roles", ())) or None,
                "access_rules": _rules(form.get("access_rules", "")),
                "unrestricted": "unrestricted" in form,
            },
        )
        key, secret, _ = await run_in_threadpool(
            access_keys.create,
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
    except ConflictError as error:
        return await _form(browser, {"name": [str(error)]})
    except ForbiddenError as error:
        return await _form(browser, {"": [str(error)]})
    if secret is None:
        return browser.page("credential_made_before.html", name=key.name, back=_PATH)
    return _shown_once(browser, key, secret)


def _shown_once(browser: Browser, key: StoredAccessKey, secret: Secret) -> Reply:
    url = _auth_url(browser)
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("Your new access key")),
        done=browser.words(N_("The access key was made.")),
        name=key.name,
        parts=(
            (browser.words(N_("Access key ID")), key.id),
            (browser.words(N_("Access key name")), key.name),
            (browser.words(N_("Unique user ID")), key.owner_id),
            (browser.words(N_("Secret access key")), secret.reveal()),
        ),
        samples=ready.of_access_key(key.id, secret, url) if url else (),
        back=_PATH,
    )


async def confirm(browser: Browser) -> Reply:
    """Ask before one is deleted, and for the password."""
    return await _confirm(browser, {})


async def delete(browser: Browser) -> Reply:
    """Delete one with its owner's password, and say who follows."""
    door, who, policy = browser.door, browser.caller, browser.policy
    password = browser.form.get("password", "")
    if not 0 < len(password) <= MAX_PASSWORD:
        return await _confirm(browser, {"password": [_wrong(browser)]})
    # Whose it is comes first: a stranger's is no place to try passwords at.
    await run_in_threadpool(access_keys.shown, door.store, policy, who, browser.id)
    try:
        await prove(door, who, password, client=browser.asked.client)
    except StepUpError:
        return await _confirm(browser, {"password": [_wrong(browser)]})
    key, n = await run_in_threadpool(
        access_keys.delete,
        door.store,
        policy,
        who,
        browser.id,
        proven=True,
        now=door.clock(),
    )
    return browser.page(
        "credential_ended.html",
        heading=browser.words(N_("The access key was deleted")),
        name=key.name,
        told=(browser.words(N_("Its tokens ended with it, and its name is free again.")),),
        receipt=await door.acknowledged(n),
        back=_PATH,
        back_words=browser.words(N_("Back to your access keys")),
    )


async def _confirm(browser: Browser, faults: dict[str, list[str]]) -> Reply:
    door, who, policy = browser.door, browser.caller, browser.policy
    key = await run_in_threadpool(access_keys.shown, door.store, policy, who, browser.id)
    held = await run_in_threadpool(step_up.password_of, door.store, policy, who)
    return browser.page(
        "access_keys_delete.html",
        status=422 if faults else 200,
        key=key,
        login=held.login.partition(":")[2] if held is not None else None,
        faults=faults,
        cli=(f"{_CLI} delete {key.id}",),
    )


def _wrong(browser: Browser) -> str:
    return browser.words(N_("This is not your password. Nothing was deleted."))


async def _form(browser: Browser, faults: dict[str, list[str]]) -> Reply:
    kind = _kind(browser.policy)
    project_id = browser.caller.credential.project_id
    roles = await run_in_threadpool(_roles, browser)
    return browser.page(
        "access_keys_new.html",
        status=422 if faults else 200,
        faults=faults,
        form=browser.form,
        chosen=browser.chosen.get("roles", ()),
        roles=[(one, in_words(browser.policy, tuple(one.scopes))) for one in roles],
        project=next((one for one in browser.standing.projects if one.id == project_id), None),
        life=await lasting.offered(browser, kind.name if kind else "", _PRESETS, endless=True),
        cli=(f"{_CLI} create --name NAME --role ROLE --expires-in 90d",),
    )


def _roles(browser: Browser) -> list[HeldRole]:
    try:
        return access_keys.offered_roles(browser.door.store, browser.caller)
    except (InvalidError, ForbiddenError):
        return []  # none in this project: the page says so


def _rules(text: str) -> list[dict[str, str]] | None:
    """Read a rule on each line, as the command line takes it: `METHOD:SERVICE:PATH`."""
    found: list[dict[str, str]] = []
    faults: list[tuple[str, str]] = []
    for line in (one.strip() for one in text.splitlines()):
        method, first, rest = line.partition(":")
        service, second, path = rest.partition(":")
        if first and second:
            rule = {"method": method.strip().upper(), "service": service.strip()}
            found.append(rule | {"path": path.strip()})
        elif line:
            told = f"{line[:64]!r} is no rule; write for example GET:identity:/identity/v3/**"
            faults.append(("access_rules", told))
    if faults:
        raise InvalidError(faults)
    return found or None


def _auth_url(browser: Browser) -> str | None:
    kinds = (one for one in browser.policy.kinds.values() if isinstance(one, ProjectToken))
    urls = (one.reached_at(browser.door.api_url) for one in kinds)
    return or_none(next(urls, None))


def _kind(policy: Policy) -> AccessKey | None:
    return next((one for one in policy.kinds.values() if isinstance(one, AccessKey)), None)


def offered(policy: Policy) -> bool:
    """Whether a policy has access keys."""
    return _kind(policy) is not None


PAGES = (
    Page(
        _PATH,
        show=show,
        query=lists.names(access_keys.LISTING),
        scopes=_READ,
        offered=offered,
    ),
    Page(
        f"{_PATH}/new",
        show=new,
        take=create,
        fields=_FIELDS,
        several=frozenset({"roles"}),
        scopes=_WRITE,
        offered=offered,
    ),
    Page(
        f"{_PATH}/{{id}}/delete",
        show=confirm,
        take=delete,
        fields=frozenset({"login", "password"}),
        scopes=_WRITE,
        offered=offered,
    ),
)
