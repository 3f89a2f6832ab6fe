"""What a provider says about who somebody is, when it does not hold: nobody is let in."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from roost.access.credentials.oidc import OidcFailed, OidcProvider
from roost.core.clock import SystemClock
from roost.core.settings import Settings
from tests.access.credentials.authenticator import text

KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "1"}) for _ in range(2))


class FakeProvider(ThreadingHTTPServer):
    """Answers what it is told to; its ID tokens are `claims`, changed and signed as a test wants."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.metadata: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }
        self.userinfo: dict[str, Any] = {}
        self.id_token = ""

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Good ones, and what is different about them; None takes a claim away."""
        now = int(time.time())
        good = {
            "iss": self.issuer, "aud": "roost", "sub": "ada", "nonce": "n", "iat": now, "exp": now + 300,
            "email": "ada@example.org", "email_verified": True,
        }  # fmt: skip
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def answer(self, path: str) -> dict[str, Any]:
        """The document at this path."""
        if path == "/token":
            return {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token}
        if path == "/jwks":
            return {"keys": [KEY.as_dict(private=False)]}
        return self.userinfo if path == "/userinfo" else self.metadata


class _Handler(BaseHTTPRequestHandler):
    server: FakeProvider

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        body = json.dumps(self.server.answer(self.path)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def listening() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """A provider that is about to lie. It is on this machine, whatever proxy the environment names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with listening() as server:
        yield server


def provider_at(issuer: str) -> OidcProvider:
    return OidcProvider(Settings(_env_file=None, oidc_issuer=issuer, oidc_client_id="roost"), SystemClock())


async def arrive(fake: FakeProvider, id_token: str) -> str:
    """The subject that is let in."""
    fake.id_token = id_token
    who = await provider_at(fake.issuer).arrive("http://hub/cb", code="c", issuer=None, nonce="n", verifier="v" * 43)
    return who.subject


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm, "kid": "1"}, claims, key, algorithms=[algorithm])


async def test_a_good_one(fake: FakeProvider) -> None:
    assert await arrive(fake, signed(fake.claims())) == "ada"


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"aud": "another client"},
        {"aud": "another client", "azp": "roost"},
        {"aud": ["roost", "another client"]},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
        {"azp": "another client"},
        {"at_hash": "of another token"},
    ],
)
async def test_claims_that_do_not_hold(fake: FakeProvider, changed: dict[str, Any]) -> None:
    with pytest.raises(OidcFailed):
        await arrive(fake, signed(fake.claims(**changed)))


async def test_signatures_that_do_not_hold(fake: FakeProvider) -> None:
    claims = fake.claims()
    good = signed(claims)
    public = json.dumps(KEY.as_dict(private=False))
    header, payload, signature = good.split(".")
    unsigned = text(b'{"alg":"none"}')
    for bad in (
        signed(claims, OTHER_KEY),
        # The public key, taken for a shared secret.
        signed(claims, OctKey.import_key(public), "HS256"),
        f"{unsigned}.{payload}.",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[::-1]}",
        "",
        "x",
    ):
        with pytest.raises(OidcFailed):
            await arrive(fake, bad)


async def test_what_userinfo_adds_is_about_the_same_person(fake: FakeProvider) -> None:
    bare = signed(fake.claims(email=None, email_verified=None))
    fake.userinfo = {"sub": "ada", "email": "ada@example.org", "email_verified": "true"}
    fake.id_token = bare
    arrival = {"code": "c", "issuer": None, "nonce": "n", "verifier": "v" * 43}
    who = await provider_at(fake.issuer).arrive("http://hub/cb", **arrival)  # type: ignore[arg-type]
    assert (who.email, who.email_verified) == ("ada@example.org", True)
    fake.userinfo["sub"] = "eve"
    with pytest.raises(OidcFailed):
        await arrive(fake, bare)


@pytest.mark.parametrize("change", [{"issuer": "https://elsewhere.example"}, {"token_endpoint": None}, {"jwks_uri": 7}])
async def test_a_provider_that_describes_itself_wrongly(fake: FakeProvider, change: dict[str, Any]) -> None:
    fake.metadata |= change
    with pytest.raises(OidcFailed) as failed:
        await provider_at(fake.issuer).depart("http://hub/cb")
    assert failed.value.code == "oidc_unavailable"


async def test_who_says_whose_answer_it_is_has_to_say_so(fake: FakeProvider) -> None:
    fake.metadata["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(OidcFailed):
        await arrive(fake, signed(fake.claims()))
