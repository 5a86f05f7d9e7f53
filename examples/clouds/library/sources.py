"""Say where a credential comes from, instead of the first place that has one."""

import sys

from latchgate.client import UpCloud
from latchgate.client.sources import Command, DotEnv, Environment

print(UpCloud(sources=(Environment(),)).source)
print(UpCloud(sources=(DotEnv("production.env"),)).source)
# Any vault or password manager; no shell reads the command.
print(UpCloud(sources=(Command([sys.executable, "vault.py", "upcloud"]),)).source)
