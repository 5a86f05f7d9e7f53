"""What a decision costs: `python benchmarks/verify.py [--write]`, in about ten minutes.

Beside nginx's `return 204`, Go's net/http, the same server with a constant answer and programs that
tell too whether a credential stands (benchmarks/peers.py), in interleaved rounds of one run. Needs
two quiet cores, Debian's nginx, wrk and Go, `latchgate[server]`, and `make rivals`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))
    from benchmarks.run import main

    main()
