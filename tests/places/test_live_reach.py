"""Who listens while places change: open sockets follow at once."""

import httpx2

from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.live.conftest import LiveClient, connect_live
from tests.places.conftest import Company

PATH = "/api/v1/ws/live-data"


def speak(company: Company, device: RegisteredDevice) -> None:
    """The device sends something."""
    url = f"{company.server.url}/api/v1/telemetry"
    answer = httpx2.post(url, json={"n": 1}, headers=device.headers, trust_env=False, verify=False)
    assert answer.status_code == 201, answer.text


def hears_nothing(live: LiveClient) -> bool:
    """Whether nothing waits for this socket: what it asks now is answered first.

    That something was held back while its rights were looked at, it may hear.
    """
    live.send({"type": "ping"})
    while (frame := live.receive())["type"] == "dropped":
        pass
    return frame == {"type": "pong"}


def assignment_of(technician: UserClient) -> str:
    return f"/assignments/{technician.get('/assignments').json()[0]['id']}"


def test_who_watches_a_home_hears_its_devices_until_they_leave(company: Company) -> None:
    cabin = company.add_home()
    device = register_device(company.owner, home_id=cabin)
    token = company.owner.access_token
    with (
        connect_live(company.server, f"{PATH}?home_id={cabin}", token) as there,
        connect_live(company.server, PATH, token) as anywhere,
    ):
        speak(company, device)
        assert there.receive()["device_id"] == anywhere.receive()["device_id"] == device.id
        assert company.owner.delete(f"/homes/{cabin}").status_code == 204
        speak(company, device)
        assert anywhere.receive()["device_id"] == device.id
        assert hears_nothing(there)


def test_a_technician_hears_a_home_from_the_assignment_to_its_end(company: Company) -> None:
    device, technician = register_device(company.owner, home_id=company.home_id), company.member("technician")
    wanted = {"user_id": technician.profile["id"], "home_id": company.home_id}
    with (
        connect_live(company.server, PATH, technician.access_token) as live,
        connect_live(company.server, PATH, company.owner.access_token) as owner,
    ):
        speak(company, device)
        owner.receive()
        assert hears_nothing(live)
        assert company.owner.post("/assignments", json=wanted).status_code == 201
        assert hears_nothing(live)  # and has taken note of the assignment
        speak(company, device)
        owner.receive()
        assert live.receive()["device_id"] == device.id
        assert company.owner.delete(assignment_of(technician)).status_code == 204
        speak(company, device)
        owner.receive()
        assert hears_nothing(live)
