"""Make sure, before long work, that the credential stands and will for as long as that takes."""

from latchgate.client import KakaoCloud
from latchgate.client.adapters.urllib import Opener

cloud = KakaoCloud()
identity = Opener(cloud).run(cloud.validate(lasting=3600))
print(identity.principal, identity.rights, identity.ends_at, identity.source)
