"""requests-oauthlib: client credentials, code with PKCE, refresh. It knows nothing of ID tokens."""

import requests
from dialogue import ask, outcome, told
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

metadata = requests.get(
    f"{told['issuer']}/.well-known/oauth-authorization-server", timeout=30
).json()
TOKEN = metadata["token_endpoint"]
web, robot = told["web"], told["robot"]
BASIC = (web["id"], web["secret"])
SCOPE = ["offline_access", "storage:read"]


def by_itself():
    """Get a token without anybody."""
    client = BackendApplicationClient(robot["id"], scope=["storage:read"])
    token = OAuth2Session(client=client).fetch_token(TOKEN, client_secret=robot["secret"])
    return token["scope"]


def authorized(session):
    """Let the person allow it; returns where they came back to."""
    url, _ = session.authorization_url(metadata["authorization_endpoint"])
    return ask("browse", url=url, press=["Allow"])["url"]


def session(**more):
    """Return a session of the client that people sign in with."""
    return OAuth2Session(web["id"], redirect_uri=web["redirect_uri"], scope=SCOPE, **more)


def signed_in():
    """Sign a person in and refresh what came, once too often."""
    mine = session(pkce="S256")
    first = mine.fetch_token(TOKEN, authorization_response=authorized(mine), auth=BASIC)
    second = mine.refresh_token(TOKEN, refresh_token=first["refresh_token"], auth=BASIC)
    ask("later", seconds=3600)
    outcome(
        "refresh, again later",
        lambda: mine.refresh_token(TOKEN, refresh_token=first["refresh_token"], auth=BASIC),
    )
    outcome(
        "refresh, of the family",
        lambda: mine.refresh_token(TOKEN, refresh_token=second["refresh_token"], auth=BASIC),
    )
    return {
        "scope": sorted(first["scope"]),
        "another": first["refresh_token"] != second["refresh_token"],
    }


def code_again():
    """Redeem a code twice."""
    mine = session(pkce="S256")
    answer = authorized(mine)
    mine.fetch_token(TOKEN, authorization_response=answer, auth=BASIC)
    mine.fetch_token(TOKEN, authorization_response=answer, auth=BASIC)


def without_pkce():
    """Ask as it does unless told otherwise."""
    mine = session()
    mine.fetch_token(TOKEN, authorization_response=authorized(mine), auth=BASIC)


def plain_pkce():
    """Ask with the weak method."""
    mine = session(pkce="plain")
    mine.fetch_token(TOKEN, authorization_response=authorized(mine), auth=BASIC)


def altered_state():
    """Come back with the state of somebody else."""
    mine, other = session(pkce="S256"), session(pkce="S256")
    mine.authorization_url(metadata["authorization_endpoint"])
    mine.fetch_token(TOKEN, authorization_response=authorized(other), auth=BASIC)


outcome("client credentials", by_itself)
outcome("code", signed_in)
outcome("code, again", code_again)
outcome("code, without PKCE", without_pkce)
outcome("code, plain PKCE", plain_pkce)
outcome("code, altered state", altered_state)
