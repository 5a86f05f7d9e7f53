"""`latchgate serve` with one difference: the verify door answers the same bytes to everyone.

`python -m benchmarks.constant ANSWER_FILE serve --config …`. Listener, parser, loop and the tasks
beside them stay, so the distance to the real server is what decisions and their wording cost.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from latchgate.cli import main
from latchgate.doors.verify import VerifyDoor, VerifyProtocol
from latchgate.serve import assembly

_answer = b""


class ConstantProtocol(VerifyProtocol):
    """Reads a request as the verify door does, and decides nothing."""

    def _answer(self, asked: object) -> bytes:
        """Answer what is answered to everything."""
        del asked
        return _answer


class ConstantDoor(VerifyDoor):
    """Makes connections that answer a constant."""

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        turned_away: Callable[[str], None] | None = None,
    ) -> VerifyProtocol:
        """Make the protocol of one connection, as uvicorn asks for it."""
        return ConstantProtocol(
            self, config, server_state, app_state, _loop, turned_away=turned_away
        )


if __name__ == "__main__":
    _answer = Path(sys.argv.pop(1)).read_bytes()
    vars(assembly)["VerifyDoor"] = ConstantDoor
    main()
