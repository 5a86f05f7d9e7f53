"""Tell refusals apart; none of these errors holds a secret, so log them as they are."""

from urllib.error import HTTPError

from latchgate.client import (
    AuthenticationFailed,
    KeyExpired,
    PermissionDenied,
    RateLimited,
    UpCloud,
)
from latchgate.client.adapters.urllib import Opener, check

cloud = UpCloud()
try:
    try:
        Opener(cloud).open(f"{cloud.url}/1.3/account").close()
    except HTTPError as error:
        check(cloud, error)
except KeyExpired:
    print("make another token")
except AuthenticationFailed as error:
    print(error)  # UpCloud: Authentication failed … (401 AUTHENTICATION_FAILED)
    print(error.code, error.decision)  # latchgate explain --id says more, where it is a Latchgate
except PermissionDenied as error:
    print("ask for", error.scope)
except RateLimited as error:
    print("come back in", error.retry_after, "seconds")
