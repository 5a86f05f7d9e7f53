"""Django: a middleware that decides every request, and one that tells `request.user` from it.

Rule of this file: a refusal leaves as the verdict words it, settings are checked when the
middleware is loaded, and no session ever stands for a Latchgate user.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.backends import BaseBackend
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from latchgate.integrations import asgi, wsgi
from latchgate.integrations.guard import CONFIG, Asked, Guard, doubt
from latchgate.integrations.identity import Identity
from latchgate.verifier import ConfigError, Verdict

__all__ = [
    "Guard",
    "Identity",
    "LatchgateBackend",
    "LatchgateMiddleware",
    "LatchgateUser",
    "LatchgateUserMiddleware",
]

Respond = Callable[[HttpRequest], Any]

_BACKEND = "latchgate.integrations.django.LatchgateBackend"
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


def _setting(name: str) -> Any:  # noqa: ANN401 - each setting has its own type
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
        _setting(name)
    try:
        guard = Guard(
            config=_setting("LATCHGATE_CONFIG"),
            trusted_proxies=_setting("LATCHGATE_TRUSTED_PROXIES"),
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


def _changed(*, setting: str, **_more: object) -> None:
    """Start anew when a test overrides a setting."""
    if setting in _SETTINGS:
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
        self._set_headers = _setting("LATCHGATE_SET_HEADERS")
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a refusal, or let the request go on with its identity."""
        if self._async:
            return self._respond_async(request)
        refused = self._settle(request, self._guard.decide(_asked(request)))
        answer: HttpResponseBase = refused if refused is not None else self._respond(request)
        return answer

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        refused = self._settle(request, await self._guard.decide_async(_asked(request)))
        answer: HttpResponseBase = refused if refused is not None else await self._respond(request)
        return answer

    def _settle(self, request: HttpRequest, verdict: Verdict) -> HttpResponse | None:
        if not verdict.allowed:
            return _answer(verdict)
        identity = Identity.of(verdict.identity)
        wsgi.hide(request.META)
        if isinstance(request, ASGIRequest):
            request.scope = {**request.scope, "headers": asgi.hide(request.scope)}
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


def _answer(verdict: Verdict) -> HttpResponse:
    answer = HttpResponse(verdict.body, status=verdict.status)
    del answer["Content-Type"]  # Django's default; the verdict has its own
    for name, value in verdict.headers:
        # Django keeps one value a name: several challenges are one list (RFC 9110 §11.6.1).
        answer[name] = f"{answer[name]}, {value}" if answer.has_header(name) else value
    answer["Content-Length"] = str(len(verdict.body))  # no other middleware will
    return answer


class LatchgateUser:
    """Who a request is allowed for, as `request.user`: kept nowhere, without rights in Django.

    What it may do was decided by Latchgate; `identity` tells the rest.
    """

    is_active = True
    is_staff = False
    is_superuser = False
    is_anonymous = False
    is_authenticated = True

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.id = self.pk = self.username = identity.user

    def get_username(self) -> str:
        """Return the user's id at Latchgate."""
        return self.username or ""

    def __str__(self) -> str:
        return self.get_username()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatchgateUser) and other.identity.user == self.identity.user

    def __hash__(self) -> int:
        return hash(self.identity.user)

    def has_perm(self, perm: str, obj: object = None) -> bool:  # noqa: ARG002 - Django's signature
        """Whether Django's own permissions are held: never."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        """Whether each of Django's own permissions is held: only if none is asked for."""
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:  # noqa: ARG002 - as above
        """Whether any of an application's permissions is held: never."""
        return False


class LatchgateBackend(BaseBackend):
    """`authenticate(request, latchgate=identity)`: the user whom an identity stands for.

    A LatchgateUser, or with `LATCHGATE_CREATE_USERS` the Django user `latchgate:USER-ID`, made
    when first seen; None where nobody was asked for or that user is not active.
    """

    def authenticate(  # type: ignore[override]
        self, request: HttpRequest | None, latchgate: Identity | None = None
    ) -> Any:  # noqa: ANN401 - a project's user model is its own
        """Return the user; `latchgate` comes from `request.latchgate` alone."""
        carried: object = getattr(request, "latchgate", None)
        if latchgate is None or latchgate.user is None or carried is not latchgate:
            return None  # nobody, or an identity that this request was not allowed for
        if not _setting("LATCHGATE_CREATE_USERS"):
            return LatchgateUser(latchgate)
        user = _kept(latchgate.user)
        return user if user.is_active else None

    def get_user(self, user_id: object) -> None:  # noqa: ARG002 - Django's signature
        """Return nobody: a session would go on after the credential was revoked."""
        return


def _kept(user_id: str) -> Any:  # noqa: ANN401 - a project's user model is its own
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - needs the applications loaded

    model = get_user_model()
    # No form of Django's takes a colon in a name: nobody can sign up as somebody of Latchgate.
    name: dict[str, Any] = {str(model.USERNAME_FIELD): f"latchgate:{user_id}"}
    user, made = model._default_manager.get_or_create(**name)  # noqa: SLF001 - Django's public name
    if made:
        user.set_unusable_password()
        user.save()
    return user


class LatchgateUserMiddleware:
    """Tells `request.user` from `request.latchgate`; where nobody was asked for, leaves it.

    Stands after LatchgateMiddleware, and after AuthenticationMiddleware if there is one. Needs
    LatchgateBackend among AUTHENTICATION_BACKENDS.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: Respond) -> None:
        self._respond = get_response
        if _BACKEND not in settings.AUTHENTICATION_BACKENDS:
            msg = f"AUTHENTICATION_BACKENDS lacks {_BACKEND!r}, which LatchgateUserMiddleware asks"
            raise ImproperlyConfigured(msg)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:  # noqa: ANN401 - an answer, or one to await
        """Set the user, which is looked up when first used, and let the request go on."""
        identity = getattr(request, "latchgate", None)
        if identity is None:
            msg = "LatchgateMiddleware has to stand before LatchgateUserMiddleware in MIDDLEWARE"
            raise ImproperlyConfigured(msg)
        if identity:
            user: Any = SimpleLazyObject(lambda: _user(request, identity))
            request.user = user

            async def auser() -> Any:  # noqa: ANN401 - as above
                return await sync_to_async(_user)(request, identity)

            request.auser = auser
        return self._respond(request)


def _user(request: HttpRequest, identity: Identity) -> Any:  # noqa: ANN401 - as above
    """Return the user of this request, asked for once."""
    found = getattr(request, "_latchgate_user", None)
    if found is None:
        found = authenticate(request, latchgate=identity) or _nobody()
        request._latchgate_user = found  # type: ignore[attr-defined]  # noqa: SLF001 - ours
    return found


def _nobody() -> Any:  # noqa: ANN401 - as above
    from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415 - needs its application

    return AnonymousUser()
