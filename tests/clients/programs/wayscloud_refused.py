"""List buckets with WAYSCloud's SDK and print the error that it raises, or null.

WAYSCLOUD_API_URL=… WAYSCLOUD_TOKEN=… WAYSCLOUD_API_KEY=… python wayscloud_refused.py
"""

import json

from wayscloud import WaysCloudClient, WaysCloudError

with WaysCloudClient() as client:
    try:
        client.storage.list()
    except WaysCloudError as error:
        print(json.dumps([type(error).__name__, error.status_code, error.message]))
    else:
        print("null")
