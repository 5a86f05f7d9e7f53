"""Django: `request.user`, told from the identity that a request was allowed for.

Rule of this file: no session ever stands for a Latchgate user. Needs `django.contrib.auth`
installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from latchgate.integrations.django import Respond, setting
from latchgate.integrations.identity import Identity

__all__ = ["LatchgateBackend", "LatchgateUser", "LatchgateUserMiddleware"]

_BACKEND = "latchgate.integrations.django_auth.LatchgateBackend"


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
        if not setting("LATCHGATE_CREATE_USERS"):
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
    unusable = {"password": make_password(None)}
    user, _ = model._default_manager.get_or_create(**name, defaults=unusable)  # noqa: SLF001 - Django's public name
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
