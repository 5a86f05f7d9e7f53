"""A program's own token: what OAUTH2_CLIENT_ID, …_CLIENT_SECRET, …_ISSUER and …_API_URL say."""

import json

from latchgate.client import OAuth2
from latchgate.client.adapters.urllib import Opener

cloud = OAuth2(scope="own:account.read")
with Opener(cloud).open(f"{cloud.url}/manage/v1/account") as answer:
    print(json.load(answer)["user"]["id"])
