"""Authlib's session for requests: client credentials, code with PKCE and ID token, refresh, device.

It is given the server's metadata; what ID tokens say is checked by Authlib's own claims, and what
they were signed with by joserfc, as its documentation has it.
"""

import secrets
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from dialogue import ask, outcome, told
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SCOPE = "openid profile offline_access storage:read"

metadata = requests.get(f"{told['issuer']}/.well-known/openid-configuration", timeout=30).json()
keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())
TOKEN = metadata["token_endpoint"]


def session(name, **more):
    """Return a session of a client, which proves itself as it is registered."""
    who = told[name]
    how = "client_secret_basic" if who["secret"] else "none"
    return OAuth2Session(
        who["id"],
        who["secret"],
        token_endpoint_auth_method=how,
        revocation_endpoint_auth_method=how,
        redirect_uri=who["redirect_uri"],
        code_challenge_method="S256",
        **more,
    )


def active(token):
    """Ask, as an API, whether a token stands."""
    url = metadata["introspection_endpoint"]
    return session("api").introspect_token(url, token).json()["active"]


def wrong_with(token, nonce, client_id):
    """Return what is wrong with an ID token, None for one that is right."""
    try:
        read = jwt.decode(token["id_token"], keys, algorithms=["ES256"])
        wanted = {"iss": {"value": told["issuer"]}, "aud": {"value": client_id}}
        params = {"nonce": nonce, "client_id": client_id, "access_token": token["access_token"]}
        CodeIDToken(read.claims, read.header, options=wanted, params=params).validate()
    except JoseError as error:
        return error.error
    return None


def authorized(web, **more):
    """Let the person allow it; returns where they came back to, and the verifier."""
    verifier = secrets.token_urlsafe(48)
    url, _ = web.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, **more
    )
    return ask("browse", url=url, press=["Allow"])["url"], verifier


def granted(web, **more):
    """Sign the person in and return the tokens."""
    answer, verifier = authorized(web, **more)
    return web.fetch_token(TOKEN, authorization_response=answer, code_verifier=verifier)


def by_itself():
    """Get a token without anybody."""
    robot = session("robot", scope="storage:read")
    token = robot.fetch_token(TOKEN, grant_type="client_credentials")
    robot.revoke_token(metadata["revocation_endpoint"], token["access_token"])
    return {"scope": token["scope"], "active": active(token["access_token"])}


def exchanged():
    """Give a key for a token."""
    token = session("web").fetch_token(
        TOKEN,
        grant_type=EXCHANGE,
        subject_token=told["key"],
        subject_token_type="urn:latchgate:token-type:service_key",
        scope="storage:read",
    )
    return token["scope"]


def signed_in():
    """Sign a person in, and look at everything that came."""
    web = session("web", scope=SCOPE)
    token = granted(web, nonce="n-1")
    who = web.get(metadata["userinfo_endpoint"]).json()
    claims = jwt.decode(token["id_token"], keys, algorithms=["ES256"]).claims
    head, body, mark = token["id_token"].split(".")
    altered = f"{head}.{body}.{'B' if mark[0] == 'A' else 'A'}{mark[1:]}"
    return {
        "wrong": wrong_with(token, "n-1", web.client_id),
        "own": who["sub"] == claims["sub"],
        "another nonce": wrong_with(token, "n-2", web.client_id),
        "for another client": wrong_with(token, "n-1", told["native"]["id"]),
        "tampered": wrong_with({**token, "id_token": altered}, "n-1", web.client_id),
    }


def replayed():
    """Refresh, and refresh with what was used already; the whole family ends."""
    web = session("web", scope=SCOPE)
    first = granted(web)
    second = web.refresh_token(TOKEN, refresh_token=first["refresh_token"])
    ask("later", seconds=3600)
    outcome(
        "refresh, again later",
        lambda: web.refresh_token(TOKEN, refresh_token=first["refresh_token"]),
    )
    outcome(
        "refresh, of the family",
        lambda: web.refresh_token(TOKEN, refresh_token=second["refresh_token"]),
    )
    return {
        "another": first["refresh_token"] != second["refresh_token"],
        "active": active(second["access_token"]),
    }


def code_again():
    """Redeem a code twice."""
    web = session("web", scope=SCOPE)
    answer, verifier = authorized(web)
    web.fetch_token(TOKEN, authorization_response=answer, code_verifier=verifier)
    web.fetch_token(TOKEN, authorization_response=answer, code_verifier=verifier)


def wrong_verifier():
    """Redeem a code with another verifier."""
    web = session("web", scope=SCOPE)
    answer, _ = authorized(web)
    web.fetch_token(TOKEN, authorization_response=answer, code_verifier=secrets.token_urlsafe(48))


def altered_state():
    """Come back with the state of somebody else."""
    web = session("web", scope=SCOPE, state="expected")
    answer, verifier = authorized(web, state="another")
    web.fetch_token(TOKEN, authorization_response=answer, code_verifier=verifier)


def by_device():
    """Let the person allow a program without a browser."""
    native = session("native")
    begun = requests.post(
        metadata["device_authorization_endpoint"],
        data={"client_id": native.client_id, "scope": "storage:read"},
        timeout=30,
    ).json()

    def poll():
        return native.fetch_token(TOKEN, grant_type=DEVICE, device_code=begun["device_code"])

    outcome("device, pending", poll)
    ask("browse", url=begun["verification_uri_complete"], press=["Continue", "Allow"])
    return poll()["scope"]


def names_its_issuer():
    """Return whether the answer of the authorization endpoint says who gave it (RFC 9207)."""
    answer, _ = authorized(session("web", scope=SCOPE))
    return {"named": parse_qs(urlsplit(answer).query)["iss"] == [told["issuer"]]}


outcome("client credentials", by_itself)
outcome("exchange", exchanged)
outcome("code", signed_in)
outcome("code, says its issuer", names_its_issuer)
outcome("code, again", code_again)
outcome("code, wrong verifier", wrong_verifier)
outcome("code, altered state", altered_state)
outcome("refresh", replayed)
outcome("device", by_device)
