"""On a phone, in the dark, with a keyboard, for everybody."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until
from tests.web.conftest import OpenBrowser, Visitor

pytestmark = pytest.mark.pages

_AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
_PHONE: ViewportSize = {"width": 390, "height": 844}
_DESKTOP: ViewportSize = {"width": 1280, "height": 800}
_ENTRANCES = ("/signin", "/register", "/forgot-password", "/reset-password#spent", "/reset-password")
# In the dark only the colours are others.
_SCHEMES: dict[Literal["light", "dark"], list[str]] = {
    "dark": ["color-contrast"],
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
}
# Nobody waits for a colour to change slowly.
_RUN_AXE = """async (runOnly) => {
  const finish = () => {
    const changing = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    changing.forEach((transition) => transition.finish());
    return changing.length > 0;
  };
  for (let still = 0; still < 2; still = finish() ? 0 : still + 1) await new Promise(requestAnimationFrame);
  const result = await axe.run(document, { runOnly, resultTypes: ["violations"], selectors: false, elementRef: false });
  return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}"""


@pytest.fixture
def telling_device(user: UserClient) -> RegisteredDevice:
    """A device with a reading, an event and tags."""
    device = register_device(user, type="esp32", tags=["garden", "climate"])
    sent = {"event_type": "boot", "payload": {"temp_c": 21.5, "humidity_percent": 48, "pump_on": False}}
    assert user.post("/telemetry", json=sent, headers=_only(device.headers)).status_code == 201
    return device


def _only(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "Authorization": ""}


def _pages(device: RegisteredDevice) -> list[str]:
    return [
        "/devices",
        f"/devices/{device.id}",
        f"/devices/{device.id}/events",
        f"/devices/{device.id}/logs",
        f"/devices/{device.id}/settings",
        "/trends",
        "/account",
        "/account/security",
        "/account/tokens",
        "/account/sessions",
        "/audit",
        "/nothing",
    ]


def _work_pages(user: UserClient, device: RegisteredDevice) -> list[str]:
    """Pages of device work, with something on each: what waits, what was done, what went wrong."""
    home = f"/devices/{device.id}"
    wish = {"led": True, "a_member_with_quite_a_long_name": {"inside": "x" * 80}}
    assert user.put(f"{home}/shadow", json={"desired": wish}).is_success
    line = {"level": "error", "message": "The pump did not start: " + "x" * 120}
    assert user.post(f"{home}/logs", json=line, headers=_only(device.headers)).is_success
    task = user.post(
        f"{home}/tasks", json={"type": "config.apply.of.something.long", "payload": {"a": "x" * 80}}
    ).json()
    leased = user.post("/tasks/poll", headers=_only(device.headers)).json()[0]
    told = {"percent": 40, "note": "Half way", "lease_token": leased["lease_token"]}
    assert user.post(f"/tasks/{task['id']}/progress", json=told, headers=_only(device.headers)).is_success
    bulk = user.post("/tasks/bulk", json={"type": "ping", "devices": {"tag": "garden"}}).json()["id"]
    return [
        f"{home}/shadow",
        f"{home}/health",
        f"{home}/tasks",
        "/tasks",
        "/tasks?show=bulk",
        f"/tasks/{task['id']}",
        f"/tasks/bulk/{bulk}",
    ]


def _shared_pages(user: UserClient) -> list[str]:
    """Pages about organizations and homes, with something on each: a room, a resident, a second organization."""
    organization = user.get("/organizations").json()[0]["id"]
    user.post("/organizations", json={"name": "The Society of Friends of Unusually Long Names"})
    home = user.get("/homes").json()[0]["id"]
    room = user.post(f"/homes/{home}/rooms", json={"name": "Kitchen"}).json()["id"]
    register_device(user, home_id=home, room_id=room)
    contact = {"name": "Anne Sørensen", "relation": "daughter", "email": f"{'a' * 40}@example.org"}
    moved_in = user.post(
        f"/homes/{home}/residents", json={"full_name": "Ingrid Sørensen", "room_id": room, "contacts": [contact]}
    )
    invited = {"email": f"{'i' * 30}-{home}@example.org", "role": "technician", "home_ids": [home]}
    invitation = user.post(f"/organizations/{organization}/invitations", json=invited)
    return [
        "/organizations",
        f"/organizations/{organization}",
        "/users",
        "/homes",
        f"/homes/{home}",
        f"/residents/{moved_in.json()['id']}",
        "/assignments",
        "/invitation#" + invitation.json()["accept_url"].partition("#")[2],
    ]


def test_the_way_in_on_a_phone(
    server: RoostServer, user: UserClient, telling_device: RegisteredDevice, open_browser: OpenBrowser
) -> None:
    visitor = open_browser(server, viewport=_PHONE, has_touch=True, is_mobile=True)
    page = visitor.page
    for path in _ENTRANCES:
        visitor.go(path)
        _assert_fits(page)
    visitor.sign_in(user.email, user.password)
    _assert_fits(page)
    page.get_by_role("button", name="Open the navigation").tap()
    drawer = page.get_by_role("dialog", name="Navigation")
    drawer.get_by_role("link", name="Devices", exact=True).tap()
    expect(drawer).to_be_hidden()
    page.get_by_role("button", name="Add device").first.tap()
    page.get_by_label("Device UID").fill(f"phone-{telling_device.uid}")
    page.get_by_role("button", name="Get a pairing code").tap()
    expect(page.get_by_test_id("pairing-code")).to_be_in_viewport()
    _assert_fits(page)


def _assert_fits_a_phone(page: Page) -> None:
    page.set_viewport_size(_PHONE)
    _assert_fits(page)
    page.set_viewport_size(_DESKTOP)


def _assert_fits(page: Page) -> None:
    """A phone's browser shows what is too wide in a wider window, so what counts is the width it was opened with."""
    width: int = page.evaluate("document.documentElement.scrollWidth")
    assert width <= _PHONE["width"], f"{page.url} is {width} pixels wide"


def test_the_way_in_is_accessible_in_the_light_and_in_the_dark(server: RoostServer, open_browser: OpenBrowser) -> None:
    visitor = open_browser(server)
    for path in _ENTRANCES:
        visitor.go(path)
        _assert_accessible(visitor.page, path)


@pytest.mark.parametrize("some", ["shared", "own", "work"])
def test_every_page_fits_a_phone_and_is_accessible_in_the_light_and_in_the_dark(
    server: RoostServer, user: UserClient, telling_device: RegisteredDevice, open_browser: OpenBrowser, some: str
) -> None:
    visitor = open_browser(server)
    visitor.sign_in(user.email, user.password)
    pages = {
        "shared": lambda: _shared_pages(user),
        "own": lambda: _pages(telling_device),
        "work": lambda: _work_pages(user, telling_device),
    }
    for path in pages[some]():
        _open(visitor, path)
        _assert_accessible(visitor.page, path)
        _assert_fits_a_phone(visitor.page)


def test_dialogs_are_accessible_in_the_light_and_in_the_dark(
    server: RoostServer, user: UserClient, telling_device: RegisteredDevice, open_browser: OpenBrowser
) -> None:
    visitor = open_browser(server)
    page = visitor.page
    visitor.sign_in(user.email, user.password)
    page.get_by_role("button", name="Add device").first.click()
    _assert_accessible(page, "the dialog that adds a device")
    page.get_by_label("Device UID").fill(f"seen-{telling_device.uid}")
    page.get_by_role("button", name="Get a pairing code").click()
    page.get_by_test_id("pairing-code").wait_for()
    _assert_accessible(page, "the pairing dialog")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("option").first.wait_for()
    _assert_accessible(page, "the palette")


def test_pages_of_operators(server: RoostServer, open_browser: OpenBrowser) -> None:
    visitor = open_browser(server)
    page = visitor.page
    visitor.sign_in("admin", server.admin_password)
    for path, shown in (("/ops", "Fleet"), ("/ops/houses", "Home"), ("/audit?outcome=success", "Signed in")):
        _open(visitor, path)
        page.locator("main").get_by_text(shown, exact=True).first.wait_for()
        if path.startswith("/audit"):
            page.get_by_test_id("audit-entry").first.get_by_role("button").click()
        _assert_accessible(page, path)
        _assert_fits_a_phone(page)
    for path, button, wanted in (
        ("/account/tokens", "New token", "What it may do"),
        ("/account/security", "Set it up", "Turn it on"),
    ):
        _open(visitor, path)
        page.get_by_role("button", name=button).click()
        page.get_by_role("dialog").get_by_text(wanted).wait_for()
        _assert_accessible(page, f"the dialog of {path}")


def _assert_accessible(page: Page, what: str) -> None:
    # It stays while one goes on inside the app, and half a megabyte is a lot to say again.
    if page.evaluate("!window.axe"):
        page.evaluate(f"(() => {{ {_AXE.read_text()} }})()")
    for scheme, rules in _SCHEMES.items():
        page.emulate_media(color_scheme=scheme)
        violations: list[str] = page.evaluate(_RUN_AXE, rules)
        assert violations == [], f"{what}, {scheme}"


def _open(visitor: Visitor, path: str) -> None:
    visitor.go(path)
    visitor.page.locator("main h1, main h2, main h3").first.wait_for()
    expect(visitor.page.locator("[aria-busy='true']")).to_have_count(0)


def test_the_dark_is_chosen_and_remembered(server: RoostServer, open_browser: OpenBrowser) -> None:
    with register_user(server) as somebody:
        visitor = open_browser(server, color_scheme="light")
        page = visitor.page
        visitor.sign_in(somebody.email, somebody.password)
        before = _background(page)
        page.get_by_role("button", name="account menu").click()
        page.get_by_role("menuitemradio", name="Dark").click()
        wait_until(lambda: _background(page) != before, what="Another background")
        dark = _background(page)
        page.reload()
        page.get_by_role("heading", name="Devices", exact=True).wait_for()
        assert _background(page) == dark
        page.keyboard.press("Control+k")
        page.get_by_role("combobox").fill("as the")
        expect(page.get_by_text("Nothing is called")).to_be_visible()


def _background(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_the_keyboard_is_enough(server: RoostServer, open_browser: OpenBrowser) -> None:
    visitor = open_browser(server)
    page = visitor.page
    visitor.go("/signin")
    expect(page.get_by_label("E-mail or username")).to_be_focused()
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(server.admin_password)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Devices", exact=True).wait_for()
    page.keyboard.press("Control+k")
    page.keyboard.type("add a")
    expect(page.get_by_role("option", name="Add a device")).to_be_visible()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Add a device")
    expect(dialog).to_be_visible()
    # The focus stays in the dialog, however often one goes on.
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('[role=dialog]').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
