"""The front door, the web app's files and the API viewers."""

import re
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from roost.core import pages, problems
from tests.roost_server import RoostServer


@pytest.fixture
def site(server: RoostServer) -> httpx2.Client:
    """A client on the root of the server."""
    return httpx2.Client(base_url=server.url, timeout=30, trust_env=False, verify=False)


def test_the_front_door(site: httpx2.Client) -> None:
    with site:
        answer = site.get("/", headers={"accept": "application/json"})
        assert answer.json().keys() == {"name", "version", "status"}
        browser = site.get("/", headers={"accept": "text/html,application/xhtml+xml"})
        assert browser.status_code == 307
        assert browser.headers["location"] == "/app/"
        assert site.get("/app").headers["location"] == "/app/"


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_api_viewers_need_no_other_host(site: httpx2.Client, page: str) -> None:
    with site:
        text = site.get(page).text
        assert "//" not in re.sub(r"<!doctype html>", "", text)
        for source in re.findall(r'(?:src|href)="(/[^"]+)"', text):
            assert site.get(source).status_code == 200, source
        assert site.get("/docs/other.js").status_code == 404
        assert site.get("/openapi.json").json()["openapi"].startswith("3.")


async def ask(app: FastAPI, path: str) -> httpx2.Response:
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://hub") as client:
        return await client.get(path)


@pytest.fixture
def built(tmp_path: Path) -> FastAPI:
    """An application with a web app of two files, and a secret beside them."""
    (tmp_path / "secret.txt").write_text("no")
    folder = tmp_path / "webapp"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>Roost</title>")
    (folder / "assets" / "app-1.js").write_text("1")
    app = FastAPI()
    problems.install(app)
    pages.install(app, folder)
    return app


async def test_every_page_of_the_web_app_survives_a_reload(built: FastAPI) -> None:
    for path in ("/app/", "/app/devices/7", "/app/index.html"):
        answer = await ask(built, path)
        assert answer.status_code == 200
        assert "<title>Roost</title>" in answer.text
        assert answer.headers["cache-control"] == "no-cache"
    asset = await ask(built, "/app/assets/app-1.js")
    assert "immutable" in asset.headers["cache-control"]
    assert (await ask(built, "/app/assets/app-0.js")).status_code == 404


@pytest.mark.parametrize("path", ["/app/../secret.txt", "/app/%2e%2e/secret.txt", "/app/..%2fsecret.txt", "/app/%00"])
async def test_nothing_beside_the_web_app_is_served(built: FastAPI, path: str) -> None:
    assert (await ask(built, path)).text != "no"


async def test_a_web_app_that_is_not_built_says_so(tmp_path: Path) -> None:
    app = FastAPI()
    pages.install(app, tmp_path)
    answer = await ask(app, "/app/devices")
    assert answer.status_code == 503
    assert "not built" in answer.text
