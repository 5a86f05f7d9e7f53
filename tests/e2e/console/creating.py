"""Every form of the console that shows a secret, once: where it is, and how it is filled in.

A noun that makes secrets has a line in `CREATING`. Forms are filled in as they stand: what is
hidden is sent back, what must be chosen is chosen, what must be typed is typed.
"""

from __future__ import annotations

import html
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import ModuleType

from latchgate.doors.console import app

SECRET = re.compile(r'<code class="secret"[^>]*>([^<]+)</code>')
CODES = re.compile(r"<li><code>([^<]+)</code>")
_SHOWING = re.compile(r'"(?:shown_once|codes)\.html"')
_CONSOLE = "latchgate.doors.console."
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Creating:
    """A form: the page that it stands on, where it is sent, what is typed that can't be guessed.

    Paths may hold `{id}`. `shown` finds secrets in the answer; of one record, the last is it.
    `bare` is a button that is there for some alone, and sends nothing but the page's token.
    """

    opened: str
    sent: str
    told: Mapping[str, str] = field(default_factory=dict)
    shown: re.Pattern[str] = SECRET
    bare: bool = False


def _at(path: str, **told: str) -> Creating:
    return Creating(path, path, told)


CREATING = (
    Creating("/security", "/security/codes", shown=CODES, bare=True),
    _at("/keys/new", services="storage", scopes="storage:read"),
    _at("/keys/{id}/rotate"),
    _at("/tokens/new"),
    _at("/access-keys/new"),
    _at("/apps/{id}/on", login="somebodys-cloud"),
    _at("/people/{id}/password"),
    _at(
        "/clients/new",
        of="new",
        name="Slides",
        vendor="Lens & Co",
        contact="keys@vendor.example",
        purpose="Shows pictures one after another.",
        redirect_uris="https://app.example/callback",
    ),
    _at("/clients/{id}/secret"),
    _at("/tenants/new"),
    _at("/alerts/webhooks/new"),
    _at("/alerts/webhooks/{id}/secret"),
)


@dataclass
class Field:
    """One field of a form: its kind as HTML names it, and what may be chosen."""

    name: str
    kind: str
    value: str
    required: bool
    on: bool = False
    choices: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    """The forms of a page that are sent by POST, by where they are sent."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, list[Field]] = {}
        self._fields: list[Field] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of forms and their fields."""
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            posted = told.get("method", "").lower() == "post"
            self._fields = self.found.setdefault(told.get("action", ""), []) if posted else None
        if self._fields is None:
            return
        if tag in {"input", "textarea", "select"} and "name" in told:
            kind = told.get("type", "text") if tag == "input" else tag
            one = Field(told["name"], kind, told.get("value", ""), "required" in told)
            one.on = "checked" in told
            self._fields.append(one)
        elif tag == "option" and self._fields:
            chosen = self._fields[-1]
            chosen.choices.append(told.get("value", ""))
            chosen.value = told.get("value", "") if "selected" in told else chosen.value

    def handle_endtag(self, tag: str) -> None:
        """Leave a form."""
        if tag == "form":
            self._fields = None


_TYPED = (
    ("url", "https://hooks.example/latchgate"),
    ("uri", "https://app.example/callback"),
    ("mail", "somebody@nordlicht.example"),
    ("login", "somebody-%d"),
    ("username", "somebody-%d"),
)


def filled(fields: list[Field], told: Mapping[str, str], password: str) -> list[tuple[str, str]]:
    """Return the fields of a form as somebody fills it in who does no more than they must."""
    pairs: list[tuple[str, str]] = []
    ticked: set[str] = set()
    for one in fields:
        if one.name in told:
            continue
        if one.kind in {"checkbox", "radio"}:
            # Of boxes with one name the first: services, scopes and roles want one at least.
            alone = sum(other.name == one.name for other in fields) == 1
            if one.on or not (alone or one.name in ticked):
                ticked.add(one.name)
                pairs.append((one.name, one.value))
        elif one.kind == "select":
            pairs.append((one.name, one.value or next(filter(None, one.choices), "")))
        elif one.kind == "password":
            pairs.append((one.name, password))
        else:
            pairs.append((one.name, one.value or _typed(one)))
    return pairs + list(told.items())


def _typed(one: Field) -> str:
    if not one.required:
        return ""
    guess = next((text for part, text in _TYPED if part in one.name), "made by a test %d")
    return guess % next(_numbers) if "%d" in guess else guess


def secrets(creating: Creating, page: str) -> list[str]:
    """Return what of a page is secret: each code, or the last part of what was made."""
    found = [html.unescape(text).strip() for text in creating.shown.findall(page)]
    return found if creating.shown is CODES else found[-1:]


def makers() -> Iterator[ModuleType]:
    """Return the nouns whose pages show secrets, by themselves or by what they use."""
    for noun in app._NOUNS:
        used = {
            value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
            for value in vars(noun).values()
        }
        own = {noun.__name__, *(name for name in used if str(name).startswith(_CONSOLE))}
        nouns = {one.__name__ for one in app._NOUNS} - {noun.__name__}
        sources = (inspect.getsource(inspect.importlib.import_module(name)) for name in own - nouns)  # type: ignore[attr-defined]
        if any(_SHOWING.search(source) for source in sources):
            yield noun
