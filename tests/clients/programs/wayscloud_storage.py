"""Use every storage call of WAYSCloud's SDK that Latchgate's scopes tell apart; print what it saw.

WAYSCLOUD_API_URL=… WAYSCLOUD_TOKEN=… python wayscloud_storage.py BUCKET
"""

import json
import sys

from wayscloud import ConflictError, NotFoundError, WaysCloudClient

name = sys.argv[1]
with WaysCloudClient() as client:
    made = client.storage.create_bucket(name, tier="archive")
    listed = [bucket["bucket_name"] for bucket in client.storage.list()]
    shown = client.storage.get(name)
    twice = gone = None
    try:
        client.storage.create_bucket(name)
    except ConflictError as error:
        twice = error.message
    deleted = client.storage.delete_bucket(name)
    try:
        client.storage.get(name)
    except NotFoundError as error:
        gone = error.message
    print(
        json.dumps(
            {
                "made": made["bucket_name"],
                "tier": shown["tier"],
                "listed": name in listed,
                "tiers": [tier["name"] for tier in client.storage.tiers()],
                "twice": twice,
                "deleted": deleted,
                "gone": gone,
            }
        )
    )
