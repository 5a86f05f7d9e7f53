"""What the library refuses to do, with a key that is nobody's."""

from latchgate.client import CredentialMissing, InsecureTransport, Secret, WaysCloud, WrongHost
from latchgate.client.adapters.urllib import Opener
from latchgate.client.sources import Environment

key = Secret("wayscloud_storage_abc123_YourSecretKey")
cloud = WaysCloud(key)
print(key, cloud)  # masked, both

for url in (
    "https://api.wayscloud.services.example.com/v1/storage/",
    "http://api.wayscloud.services/v1/storage/",
):
    try:
        Opener(cloud).open(url)
    except (WrongHost, InsecureTransport) as error:
        print(error)  # and nothing was sent

try:
    WaysCloud(sources=(Environment({}),))
except CredentialMissing as error:
    print(error)  # says where it looked
