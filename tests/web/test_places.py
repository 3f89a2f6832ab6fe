"""Homes, rooms and the people in them; devices that are moved; technicians who see their homes only."""

import re
import uuid

import pytest
from playwright.sync_api import expect

from tests.conftest import UserClient, register_device
from tests.roost_server import RoostServer
from tests.web.conftest import OpenBrowser, Visitor

pytestmark = pytest.mark.pages


@pytest.fixture
def home(user: UserClient) -> int:
    """The home that came with the account."""
    found: int = user.get("/homes").json()[0]["id"]
    return found


def test_a_home_gets_rooms_and_a_device_moves_into_one(visitor: Visitor, user: UserClient) -> None:
    page = visitor.page
    visitor.go("/homes")
    page.get_by_role("button", name="New home").click()
    page.get_by_label("Name", exact=True).fill("Harbour Street 4")
    page.get_by_label("Address").fill("Harbour Street 4, Hamburg")
    page.get_by_role("dialog").get_by_label("Time zone").select_option("Europe/Berlin")
    page.get_by_role("button", name="Make the home").click()
    expect(page.get_by_role("heading", name="Harbour Street 4")).to_be_visible()
    expect(page.get_by_text("Europe/Berlin")).to_be_visible()
    home_id = int(page.url.rsplit("/", 1)[1])
    device = register_device(user, home_id=home_id)
    page.get_by_role("button", name="Add the first room").click()
    page.get_by_label("Name", exact=True).fill("Kitchen")
    page.get_by_role("button", name="Add it").click()
    page.reload()

    page.get_by_role("button", name=f"Move {device.uid}").click()
    page.get_by_role("dialog").get_by_label("Room").select_option("Kitchen")
    page.get_by_role("button", name="Move it").click()
    kitchen = page.get_by_test_id("room").filter(has_text="Kitchen")
    expect(kitchen).to_contain_text(device.uid)

    kitchen.get_by_role("link", name=device.uid).click()
    expect(page.get_by_role("main")).to_contain_text("Harbour Street 4, Kitchen")
    visitor.go(f"/devices?home={home_id}")
    expect(page.locator("tbody tr", has_text=device.uid)).to_contain_text("Kitchen")
    page.get_by_label("Home", exact=True).select_option("Home")
    expect(page.get_by_text("No device matches")).to_be_visible()

    visitor.go(f"/homes/{home_id}")
    page.get_by_role("button", name="Delete Kitchen").click()
    page.get_by_role("button", name="Delete the room").click()
    expect(kitchen).to_have_count(0)
    expect(page.get_by_test_id("room")).to_contain_text("In no room")


def test_a_new_device_is_put_where_it_stands(visitor: Visitor, user: UserClient, home: int) -> None:
    assert user.post(f"/homes/{home}/rooms", json={"name": "Cellar"}).status_code == 201
    page = visitor.page
    page.get_by_role("button", name="Add device").first.click()
    dialog = page.get_by_role("dialog", name="Add a device")
    dialog.get_by_text("Get a token now").click()
    dialog.get_by_label("Name", exact=True).fill("Boiler")
    dialog.get_by_label("Room").select_option("Cellar")
    dialog.get_by_role("button", name="Create the device").click()
    dialog.get_by_test_id("device-token").wait_for()
    dialog.get_by_role("button", name="Done").click()
    expect(page.locator("tbody tr", has_text="Boiler")).to_contain_text("Cellar")


def test_devices_and_homes_go_to_another_organization(visitor: Visitor, user: UserClient, home: int) -> None:
    second = user.post("/organizations", json={"name": "Second Nest"}).json()["id"]
    device = register_device(user, home_id=home)
    page = visitor.page
    visitor.load(f"/devices/{device.id}/settings")
    page.get_by_role("button", name="Give to another organization").click()
    page.get_by_role("button", name="Hand it over").click()
    expect(page.get_by_text(f"{device.uid} is handed over.")).to_be_visible()
    assert user.get(f"/devices/{device.id}").json()["organization_id"] == second

    visitor.go(f"/homes/{home}")
    page.get_by_role("button", name="Give to another organization").click()
    page.get_by_role("button", name="Hand it over").click()
    expect(page.get_by_role("main").get_by_role("link", name="Second Nest")).to_be_visible()


def test_a_resident_has_a_profile_contacts_consent_and_a_timeline(
    visitor: Visitor, user: UserClient, home: int
) -> None:
    visitor.expect_complaint("status of 4")
    page = visitor.page
    visitor.go(f"/homes/{home}")
    page.get_by_role("button", name="Add resident").click()
    page.get_by_label("Full name").fill("Ingrid Sørensen")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name=re.compile("Ingrid Sørensen")).click()
    expect(page.get_by_role("heading", name="Ingrid Sørensen")).to_be_visible()
    events = page.get_by_test_id("timeline-event")
    expect(events).to_have_count(1)

    page.get_by_role("button", name="Change").click()
    page.get_by_label("Called").fill("Inga")
    page.get_by_label("Born").fill("1941-05-17")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("definition").filter(has_text="Inga")).to_be_visible()

    page.get_by_role("button", name="Add contact").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Anne Sørensen")
    dialog.get_by_label("Phone").fill("call me")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Phone").fill("+49 40 123456")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("link", name="+49 40 123456")).to_have_attribute("href", "tel:+4940123456")

    consent = page.get_by_test_id("consent")
    expect(consent).to_contain_text("Never asked")
    page.get_by_role("button", name="Note the consent").click()
    page.get_by_role("button", name="They have agreed").click()
    expect(consent).to_contain_text(f"noted by {user.profile['username']}")
    page.get_by_role("button", name="Withdraw the consent").click()
    page.get_by_role("button", name="Withdraw it").click()
    expect(consent).to_contain_text("Withdrawn")
    page.get_by_label("Note", exact=True).fill("Slept well.")
    page.get_by_role("button", name="Write the note").click()
    expect(events).to_have_count(4)
    expect(events.first).to_contain_text("Slept well.")

    page.get_by_role("button", name="Delete the resident").click()
    dialog.get_by_label("Type Ingrid Sørensen to confirm").fill("Ingrid Sørensen")
    dialog.get_by_role("button", name="Delete the resident").click()
    expect(page.get_by_text("Nobody is entered as living here.")).to_be_visible()
    assert user.get("/residents").json() == []


def test_a_technician_sees_assigned_homes_only(
    visitor: Visitor, user: UserClient, home: int, server: RoostServer, open_browser: OpenBrowser
) -> None:
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    made = {"email": email, "password": "Test1234!", "full_name": "Tom Ferreira", "role": "technician"}
    assert user.post("/users", json=made).status_code == 201
    other = user.post("/homes", json={"name": "Other"}).json()["id"]
    near = register_device(user, home_id=home)
    register_device(user, home_id=other)

    theirs = open_browser(server)
    theirs.sign_in(email, "Test1234!")
    theirs.go("/assignments")
    expect(theirs.page.get_by_text("No home yet")).to_be_visible()

    page = visitor.page
    visitor.go(f"/homes/{home}")
    page.get_by_label("Technician", exact=True).select_option("Tom Ferreira")
    page.get_by_role("button", name="Assign", exact=True).click()
    expect(page.get_by_text("Assigned.")).to_be_visible()

    theirs.page.reload()
    theirs.page.get_by_role("link", name="Devices here").click()
    expect(theirs.page.locator("tbody tr")).to_have_count(1)
    expect(theirs.page.locator("tbody tr")).to_contain_text(near.uid)
    expect(theirs.page.get_by_role("link", name="Homes", exact=True)).to_have_count(0)

    page.get_by_role("button", name="End the assignment of Tom Ferreira").click()
    expect(page.get_by_text("No technician works in this home.")).to_be_visible()
    theirs.page.reload()
    expect(theirs.page.get_by_text("No device matches")).to_be_visible()
