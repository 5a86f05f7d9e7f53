"""A small object store made by an application factory; Latchgate decides its every request.

    gunicorn --pythonpath examples/flask_app 'app:create_app()'

LATCHGATE_CONFIG names the configuration that `latchgate init` wrote; its database must be on
this machine. Objects are kept in memory, so that one worker serves them.
"""

from __future__ import annotations

import os

from flask import Flask, Response, abort, g, request

from latchgate.integrations.flask import Latchgate

latchgate = Latchgate()


def create_app() -> Flask:
    """Make the application; what is wrong with the configuration is told here."""
    app = Flask(__name__, static_folder=None)
    app.config["LATCHGATE_CONFIG"] = os.environ.get("LATCHGATE_CONFIG", ".latchgate/latchgate.toml")
    latchgate.init_app(app)
    objects: dict[str, bytes] = {}

    @app.get("/v1/storage/<path:name>")
    def get(name: str) -> Response:
        if name not in objects:
            abort(404, "There is no such object.")
        return Response(objects[name], headers={"X-Asked-With": g.latchgate.credential})

    @app.put("/v1/storage/<path:name>")
    def put(name: str) -> Response:
        objects[name] = request.get_data()
        return Response(status=201)

    # The policy asks for storage:write to POST anywhere below /v1/storage; this deletes.
    @app.post("/v1/storage/purge")
    @latchgate.requires("storage:delete")
    def purge() -> dict[str, int]:
        gone = len(objects)
        objects.clear()
        return {"deleted": gone}

    return app
