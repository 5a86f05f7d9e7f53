"""UpCloud with urllib, which needs no other package."""

import json
from urllib.error import HTTPError

from latchgate.client import UpCloud
from latchgate.client.adapters.urllib import Opener, check

cloud = UpCloud()
try:
    with Opener(cloud).open(f"{cloud.url}/1.3/account") as answer:
        print(json.load(answer)["account"]["username"])
except HTTPError as error:
    check(cloud, error)
