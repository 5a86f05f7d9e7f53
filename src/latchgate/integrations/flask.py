"""Flask: an extension that decides every request before the application sees it.

Rule of this file: it goes before every other `before_request`, and what it finds out ends with
the request.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, Response, abort, after_this_request, current_app, g, request

from latchgate.integrations import wsgi
from latchgate.integrations.guard import CONFIG, Asked, Guard
from latchgate.integrations.identity import Identity
from latchgate.verifier import Verdict

__all__ = ["Guard", "Identity", "Latchgate"]

_NAME = "latchgate"
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Latchgate:
    """`Latchgate(app)`, or `Latchgate()` and `init_app(app)`; the identity is `g.latchgate`.

    A guard given here serves every application; else each opens one from its own configuration:
    `LATCHGATE_CONFIG` (path), `LATCHGATE_TRUSTED_PROXIES` (list). `LATCHGATE_SET_HEADERS` (bool)
    adds the identity to the request's headers too.
    """

    def __init__(self, app: Flask | None = None, *, guard: Guard | None = None) -> None:
        self._guard = guard
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Decide every request of an application, and open the verifier now.

        ValueError for a wrong setting, ConfigError or StoreError when it can't be opened.
        """
        if _NAME in app.extensions:
            msg = "Latchgate already decides for this application: call init_app once"
            raise ValueError(msg)
        guard = self._guard or Guard(
            config=app.config.get("LATCHGATE_CONFIG", CONFIG),
            trusted_proxies=app.config.get("LATCHGATE_TRUSTED_PROXIES", ()),
        )
        guard.open()
        app.extensions[_NAME] = guard
        app.before_request_funcs.setdefault(None, []).insert(0, _decide)
        app.teardown_request(_forget)

    def requires(self, scope: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
        """Return a decorator: a view needs this scope besides what the policy asks for.

        For what the policy can't see, such as a view that deletes by POST. It is a decision of
        its own: refused in the same words, explained, and counted under its scope.
        """

        def decorate(view: Callable[_P, _R]) -> Callable[_P, _R]:
            @wraps(view)
            def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
                verdict = _verdict(scope)
                if not verdict.allowed:
                    abort(_answer(verdict))
                return view(*args, **kwargs)

            return checked

        return decorate


def _asked() -> Asked:
    environ = request.environ
    prefix, path = wsgi.text(environ, "SCRIPT_NAME"), wsgi.text(environ, "PATH_INFO")
    return wsgi.read(environ, prefix=prefix, path=path)


def _verdict(scope: str | None = None) -> Verdict:
    guard: Guard = current_app.extensions[_NAME]
    try:
        asked = _asked()
    except (KeyError, ValueError):
        return Verdict.unavailable()  # an environ that PEP 3333 doesn't allow
    return guard.decide(asked, scope=scope)


def _decide() -> Response | None:
    """Refuse a request, or let it go on with its identity; Flask's hook before any view."""
    verdict = _verdict()
    if not verdict.allowed:
        return _answer(verdict)
    g.latchgate = Identity.of(verdict.identity)
    if verdict.headers:
        after_this_request(_telling(verdict))
    wsgi.hide(request.environ, verdict.replaced)
    if current_app.config.get("LATCHGATE_SET_HEADERS", False):
        wsgi.tell(request.environ, g.latchgate)
    return None


def _telling(verdict: Verdict) -> Callable[[Response], Response]:
    """Return what adds an allowed verdict's headers to the view's answer."""

    def tell(answer: Response) -> Response:
        for name, value in verdict.headers:
            answer.headers.add(name, value)
        return answer

    return tell


def _forget(_error: BaseException | None) -> None:
    """Forget the identity: inside an outer application context, `g` outlives a request."""
    g.pop(_NAME, None)


def _answer(verdict: Verdict) -> Response:
    answer = Response(verdict.body, verdict.status)
    answer.headers.clear()  # the default type; the verdict has its own
    for name, value in verdict.headers:
        answer.headers.add(name, value)
    return answer
