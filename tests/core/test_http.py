"""What every request meets on its way in and out of a real server."""

import asyncio
import socket
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from roost.core.http import BodyGuard, Cors, TwinPaths
from tests.conftest import UserClient
from tests.roost_server import RoostServer
from tests.waiting import wait_until

PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "instance"}


def assert_problem(answer: httpx2.Response, status: int, code: str | None = None) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = answer.json()
    assert body.keys() >= PROBLEM_FIELDS
    assert body["status"] == status
    assert str(body["detail"]).endswith(".")
    if code:
        assert body["code"] == code
    return body


def test_every_refusal_is_a_problem(client: httpx2.Client, user: UserClient) -> None:
    assert_problem(client.get("/nothing/here"), 404)
    assert assert_problem(client.get("/auth/me"), 401)["instance"] == "/api/v1/auth/me"
    assert client.get("/auth/me").headers["www-authenticate"].startswith("Bearer")
    assert_problem(client.get("/auth/login"), 405)
    json_header = {"content-type": "application/json"}
    assert_problem(client.post("/auth/register", content="{", headers=json_header), 400, "malformed_json")
    assert_problem(client.post("/auth/login", content="{", headers=json_header), 400, "malformed_json")
    assert_problem(client.post("/auth/register", content="[" * 100_000, headers=json_header), 400)
    invalid = assert_problem(client.post("/auth/register", json={"email": "x"}), 422)
    assert invalid["errors"] == [
        {"pointer": "/email", "detail": "String should have at least 3 characters."},
        {"pointer": "/password", "detail": "Field required."},
    ]
    assert_problem(client.get("/auth/me", headers={"Authorization": "Bearer rdt_x"}), 401, "wrong_token_kind")
    assert_problem(user.get("/auth/me", params={"nothing": "1"}), 422, "unknown_query")
    assert_problem(user.get("/devices", params={"limit": "501"}), 422)
    assert_problem(user.get("/devices", params={"cursor": "nonsense"}), 400, "bad_cursor")


def test_the_unprefixed_twin_is_the_same_route(server: RoostServer, user: UserClient) -> None:
    with httpx2.Client(base_url=server.url, headers=user.headers, trust_env=False, verify=False) as bare:
        for path in ("/auth/me", "/users/me", "/devices", "/health"):
            assert bare.get(path).status_code == user.get(path).status_code == 200
        missing = assert_problem(bare.get("/devices/999999999"), 404)
        assert missing["instance"] == "/devices/999999999"
        paths = bare.get("/openapi.json").json()["paths"]
    assert all(path.startswith("/api/v1/") for path in paths)


def test_camel_case_query_names_are_aliases(user: UserClient) -> None:
    home = user.get("/auth/me").json()["homes"][0]["id"]
    assert user.get("/devices", params={"homeId": home}).status_code == 200
    assert_problem(user.get("/devices", params={"homeId": "x"}), 422)


def test_headers_of_every_answer(client: httpx2.Client) -> None:
    for path in ("/health", "/nothing"):
        answer = client.get(path, headers={"X-Request-Id": "my-id-1"})
        assert answer.headers["x-request-id"] == "my-id-1"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
    made_up = client.get("/health", headers={"X-Request-Id": "bad id\twith spaces"}).headers["x-request-id"]
    assert made_up != "bad id\twith spaces"
    assert len(made_up) == 24


def test_too_large_a_body(client: httpx2.Client) -> None:
    body = b'{"email": "' + b"x" * (1024 * 1024) + b'"}'
    headers = {"content-type": "application/json"}
    assert_problem(client.post("/auth/register", content=body, headers=headers), 413, "too_large")


def test_too_large_a_chunked_body(server: RoostServer) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.sendall(
            b"POST /api/v1/auth/register HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            for _ in range(20):
                raw.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent, as it should be
        assert b" 413 " in raw.recv(64)


def test_a_client_that_leaves_halfway_is_no_mistake(server: RoostServer) -> None:
    address = urlsplit(server.url)
    start = server.log_size()
    for path in (b"/api/v1/telemetry", b"/api/v1/auth/register", b"/api/v1/auth/login"):
        with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
            raw.sendall(
                b"POST " + path + b" HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
                b"X-Device-Token: rdt_x\r\nContent-Length: 100\r\n\r\n{"
            )
    wait_until(lambda: server.log_text(start).count('"message": "POST') == 3)
    assert "failed unexpectedly" not in server.log_text(start)


async def test_too_slow_a_body() -> None:
    sent: list[Message] = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    guard = BodyGuard(endpoint, timeout_s=0.01)
    scope = {"type": "http", "method": "POST", "headers": [], "roost.path": "/x"}
    with pytest.raises(Exception, match="did not arrive"):
        await guard(scope, never, send)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/devices", "/api/v1/devices"),
        ("/ws/live-data", "/api/v1/ws/live-data"),
        ("/application", "/api/v1/application"),
        ("/", "/"),
        ("/app", "/app"),
        ("/app/devices/1", "/app/devices/1"),
        ("/docs", "/docs"),
        ("/redoc", "/redoc"),
        ("/openapi.json", "/openapi.json"),
        ("/mqtt", "/mqtt"),
        ("/api/v1/devices", "/api/v1/devices"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_which_paths_have_a_twin(path: str, expected: str, kind: str) -> None:
    seen: list[str] = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])

    scope = {"type": kind, "path": path, "raw_path": path.encode(), "query_string": b""}
    await TwinPaths(endpoint)(scope, None, None)  # type: ignore[arg-type]
    assert seen == [expected]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"homeId=1&deviceId=2", b"home_id=1&device_id=2"),
        (b"q=Kitchen+Lamp", b"q=Kitchen+Lamp"),
        (b"q=%C3%84&roomId=3", b"q=%C3%84&room_id=3"),
        (b"HOME=1", b"HOME=1"),
    ],
)
async def test_which_query_names_are_renamed(query: bytes, expected: bytes) -> None:
    seen: list[bytes] = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["query_string"])

    await TwinPaths(endpoint)({"type": "http", "path": "/x", "query_string": query}, None, None)  # type: ignore[arg-type]
    assert seen == [expected]


async def test_other_origins_are_let_in_only_when_they_are_named() -> None:
    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def headers_for(origin: str, method: str = "GET") -> tuple[int, dict[str, str]]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        asked = [(b"origin", origin.encode()), (b"access-control-request-method", b"POST")]
        scope = {"type": "http", "method": method, "headers": asked}
        await Cors(endpoint, origins=("http://a.example",))(scope, None, send)  # type: ignore[arg-type]
        return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}

    assert (await headers_for("http://a.example"))[1]["access-control-allow-origin"] == "http://a.example"
    assert "access-control-allow-origin" not in (await headers_for("http://b.example"))[1]
    status, headers = await headers_for("http://a.example", "OPTIONS")
    assert status == 204
    assert "Authorization" in headers["access-control-allow-headers"]
