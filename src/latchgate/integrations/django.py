"""Django: a middleware that decides every request, and the settings of both.

Rule of this file: a refusal leaves as the verdict words it, and settings are checked when the
middleware is loaded. No application has to be installed; `django_auth` tells `request.user`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from latchgate.integrations import asgi, wsgi
from latchgate.integrations.guard import CONFIG, Asked, Guard, doubt
from latchgate.integrations.identity import Identity
from latchgate.verifier import ConfigError, Verdict

__all__ = ["Guard", "Identity", "LatchgateMiddleware", "setting"]

Respond = Callable[[HttpRequest], Any]

# Name, its type, its default, and what would be right.
_SETTINGS: dict[str, tuple[tuple[type, ...], Any, str]] = {
    "LATCHGATE_CONFIG": ((str, os.PathLike), CONFIG, "the path of a latchgate.toml"),
    "LATCHGATE_TRUSTED_PROXIES": (
        (list, tuple),
        (),
        'a list of addresses and networks, such as ["192.0.2.7", "10.0.0.0/8"], or "unix"',
    ),
    "LATCHGATE_SET_HEADERS": ((bool,), False, "True or False"),
    "LATCHGATE_CREATE_USERS": ((bool,), False, "True or False"),
}
_guards: dict[str, Guard] = {}


def setting(name: str) -> Any:  # noqa: ANN401 - each setting has its own type
    """Return a setting or its default; ImproperlyConfigured says what would be right."""
    types, default, right = _SETTINGS[name]
    value = getattr(settings, name, default)
    if not isinstance(value, types):
        msg = f"{name} is {value!r}; it has to be {right}"
        raise ImproperlyConfigured(msg)
    return value


def _guard() -> Guard:
    """Return the guard of this process, opened; ImproperlyConfigured for a wrong setting."""
    known = _guards.get("guard")
    if known is not None:
        return known
    for name in dir(settings):
        if name.startswith("LATCHGATE_") and name not in _SETTINGS:
            msg = f"there is no setting {name}; there are {', '.join(_SETTINGS)}"
            raise ImproperlyConfigured(msg)
    for name in _SETTINGS:
        setting(name)
    try:
        guard = Guard(
            config=setting("LATCHGATE_CONFIG"),
            trusted_proxies=setting("LATCHGATE_TRUSTED_PROXIES"),
        )
    except ValueError as error:
        msg = f"LATCHGATE_TRUSTED_PROXIES: {error}"
        raise ImproperlyConfigured(msg) from error
    try:
        guard.open()
    except ConfigError as error:
        msg = f"LATCHGATE_CONFIG: {error}"
        raise ImproperlyConfigured(msg) from error
    return _guards.setdefault("guard", guard)


def _changed(**told: object) -> None:
    """Start anew when a test overrides a setting."""
    if told["setting"] in _SETTINGS:
        guard = _guards.pop("guard", None)
        if guard is not None:
            guard.close()


setting_changed.connect(_changed, dispatch_uid="latchgate")


class LatchgateMiddleware:
    """Decides each request; the identity is `request.latchgate`. Has to stand first.

    Under WSGI and ASGI, before sync and async views.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: Respond) -> None:
        self._respond = get_response
        self._guard = _guard()
        self._set_headers = setting("LATCHGATE_SET_HEADERS")
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a refusal, or let the request go on with its identity."""
        if self._async:
            return self._respond_async(request)
        verdict = self._guard.decide(_asked(request))
        refused = self._settle(request, verdict)
        if refused is not None:
            return refused
        return _telling(self._respond(request), verdict)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        verdict = await self._guard.decide_async(_asked(request))
        refused = self._settle(request, verdict)
        if refused is not None:
            return refused
        return _telling(await self._respond(request), verdict)

    def _settle(self, request: HttpRequest, verdict: Verdict) -> HttpResponse | None:
        if not verdict.allowed:
            return _answer(verdict)
        identity = Identity.of(verdict.identity)
        wsgi.hide(request.META, verdict.replaced)
        if isinstance(request, ASGIRequest):
            request.scope = {
                **request.scope,
                "headers": asgi.hide(request.scope, verdict.replaced),
            }
        if self._set_headers:
            wsgi.tell(request.META, identity)
        request.__dict__.pop("headers", None)  # made from META once, and kept
        request.latchgate = identity  # type: ignore[attr-defined]
        return None


def _asked(request: HttpRequest) -> Asked:
    """Read the request as its server told it, not as Django understood it."""
    path, prefix = request.path_info, request.META.get("SCRIPT_NAME", "")
    if not isinstance(request, ASGIRequest):
        return wsgi.read(request.META, prefix=prefix, path=path)
    asked = asgi.read(request.scope)
    raw = request.scope.get("raw_path")
    if raw is None or asked.doubt is not None:
        return asked
    # A middleware before this one may have sent the request to another path.
    why = doubt(raw.decode("latin-1").partition("?")[0], prefix=prefix, path=path)
    return Asked(asked.method, asked.target, asked.headers, asked.peer, asked.tls, why)


def _telling(answer: HttpResponseBase, verdict: Verdict) -> HttpResponseBase:
    """Add an allowed verdict's headers to the view's answer."""
    for name, value in verdict.headers:
        answer.headers[name] = value
    return answer


def _answer(verdict: Verdict) -> HttpResponse:
    answer = HttpResponse(verdict.body, status=verdict.status)
    del answer["Content-Type"]  # Django's default; the verdict has its own
    for name, value in verdict.headers:
        # Django keeps one value a name: several challenges are one list (RFC 9110 §11.6.1).
        answer[name] = f"{answer[name]}, {value}" if answer.has_header(name) else value
    answer["Content-Length"] = str(len(verdict.body))  # no other middleware will
    return answer
