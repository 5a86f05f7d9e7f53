"""A real identity provider on this machine: keys of its own, a key set over HTTP, signed tokens."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "latchgate-dashboard"
AnyKey = RSAKey | ECKey | OKPKey | OctKey


def new_key(kind: str, key_id: str, **told: str) -> AnyKey:
    """Return a new key: RS256 (2048 bits), ES256 or EdDSA by name, RSA of other sizes `RSA1024`."""
    parameters: Any = {"kid": key_id, **told}
    if kind == "ES256":
        return ECKey.generate_key("P-256", parameters)
    if kind == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    bits = int(kind[3:]) if kind.startswith("RSA") else 2048
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # a weak one is wanted
        return RSAKey.generate_key(bits, parameters)


def sign(
    claims: Mapping[str, Any] | bytes,
    key: AnyKey,
    *,
    alg: str = "RS256",
    header: Mapping[str, Any] | None = None,
) -> str:
    """Return a compact JWS; `header` is added to the usual one, None takes a member out."""
    told = {"alg": alg, "typ": "JWT", "kid": key.as_dict().get("kid"), **(header or {})}
    whole = {name: value for name, value in told.items() if value is not None}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    # By hand, so that a header may say whatever a forger likes.
    text = f"{_encode(json.dumps(whole).encode())}.{_encode(payload)}"
    return f"{text}.{_encode(JWSRegistry.algorithms[alg].sign(text.encode(), key))}"


def sign_with_secret(claims: Mapping[str, Any], secret: bytes, key_id: str, alg: str) -> str:
    """Return a token under HS256 with any bytes as its key, as a forger would make one."""
    told = {"alg": alg, "typ": "JWT", "kid": key_id}
    parts = [_encode(json.dumps(part).encode()) for part in (told, claims)]
    mac = hmac.digest(secret, ".".join(parts).encode(), "sha256")
    return ".".join([*parts, _encode(mac)])


def _encode(held: bytes) -> str:
    return base64.urlsafe_b64encode(held).decode().rstrip("=")


class IdentityProvider:
    """Serves `keys` as a key set at `jwks_uri`, and counts who asked for what."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                body = json.dumps({"keys": provider.keys}).encode()
                status, headers, told = provider.answer or (200, {}, body)
                with suppress(OSError):  # whoever asked may have had enough
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(told)))
                    self.end_headers()
                    self.wfile.write(told)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.issuer = f"{self.url}/realms/customers"
        self.jwks_uri = f"{self.issuer}/protocol/openid-connect/certs"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def publish(self, *keys: AnyKey, **more: Any) -> None:
        """Put the public halves of keys into the key set, instead of those before."""
        self.keys = [{**key.as_dict(private=False), "use": "sig", **more} for key in keys]

    def claims(self, now: float, **changes: Any) -> dict[str, Any]:
        """Return the claims of an access token as Keycloak writes them; None takes one out."""
        told = {
            "iss": self.issuer,
            "aud": [AUDIENCE, "account"],
            "sub": "0d9b2a1c-6f52-4a0e-9a52-3c5fd0b8a7e1",
            "typ": "Bearer",
            "iat": int(now),
            "exp": int(now) + 300,
            "azp": "dashboard",
            "email": "ada@example.com",
            **changes,
        }
        return {name: value for name, value in told.items() if value is not None}

    def policy(self) -> str:
        """Return the table of a policy file that believes it."""
        return (
            "[kinds.oidc_bearer]\n"
            f'issuer = "{self.issuer}"\njwks_uri = "{self.jwks_uri}"\naudience = "{AUDIENCE}"\n'
        )

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


def believing(text: str, provider: IdentityProvider) -> str:
    """Return WAYSCloud's policy file with the provider's bearers taken at the dashboard."""
    assert text.count('accepts = ["service_key", "latchgate.service_key"]') == 2
    return text.replace(
        'accepts = ["service_key", "latchgate.service_key"]',
        'accepts = ["service_key", "latchgate.service_key", "oidc_bearer"]',
    ).replace("[services.storage]\n", f"{provider.policy()}\n[services.storage]\n")
