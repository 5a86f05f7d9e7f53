"""How a scenario talks with the test that runs it (tests/clients/oauth/dialogue.py).

Outcomes and questions go out as lines of JSON, answers come in as such.
"""

import json
import sys


def _line():
    return json.loads(sys.stdin.readline())


def _say(told):
    print(json.dumps(told), flush=True)


def ask(what, **more):
    """Ask for what this program can't do itself: a person at a browser, time that goes by."""
    _say({"ask": what, **more})
    return _line()


def outcome(name, attempt):
    """Try something, and say what came of it: its result, or the error that it was refused with."""
    try:
        came = {"came": attempt()}
    except Exception as error:
        if not hasattr(error, "error"):
            raise
        came = {"refused": error.error}
    _say({"name": name, "told": came})
    return came.get("came")


# What the scenario is told before it begins.
told = _line()
