"""What a decision costs: `python benchmarks/verify.py [--write]`, in about four minutes.

Beside nginx's `return 204` and the same server with a constant answer, in interleaved rounds of
one run. Needs two cores, Debian's nginx and wrk, and `latchgate[server]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))
    from benchmarks.run import main

    main()
