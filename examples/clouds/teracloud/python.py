"""Ask TeraCLOUD for the user's node, then for the files there, with latchgate.client."""

from __future__ import annotations

import sys
from urllib.error import HTTPError
from urllib.request import Request

from latchgate.client import ClientError, TeraCloud
from latchgate.client.adapters.urllib import Opener, check


def main() -> None:
    """Make both calls."""
    cloud = TeraCloud()  # from TERACLOUD_USER, TERACLOUD_PASSWORD and TERACLOUD_API_KEY
    opener = Opener(cloud)
    account = opener.run(cloud.account())
    files = Request(account.at("/dav/"), headers={"Depth": "0"}, method="PROPFIND")  # noqa: S310
    try:
        opener.open(files).close()
    except HTTPError as error:
        check(cloud, error)
        raise
    print(f"{account.user} on {account.node}, {account.capacity} GB")


if __name__ == "__main__":
    try:
        main()
    except (ClientError, OSError) as error:
        sys.exit(str(error))
