"""One application per framework, all alike: they tell what reached them, and keep nothing.

Served by real servers in processes of their own; LATCHGATE_CONFIG names the configuration and
TRUSTED the proxies.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Annotated, Any

import django.conf
import flask
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path, re_path
from fastapi import Depends, FastAPI, Request, WebSocket
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from latchgate.integrations import asgi
from latchgate.integrations import fastapi as for_fastapi
from latchgate.integrations import flask as for_flask
from latchgate.integrations.guard import Guard
from latchgate.integrations.identity import Identity, is_identity_header

CONFIG = os.environ["LATCHGATE_CONFIG"]
TRUSTED = [one for one in os.environ.get("TRUSTED", "").split(",") if one]
SET_HEADERS = "SET_HEADERS" in os.environ


def told(identity: Identity, path: str, headers: Any) -> dict[str, Any]:
    """Say what reached an application, headers of ours in whatever spelling among it."""
    ours = {
        name: value for name, value in headers if is_identity_header(name.removeprefix("HTTP_"))
    }
    return {
        "identity": dataclasses.asdict(identity),
        "path": path,
        "headers": ours,
        "process": os.getpid(),
    }


def guard() -> Guard:
    return Guard(config=CONFIG, trusted_proxies=TRUSTED)


# --- ASGI


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        msg = "no use for it"
        raise NotImplementedError(msg)
    identity = scope["state"]["latchgate"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(identity.user)})
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
    body = json.dumps(told(identity, scope["path"], headers)).encode()
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    await send({"type": "http.response.body", "body": body})


asgi_app = asgi.LatchgateMiddleware(_echo, guard=guard(), set_headers=SET_HEADERS)


async def _rewriting(scope: Any, receive: Any, send: Any) -> None:
    """Send every request to another path before it is decided: a fault of the deployment."""
    if scope["type"] != "lifespan":
        scope = {**scope, "path": "/v1/storage/elsewhere"}
    await asgi_app(scope, receive, send)


rewritten_asgi_app = _rewriting

# --- FastAPI, with the dependency alone, and with the middleware

latchgate = for_fastapi.Latchgate(guard())
fastapi_app = FastAPI(
    lifespan=latchgate.lifespan,
    dependencies=[Depends(latchgate)],
    exception_handlers=latchgate.handlers,
    redirect_slashes=False,
)
outer = for_fastapi.Latchgate(guard())
covered_fastapi_app = FastAPI(
    middleware=[outer.middleware], exception_handlers=outer.handlers, redirect_slashes=False
)
covered_fastapi_app.mount("/v1/storage/mounted", _echo)


@fastapi_app.post("/v1/storage/purge")
async def purge(
    identity: Annotated[Identity, latchgate.requires("storage:delete")],
) -> dict[str, Any]:
    return told(identity, "purge", [])


@fastapi_app.post("/v1/storage/zones")
async def zones(identity: Annotated[Identity, latchgate.requires("dns:manage")]) -> dict[str, Any]:
    return told(identity, "zones", [])


@fastapi_app.websocket("/v1/storage/live")
async def live(socket: WebSocket, identity: Annotated[Identity, Depends(latchgate)]) -> None:
    await socket.accept()
    await socket.send_text(str(identity.user))
    await socket.close()


@fastapi_app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "OPTIONS"])
async def anything(
    request: Request, identity: Annotated[Identity, Depends(latchgate)]
) -> dict[str, Any]:
    return told(identity, request.scope["path"], request.headers.items())


@covered_fastapi_app.api_route("/v1/{path:path}", methods=["GET", "HEAD", "POST", "PUT"])
async def covered(
    request: Request, identity: Annotated[Identity, Depends(outer)]
) -> dict[str, Any]:
    return told(identity, request.scope["path"], request.headers.items())


# --- Django

django.conf.settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "latchgate.integrations.django.LatchgateMiddleware",
        "django.middleware.common.CommonMiddleware",
        "latchgate.integrations.django_auth.LatchgateUserMiddleware",
    ],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    AUTHENTICATION_BACKENDS=["latchgate.integrations.django_auth.LatchgateBackend"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("DJANGO_DATABASE", ":memory:"),
        }
    },
    LATCHGATE_CONFIG=CONFIG,
    LATCHGATE_TRUSTED_PROXIES=TRUSTED,
    LATCHGATE_SET_HEADERS=SET_HEADERS,
    LATCHGATE_CREATE_USERS="DJANGO_DATABASE" in os.environ,
)


def _view(request: HttpRequest, **_path: str) -> JsonResponse:
    identity = request.latchgate  # type: ignore[attr-defined]
    found = told(identity, request.path, [*request.META.items(), *request.headers.items()])
    user = getattr(request, "user", None)
    name = user.get_username() if user is not None else None
    saved = getattr(user, "_state", None) is not None
    return JsonResponse(found | {"user": name, "saved": saved})


async def _async_view(request: HttpRequest, **_path: str) -> JsonResponse:
    identity = request.latchgate  # type: ignore[attr-defined]
    user = await request.auser()
    return JsonResponse(told(identity, request.path, []) | {"user": user.get_username()})


urlpatterns = [
    path("v1/storage/async", _async_view),
    re_path(r"^(?P<path>.*)$", _view),
]
django_wsgi_app = get_wsgi_application()
django_asgi_app = get_asgi_application()

# --- Flask

flask_extension = for_flask.Latchgate(guard=guard())


def _flask_app() -> flask.Flask:
    app = flask.Flask(__name__, static_folder=None)
    app.config["LATCHGATE_SET_HEADERS"] = SET_HEADERS
    flask_extension.init_app(app)

    @app.post("/v1/storage/purge")
    @flask_extension.requires("storage:delete")
    def purge_all() -> dict[str, Any]:
        return told(flask.g.latchgate, "purge", [])

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "OPTIONS"])
    @app.route("/<path:path>", methods=["GET", "POST", "PUT", "OPTIONS"])
    def show(path: str) -> dict[str, Any]:
        environ = flask.request.environ
        served = flask.request.root_path + flask.request.path
        return told(flask.g.latchgate, served, [*environ.items(), *flask.request.headers])

    return app


flask_app = _flask_app()
mounted_flask_app = DispatcherMiddleware(
    lambda _environ, start: (start("404 Not Found", []), [b""])[1],
    {"/v1/storage": _flask_app()},
)
