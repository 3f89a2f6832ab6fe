"""A real Chromium that looks at a real hub, and writes down what it complains of."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

import roost
from tests.conftest import DatabaseKind, UserClient
from tests.roost_server import RoostServer

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PATIENCE_MS = 15_000
# Violations are events of the page, so that none is missed whatever the console says.
_COLLECT_VIOLATIONS = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  const place = `${event.sourceFile}:${event.lineNumber}`;
  window.__violations.push(`${event.violatedDirective} refused ${event.blockedURI} (${place})`);
});
"""

# The page is there when the router says so, and drawn a frame later.
_GO = """async (path) => {
  await document.querySelector("#app").__vue_app__.config.globalProperties.$router.push(path);
  await new Promise(requestAnimationFrame);
}"""

# The machine may be busy with other tests; a test that passes does not wait this long.
expect.set_options(timeout=_PATIENCE_MS)

OpenBrowser = Callable[..., "Visitor"]


class Visitor:
    """Somebody at a browser of their own. Whatever the browser complains of fails the test, unless it was expected."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.context = context
        self.page = self._watched(context.new_page())
        self._expected: list[re.Pattern[str]] = []
        self._complaints: list[str] = []

    def load(self, path: str) -> None:
        """Open a page of the web app by its address; `/` is the app's own root."""
        self.page.goto(f"{self.url}/app{path}")

    def go(self, path: str) -> None:
        """Go to a page: as a link of the app does if that is open, which is a quarter of the work."""
        if self.page.url.startswith(f"{self.url}/app"):
            self.page.evaluate(_GO, path)
        else:
            self.load(path)

    def sign_in(self, identifier: str, password: str) -> None:
        """Come to the device list signed in: what the page would send is sent without it, in a third of the time."""
        sent = {"identifier": identifier, "password": password, "cookie": True}
        answer = self.context.request.post(f"{self.url}/api/v1/auth/login", data=sent)
        assert answer.ok, answer.text()
        self.load("/#signed-in")
        self.page.get_by_role("heading", name="Devices", exact=True).wait_for()

    def sign_in_on_the_page(self, identifier: str, password: str) -> None:
        """Sign in as people do, and wait for the device list."""
        self.load("/signin")
        self.page.get_by_label("E-mail or username").fill(identifier)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.get_by_role("heading", name="Devices", exact=True).wait_for()

    def expect_complaint(self, pattern: str) -> None:
        """Errors that match are meant: browsers log every answer of 400 and above."""
        self._expected.append(re.compile(pattern))

    def second_tab(self) -> Page:
        """Another tab of the same browser."""
        return self._watched(self.context.new_page())

    def assert_content(self) -> None:
        """Fail when a page broke its content security policy, or when the console holds an error."""
        for page in self.context.pages:
            violations: list[str] = page.evaluate("window.__violations ?? []")
            assert violations == [], f"{page.url} broke the content security policy"
        unexpected = [text for text in self._complaints if not any(known.search(text) for known in self._expected)]
        assert unexpected == []

    def _watched(self, page: Page) -> Page:
        page.set_default_timeout(_PATIENCE_MS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._complaints.append(f"uncaught: {error}"))
        page.on("request", self._same_host_only)
        return page

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def _same_host_only(self, request: Any) -> None:
        if not request.url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self._complaints.append(f"asked another host: {request.url}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for a module: it must be gone before tests that run an event loop of their own."""
    index = Path(roost.__file__).parent / "webapp" / "index.html"
    assert index.is_file(), "The web app is not built: `make web` builds it."
    # The hub is on this machine; a proxy that the environment names would only stand in between.
    environment: dict[str, str | float | bool] = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=_FLAGS, env=environment)
        yield launched
        launched.close()


@pytest.fixture
def open_browser(browser: Browser) -> Iterator[OpenBrowser]:
    """`open_browser(server, **options)` gives a visitor with cookies of their own; options are those of a context."""
    visitors: list[Visitor] = []

    def open_one(server: RoostServer, **options: Any) -> Visitor:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        # Drawing is a quarter of what a browser here computes: nobody looks at the pixels, nor at how things glide in.
        options.setdefault("device_scale_factor", 0.5)
        options.setdefault("reduced_motion", "reduce")
        context = browser.new_context(**options)
        context.add_init_script(_COLLECT_VIOLATIONS)
        visitor = Visitor(context, server.url)
        visitors.append(visitor)
        return visitor

    yield open_one
    try:
        for visitor in visitors:
            visitor.assert_content()
    finally:
        for visitor in visitors:
            visitor.context.close()


@pytest.fixture
def visitor(server: RoostServer, user: UserClient, open_browser: OpenBrowser) -> Visitor:
    """`user`, signed in at a browser."""
    somebody = open_browser(server)
    somebody.sign_in(user.email, user.password)
    return somebody


@pytest.fixture
def database_kind() -> DatabaseKind:
    """The pages do not know what the hub keeps its data in: once is enough."""
    return "sqlite"
