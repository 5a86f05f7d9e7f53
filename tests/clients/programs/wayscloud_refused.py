"""List buckets with WAYSCloud's SDK, once for each pair of credentials; print what it raised.

    WAYSCLOUD_API_URL=… python wayscloud_refused.py TOKEN,KEY…

Either half of a pair may be empty; what raised nothing is null.
"""

import json
import sys

from wayscloud import WaysCloudClient, WaysCloudError

raised: list[list[object] | None] = []
for pair in sys.argv[1:]:
    token, _, key = pair.partition(",")
    with WaysCloudClient(token=token or None, api_key=key or None) as client:
        try:
            client.storage.list()
        except WaysCloudError as error:
            raised.append([type(error).__name__, error.status_code, error.message])
        else:
            raised.append(None)
print(json.dumps(raised))
