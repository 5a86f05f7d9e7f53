"""A person allows a program in a browser, once; from then on its token is renewed by itself."""

from latchgate.client import OAuth2, SignInEnded
from latchgate.client.adapters.urllib import Opener
from latchgate.client.clouds.oauth2 import DeviceCode


def show(code: DeviceCode) -> None:
    """Tell the person where to go."""
    print(f"Open {code.link} and allow {code.user_code} within {code.expires_in:.0f} seconds.")


cloud = OAuth2(grant="device", scope="openid offline_access own:account.read", prompt=show)
try:
    print(Opener(cloud).run(cloud.identify()).principal)
except SignInEnded as error:
    print(error)  # nobody allowed it, or not any more
