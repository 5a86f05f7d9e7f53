"""The client is in the base install and needs nothing of it."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
before = set(sys.modules)
import latchgate.client
for name in latchgate.client.__all__:
    getattr(latchgate.client, name)
import latchgate.client.adapters.urllib
foreign = {
    name.partition(".")[0]
    for name in set(sys.modules) - before
} - set(sys.stdlib_module_names) - {"latchgate"}
ours = {
    name for name in sys.modules if name.startswith("latchgate.") and ".client" not in name
}
print(sorted(foreign), sorted(ours))
"""


def test_importing_the_client_loads_the_standard_library_and_itself_alone():
    told = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["[]", "[]"]
