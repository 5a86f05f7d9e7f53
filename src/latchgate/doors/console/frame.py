"""What every page of the console is made in: templates, style, scripts, and their headers.

Rule of this file: no script and no style stands in a page, so the policy allows none there; what a
page loads is ours, from here. Each answer says that it is kept by nobody.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources

import jinja2
from markupsafe import Markup
from starlette.types import Receive, Scope, Send

from latchgate.core.timestamp import rfc3339
from latchgate.doors.console.languages import Language, Languages
from latchgate.doors.console.menu import Menu
from latchgate.doors.console.site import Site
from latchgate.doors.door import Door
from latchgate.signin.quota import Quota
from latchgate.signin.throttle import Throttle

ASSETS = "/assets/"
CHALLENGES = 30  # that one address may ask for to sign in with a passkey, of each worker
CHALLENGE_SECONDS = 60.0
_KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# As for the page, but kept: its name changes with what is in it.
_ASSET_CACHE = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a page is answered with."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]

    async def send(self, scope: Scope, send: Send) -> None:
        """Send it; without its body where that was asked."""
        pairs = [(name.lower().encode(), value.encode()) for name, value in self.headers]
        pairs.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": pairs})
        sent = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": sent})


@dataclass(frozen=True, slots=True)
class _Asset:
    """What pages load: as it is, and packed where that is shorter; its path with its version."""

    body: bytes
    packed: bytes | None
    address: str

    @classmethod
    def of(cls, name: str, body: bytes) -> _Asset:
        named = base64.urlsafe_b64encode(hashlib.sha256(body).digest())[:12].decode()
        packed = gzip.compress(body, mtime=0)
        return cls(body, packed if len(packed) < len(body) else None, f"{ASSETS}{name}?v={named}")


@dataclass(frozen=True, slots=True)
class Frame:
    """Built by the composition root, once for all pages.

    `guesses` counts wrong second factors, `asked` the challenges that anybody may ask for: each is
    a row of the store.
    """

    door: Door
    site: Site
    menu: Menu
    languages: Languages
    guesses: Throttle = field(default_factory=Throttle)
    asked: Quota = field(default_factory=lambda: Quota(CHALLENGES, CHALLENGE_SECONDS))
    _assets: dict[str, _Asset] = field(init=False, repr=False)
    _templates: dict[str, jinja2.Environment] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = resources.files("latchgate.doors.console").joinpath("assets").iterdir()
        assets = {file.name: _Asset.of(file.name, file.read_bytes()) for file in found}
        made = {
            tag: _environment(language, self.languages, assets)
            for tag, language in self.languages.known.items()
        }
        object.__setattr__(self, "_templates", made)
        object.__setattr__(self, "_assets", assets)

    def render(self, template: str, language: Language, values: Mapping[str, object]) -> bytes:
        """Return a page in a language."""
        environment = self._templates[language.tag]
        return environment.get_template(template).render(**values).encode()

    def assets(self) -> Iterable[str]:
        """Return the paths of what pages load."""
        return (ASSETS + name for name in self._assets)

    async def asset(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with what a page loads."""
        asset = self._assets[scope["path"].removeprefix(ASSETS)]
        if scope["method"] not in {"GET", "HEAD"}:
            refused = (("Allow", "GET, HEAD"), ("Cache-Control", "no-store"))
            await Reply(405, b"", refused).send(scope, send)
            return
        headers = (
            ("Content-Type", _KINDS[scope["path"].rpartition(".")[2]]),
            ("Cache-Control", _ASSET_CACHE),
            ("Vary", "Accept-Encoding"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        )
        # Pages are never packed: they hold secrets beside what others may choose (BREACH).
        accepted = (text for name, text in scope["headers"] if name == b"accept-encoding")
        if asset.packed is not None and any(_takes_gzip(text) for text in accepted):
            packed = (*headers, ("Content-Encoding", "gzip"))
            await Reply(200, asset.packed, packed).send(scope, send)
            return
        await Reply(200, asset.body, headers).send(scope, send)


def _environment(
    language: Language, languages: Languages, assets: Mapping[str, _Asset]
) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("latchgate.doors.console", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(language.texts, newstyle=True)  # type: ignore[attr-defined] # of the extension
    made.globals["asset"] = lambda name: assets[name].address
    made.globals["language"] = language
    made.globals["languages"] = tuple(languages.known.values())
    made.filters["moment"] = _moment
    made.filters["day"] = _day
    made.filters["agent"] = _agent
    made.filters["number"] = _number
    return made


def _takes_gzip(header: bytes) -> bool:
    parts = (part.strip().replace(b" ", b"") for part in header.split(b","))
    return any(part.partition(b";")[0] == b"gzip" and b"q=0" not in part for part in parts)


def headers(form_targets: Iterable[str] = ()) -> dict[str, str]:
    """Return the headers of a page; `form_targets` are origins that its forms may lead to too."""
    targets = " ".join(("'self'", *form_targets))
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
            f" connect-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Not no-referrer: with that a browser would call its own forms' origin "null".
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": (
            "publickey-credentials-get=(self), publickey-credentials-create=(self)"
        ),
    }


def _moment(at: float) -> Markup:
    """Return a time for people, as the element that programs can read too."""
    text = rfc3339(at)
    shown = text.partition(".")[0].removesuffix("Z").replace("T", " ")[:16]
    return Markup('<time datetime="{}">{} UTC</time>').format(text, shown)


def _day(at: float) -> Markup:
    """Return the day of a time, where lists have no room for more; the time stands in its title."""
    text = rfc3339(at)
    shown = text.partition("T")[0]
    whole = f"{shown} {text.partition('T')[2][:5]} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, whole, shown)


def _number(count: int) -> str:
    """Return a whole number in groups of three, as ISO 80000-1 §7.3.1 sets them apart."""
    return f"{count:,}".replace(",", "\u202f")


# The first that a browser names: each names those too that it is compatible with.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def _agent(text: str) -> str:
    """Return which browser on which system a `User-Agent` names; what it is where it names none."""
    found = [
        next((shown for named, shown in known if named in text), "")
        for known in (_BROWSERS, _SYSTEMS)
    ]
    return " · ".join(one for one in found if one) or text
