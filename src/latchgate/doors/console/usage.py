"""Usage: how often what was asked for, over time and by what people choose; what a month costs.

Rule of this file: what is counted, and whose, is `manage.usage`'s to say. A page shows the rows
with the most requests; all of them are in the file that it offers.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from latchgate.core.price import amount_text, parse_millionths
from latchgate.core.timestamp import rfc3339
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.chart import Chart
from latchgate.doors.console.counted import charted
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field
from latchgate.doors.reports import as_csv, read_bill, read_only, read_usage
from latchgate.manage import usage
from latchgate.manage.errors import InvalidError
from latchgate.manage.usage import Asked, BillBy, Table
from latchgate.store.usage import Column

READ = "manage:usage.read"
LENGTH = 100  # rows of the table on the page
MAX_BARS = 1_000  # rows of the table below a chart
_CSV = "text/csv; charset=utf-8"
_LAST = {
    "24h": N_("Last 24 hours"),
    "7d": N_("Last 7 days"),
    "30d": N_("Last 30 days"),
    "90d": N_("Last 90 days"),
    "365d": N_("Last 365 days"),
}
_PERIODS = {"": N_("As it fits"), "minute": N_("Minute"), "hour": N_("Hour"), "day": N_("Day")}
_BY = {
    "outcome": N_("Allowed or refused"),
    "reason": N_("Reason"),
    "scope": N_("Scope"),
    "area": N_("Path"),
    "credential": N_("Credential"),
    "project": N_("Project"),
    "application": N_("Application"),
    "tenant": N_("Organisation"),
}
_BILLED = {
    "credential": N_("Credential"),
    "project": N_("Project"),
    "tenant": N_("Organisation"),
}
COLUMNS = {
    "tenant_id": N_("Organisation"),
    "project_id": N_("Project"),
    "credential_id": N_("Credential"),
    "application_id": N_("Application"),
    "area": N_("Path"),
    "scope": N_("Scope"),
    "reason": N_("Reason"),
    "outcome": N_("Outcome"),
    "currency": N_("Currency"),
    "amount": N_("Amount"),
    "count": N_("Requests"),
}
# What a column of a table can be narrowed by: the field that does it.
_NARROWS = {
    "tenant_id": "tenant_id",
    "project_id": "project",
    "credential_id": "credential",
    "application_id": "application",
    "area": "area",
    "scope": "scope",
    "reason": "reason",
}
_DRAWN = ("outcome", "reason", "scope", "area")  # of which there are few, whoever asks
_FILTERS = (*(one for one in usage.FILTERS if one != "tenant"), "tenant_id")
_FORM = frozenset({"by", "and_by", "last", "from", "until", "period", *_FILTERS})
_BILL_FORM = frozenset({"month", "by", "credential", "project", "tenant_id"})
_HOURLY_DAYS = 3 * 86_400.0  # up to which a chart is of hours unless told
_ROUND = len("2026-11-22")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, the name of what it is the id of, and the field that narrows to it."""

    column: str
    text: str
    name: str = ""
    narrows: str = ""


async def show(browser: Browser) -> Reply:
    """Show how often what was asked for."""
    told = _told(browser.query)
    try:
        asked = read_usage(told, browser.door.clock())
        chart, table, rows = await run_in_threadpool(_counted, browser, asked)
    except InvalidError as error:
        return _page(browser, told, error=error)
    return _page(browser, told, asked=asked, chart=chart, table=table, rows=rows)


async def download(browser: Browser) -> Reply:
    """Answer the whole table as a file."""
    asked = read_usage(_told(browser.query), browser.door.clock())
    table = await run_in_threadpool(usage.report, browser.door.usage, browser.caller, asked)
    return browser.file("usage.csv", _CSV, as_csv(table).encode())


async def show_bill(browser: Browser) -> Reply:
    """Show what a month cost."""
    query = _filled(browser.query)
    month, by, fault = rfc3339(browser.door.clock())[:7], BillBy.CREDENTIAL, None
    table, rows = Table((), []), list[list[Cell]]()
    try:
        month, by = read_bill(query, browser.door.clock())
        table, rows = await run_in_threadpool(_billed, browser, month, by, query)
    except InvalidError as error:
        fault = error
    words = ["latchgate", "usage", "bill", "--month", month, "--by", str(by)]
    return browser.page(
        "bill.html",
        status=422 if fault else 200,
        told=query | {"month": query.get("month", month), "by": query.get("by", str(by))},
        faults=by_field(fault) if fault else {},
        table=table,
        rows=rows,
        columns=COLUMNS,
        sums=_sums(table),
        priced=_priced(browser),
        choices=[one for one in browser.choices(_BILLED) if _offered(browser, one[0])],
        download=f"/usage/bill/csv?{urlencode(query)}",
        cli=(shlex.join(words),),
    )


async def download_bill(browser: Browser) -> Reply:
    """Answer the whole bill as a file."""
    query = _filled(browser.query)
    month, by = read_bill(query, browser.door.clock())
    table = await run_in_threadpool(
        usage.bill, browser.door.usage, browser.caller, month, by, read_only(query)
    )
    return browser.file(f"bill-{month}.csv", _CSV, as_csv(table).encode())


def _page(
    browser: Browser,
    told: Mapping[str, str],
    *,
    asked: Asked | None = None,
    chart: Chart | None = None,
    table: Table | None = None,
    rows: list[list[Cell]] | None = None,
    error: InvalidError | None = None,
) -> Reply:
    query = _filled(browser.query)
    return browser.page(
        "usage.html",
        status=422 if error else 200,
        query=query,
        faults=_faults(error) if error else {},
        known=_FORM,
        chart=chart,
        table=table,
        rows=rows or [],
        columns=COLUMNS,
        period=asked.period.name.lower() if asked else "",
        by=[one for one in browser.choices(_BY) if _offered(browser, one[0])],
        last=browser.choices(_LAST),
        periods=browser.choices(_PERIODS),
        filters=[(one, COLUMNS[_column(one)]) for one in _FILTERS if _offered(browser, one)],
        filtered=bool(set(query) & set(_FILTERS)),
        download=f"/usage/csv?{urlencode(query)}",
        cli=(_command(told),),
    )


def _offered(browser: Browser, word: str) -> bool:
    """Whether a word is for who asks: organisations are told apart by the operator alone."""
    return word not in {"tenant", "tenant_id"} or browser.may(usage.EVERY_TENANT)


def _column(filtered: str) -> str:
    return next(column for column, field in _NARROWS.items() if field == filtered)


def _filled(query: Mapping[str, str]) -> dict[str, str]:
    return {name: text.strip() for name, text in query.items() if text.strip()}


def _told(query: Mapping[str, str]) -> dict[str, str]:
    """Return what the form asks, as the management API is asked."""
    given = _filled(query)
    words = [given.get("by", "reason"), given.get("and_by", "")]
    told = {name: given[name] for name in (*_FILTERS, "period") if name in given}
    told["by"] = ",".join(word for word in words if word)
    told["since"] = _day(given["from"]) if "from" in given else given.get("last", "7d")
    if "until" in given:
        told["until"] = _day(given["until"])
    if "period" not in told:
        told["period"] = "hour" if told["since"] == "24h" else "day"
    return told


def _day(text: str) -> str:
    """Return a day as the time that it begins at; any other text as it is."""
    return f"{text}T00:00:00Z" if len(text) == _ROUND else text


def _faults(error: InvalidError) -> dict[str, list[str]]:
    """Return what is wrong by the form's own names."""
    found = by_field(error)
    return {"from" if name == "since" else name: told for name, told in found.items()}


def _command(told: Mapping[str, str]) -> str:
    options = {"tenant_id": "tenant"}
    words = ["latchgate", "usage", "show"]
    for name, text in told.items():
        words += [f"--{options.get(name, name)}", text]
    return shlex.join(words)


def _counted(browser: Browser, asked: Asked) -> tuple[Chart, Table, list[list[Cell]]]:
    """Count what was asked for: over time, and in all."""
    door, caller = browser.door, browser.caller
    starts = _starts(asked)
    word = asked.by[0] if asked.by[0] in _DRAWN else "outcome"
    over_time = Asked(
        (asked.period.name.lower(), word), asked.period, asked.since, asked.until, asked.only
    )
    found = usage.report(door.usage, caller, over_time)
    chart = charted(browser, found, starts, asked.period)
    table = usage.report(door.usage, caller, asked)
    most = sorted(table.rows, key=lambda row: -row["count"])[:LENGTH]
    return chart, table, _named(browser, table, most)


def _starts(asked: Asked) -> list[int]:
    """Return when each period begins; InvalidError where there are more than a page can show."""
    first, length = asked.period.start(asked.since), int(asked.period.value)
    starts = range(first, int(asked.until) + (asked.until % 1 > 0), length)
    if len(starts) > MAX_BARS:
        told = f"there are {len(starts)} of them: choose longer ones, or a shorter time"
        raise InvalidError([("period", told)])
    return list(starts)


def _named(browser: Browser, table: Table, rows: list[dict[str, Any]]) -> list[list[Cell]]:
    """Return rows as cells, with the names of the records in them."""
    names: dict[str, dict[str, str]] = {}
    for column in table.columns:
        if column in {str(one) for one in Column}:
            ids = {row[column] for row in rows}
            names[column] = usage.names(browser.door.store, browser.caller, Column(column), ids)
    return [
        [
            Cell(
                column,
                f"{row[column]}",
                names.get(column, {}).get(row[column], ""),
                _NARROWS.get(column, "") if row[column] else "",
            )
            for column in table.columns
        ]
        for row in rows
    ]


def _billed(
    browser: Browser, month: str, by: BillBy, query: Mapping[str, str]
) -> tuple[Table, list[list[Cell]]]:
    door, caller = browser.door, browser.caller
    table = usage.bill(door.usage, caller, month, by, read_only(query))
    most = sorted(table.rows, key=lambda row: -parse_millionths(row["amount"]))[:LENGTH]
    # Whose it is says nothing to who sees one organisation alone.
    every = browser.may(usage.EVERY_TENANT)
    shown = Table(tuple(one for one in table.columns if every or one != "tenant_id"), table.rows)
    return table, _named(browser, shown, most)


def _sums(table: Table) -> list[tuple[str, int, str]]:
    """Return for each currency how many requests and how much in all."""
    counts: Counter[str] = Counter()
    amounts: Counter[str] = Counter()
    for row in table.rows:
        counts[row["currency"]] += row["count"]
        amounts[row["currency"]] += parse_millionths(row["amount"])
    return [(one, counts[one], amount_text(amounts[one])) for one in sorted(counts)]


def _priced(browser: Browser) -> bool:
    """Whether anything has a price."""
    return any(one.prices for one in browser.policy.services.values())


PAGES = (
    Page("/usage", show=show, query=_FORM, scopes=(READ,)),
    Page("/usage/csv", show=download, query=_FORM, scopes=(READ,)),
    Page("/usage/bill", show=show_bill, query=_BILL_FORM, scopes=(READ,)),
    Page("/usage/bill/csv", show=download_bill, query=_BILL_FORM, scopes=(READ,)),
)
