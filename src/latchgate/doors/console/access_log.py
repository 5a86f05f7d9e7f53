"""The access log: who was allowed and refused what, newest first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import places
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field
from latchgate.doors.console.times import minute_text, read_moment
from latchgate.manage import access_log, naming
from latchgate.manage.errors import InvalidError
from latchgate.manage.usage import EVERY_TENANT
from latchgate.store.access_read import Found

SCOPES = ("manage:usage.read", EVERY_TENANT)
LENGTH = 50  # lines of a page
_PERIOD = "24h"
_PERIODS: Mapping[str, tuple[float, str]] = {
    "1h": (3_600.0, N_("One hour")),
    "24h": (86_400.0, N_("One day")),
    "7d": (604_800.0, N_("A week")),
    "30d": (2_592_000.0, N_("30 days")),
}
_OUTCOMES = (
    ("", N_("All")),
    ("allowed", N_("Allowed")),
    ("refused", N_("Refused")),
)
# What narrows it, by the member of a line that it is about.
_ONLY = {
    "credential": "credential_id",
    "outcome": "outcome",
    "reason": "reason",
    "tenant": "tenant_id",
}
_QUERY = frozenset(_ONLY) | {"period", "until", "before"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: as it was told, and from when until when (Unix seconds)."""

    told: Mapping[str, str]
    since: float
    until: float

    @property
    def only(self) -> dict[str, str]:
        """What the lines must say."""
        return {member: self.told[name] for name, member in _ONLY.items() if name in self.told}

    @property
    def first(self) -> str:
        """The address of the first page."""
        return _address(self.told, "before")

    def following(self, reached: str) -> str:
        """Return the address of what was written before a time."""
        return _address({**self.told, "before": reached})


async def show(browser: Browser) -> Reply:
    """List the lines of a while, with the names of whose credentials they were."""
    now = browser.door.clock()
    told = {name: text.strip() for name, text in browser.query.items() if text.strip()}
    try:
        asked = _read(told, now)
    except InvalidError as error:
        fallback = Asked({}, now - _PERIODS[_PERIOD][0], now)
        return await _page(browser, fallback, None, told=told, faults=by_field(error))
    if browser.door.access_log is None:
        return await _page(browser, asked, None, told=told)
    found = await run_in_threadpool(
        access_log.find,
        browser.door.access_log,
        browser.caller,
        since=asked.since,
        until=asked.until,
        limit=LENGTH,
        only=asked.only,
    )
    return await _page(browser, asked, found, told=told)


def _read(told: Mapping[str, str], now: float) -> Asked:
    period = told.get("period", _PERIOD)
    if period not in _PERIODS:
        raise InvalidError([("period", f"must be one of {', '.join(_PERIODS)}")])
    if told.get("outcome", "allowed") not in {value for value, _ in _OUTCOMES}:
        raise InvalidError([("outcome", "must be allowed or refused")])
    # A line that is written while the page is made belongs to it.
    until = read_moment("until", told["until"], end=True) if "until" in told else now + 1
    since = until - _PERIODS[period][0]
    if "before" in told:
        until = min(until, read_moment("before", told["before"]))
    if since >= until:
        raise InvalidError([("before", "must be within the time that is asked for")])
    return Asked(told, since, until)


def _address(told: Mapping[str, str], *without: str) -> str:
    query = urlencode({name: text for name, text in told.items() if name not in without})
    return f"/access-log?{query}" if query else "/access-log"


async def _page(
    browser: Browser,
    asked: Asked,
    found: Found | None,
    *,
    told: Mapping[str, str],
    faults: Mapping[str, list[str]] | None = None,
) -> Reply:
    everywhere = browser.may(EVERY_TENANT)
    lines = found.lines if found is not None else []
    ids = {line.get("credential_id") for line in lines} | {told.get("credential")}
    named = await run_in_threadpool(
        naming.credentials, browser.door.store, browser.caller, ids, everywhere=everywhere
    )
    at = {one.id: places.of_credential(browser, one.id, one.kind) for one in named.values()}
    until = told.get("until", "")
    return browser.page(
        "access_log.html",
        status=422 if faults else 200,
        asked=asked,
        told={
            **told,
            "period": told.get("period", _PERIOD),
            "until": until if faults or not until else minute_text(read_moment("until", until)),
        },
        faults=faults or {},
        kept=browser.door.access_log is not None,
        lines=lines,
        reached=found.reached if found is not None else None,
        named=named,
        at=at,
        periods=[(value, words) for value, (_, words) in _PERIODS.items()],
        outcomes=_OUTCOMES,
        narrowed=bool(set(told) - {"before"}),
        everything=everywhere,
        why=browser.opens("/why"),
        cli=(_command(told),),
    )


def _command(told: Mapping[str, str]) -> str:
    """Return the command that shows the same."""
    words = ["latchgate", "access-log"]
    for flag in ("credential", "tenant", "reason"):
        words += [f"--{flag}", told[flag]] if flag in told else []
    words += ["--refused"] if told.get("outcome") == "refused" else []
    period = told.get("period", _PERIOD)
    return shlex.join([*words, "--since", period if period in _PERIODS else _PERIOD])


PAGES = (Page("/access-log", show=show, query=_QUERY, scopes=SCOPES),)
