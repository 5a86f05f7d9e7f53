"""Ask UpCloud whose token this is, with latchgate.client."""

from __future__ import annotations

import json
import sys
from urllib.error import HTTPError

from latchgate.client import ClientError, UpCloud
from latchgate.client.adapters.urllib import Opener, check


def main() -> None:
    """Make one call."""
    cloud = UpCloud()  # from UPCLOUD_TOKEN, or the next source that has one
    try:
        with Opener(cloud).open(f"{cloud.url}/1.3/account") as answer:
            print(json.load(answer)["account"]["username"])
    except HTTPError as error:
        check(cloud, error)
        raise


if __name__ == "__main__":
    try:
        main()
    except (ClientError, OSError) as error:
        sys.exit(str(error))
