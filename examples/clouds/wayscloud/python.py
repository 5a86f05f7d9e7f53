"""List WAYSCloud's buckets with latchgate.client."""

from __future__ import annotations

import sys
from urllib.error import HTTPError

from latchgate.client import ClientError, WaysCloud
from latchgate.client.adapters.urllib import Opener, check


def main() -> None:
    """Make one call."""
    cloud = WaysCloud()  # from WAYSCLOUD_API_KEY, or the next source that has one
    try:
        with Opener(cloud).open(f"{cloud.url}/v1/storage/") as answer:
            print(answer.read().decode())
    except HTTPError as error:
        check(cloud, error)
        raise


if __name__ == "__main__":
    try:
        main()
    except (ClientError, OSError) as error:
        sys.exit(str(error))
