"""Serve a real Keystone below /identity; run with the Python of .venv-keystone.

    python interop/keystone/serve.py KEYSTONE.CONF PORT THREADS

It opens every database connection from one process, as Keystone's own guide does with uWSGI.
"""

from __future__ import annotations

import sys

from keystone.server.flask.core import initialize_application
from waitress import serve
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

config, port, threads = sys.argv[1:]
del sys.argv[1:]  # Keystone reads what is left of them as options of its own
mounted = DispatcherMiddleware(
    NotFound(), {"/identity": initialize_application("public", config_files=[config])}
)
serve(mounted, host="127.0.0.1", port=int(port), threads=int(threads), ident="")
