"""List KakaoCloud's projects with latchgate.client, which gets the token and renews it."""

from __future__ import annotations

import json
import sys
from urllib.error import HTTPError

from latchgate.client import ClientError, KakaoCloud
from latchgate.client.adapters.urllib import Opener, check


def main() -> None:
    """List the projects."""
    cloud = KakaoCloud()  # from OS_APPLICATION_CREDENTIAL_ID and …_SECRET
    opener = Opener(cloud)
    user_id = opener.run(cloud.identify()).told["user_id"]
    try:
        with opener.open(f"{cloud.url}/users/{user_id}/projects") as answer:
            projects = json.load(answer)["projects"]
    except HTTPError as error:
        check(cloud, error)
        raise
    for project in projects:
        print(project["id"], project["name"])


if __name__ == "__main__":
    try:
        main()
    except (ClientError, OSError) as error:
        sys.exit(str(error))
