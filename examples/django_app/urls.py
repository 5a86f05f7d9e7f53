"""A small object store; objects are kept in memory, so that one worker serves them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_http_methods

objects: dict[str, bytes] = {}


@require_http_methods(["GET", "PUT"])
def store(request: HttpRequest, name: str) -> HttpResponse:
    """Store an object or return it, and say who asked for it."""
    if request.method == "PUT":
        objects[name] = request.body
        return HttpResponse(status=201)
    if name not in objects:
        return HttpResponse("There is no such object.\n", status=404)
    asked_by = {"X-Asked-By": request.user.get_username()}
    return HttpResponse(objects[name], "application/octet-stream", headers=asked_by)


urlpatterns = [path("v1/storage/<path:name>", store)]
