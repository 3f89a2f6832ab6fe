"""What is open already obeys the same rules: nobody hears of others' devices, and a change of rights counts at once."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.access.matrix.callers import Caller, new_device
from tests.access.matrix.ears import Ear, EndedError, ears_of, heard_until
from tests.access.matrix.world import World

Ears = Callable[[Caller], list[Ear]]

_numbers = itertools.count(1)
# Only another state than the one before is told to anybody.
_states = defaultdict[str, Iterator[str]](lambda: itertools.cycle(["maintenance", "updating"]))


@dataclass
class Scene:
    """Two homes of A with a device in each: `lost` will be out of reach, `kept` speaks last and is always heard."""

    world: World
    lost_home: int
    kept_home: int
    lost: Caller
    kept: Caller

    def member(self, role: str, *homes: int) -> Caller:
        """Somebody new in A; a technician in these homes."""
        somebody = self.world.colleague(f"listener-{next(_numbers)}", role)
        for home_id in homes:
            self.world.owner.make("/assignments", {"user_id": somebody.user_id, "home_id": home_id})
        return somebody

    def do(self, method: str, path: str, body: object = None) -> None:
        """The owner of A does this."""
        answer = self.world.owner.ask(method, path, json=body)
        assert answer.is_success, answer.text


@pytest.fixture
def scene(world: World) -> Scene:
    """New homes and devices: these tests give them away."""
    homes = [world.owner.make("/homes", {"name": "Stage", "organization_id": world.organization_id}) for _ in range(2)]
    lost, kept = (new_device(world.owner, f"speaker-{next(_numbers)}", home_id=home["id"]) for home in homes)
    return Scene(world, homes[0]["id"], homes[1]["id"], lost, kept)


@pytest.fixture
def ears() -> Iterator[Ears]:
    """Opens all the ways in which somebody may listen; they close after the test."""
    with ExitStack() as opened:
        yield lambda caller: opened.enter_context(ears_of(caller))


def say(*devices: Caller) -> str:
    """One after the other sends a message and reports a change; returns a word that the last one says in both."""
    word = ""
    for device in devices:
        word = f"word-{next(_numbers)}."
        device.make("/telemetry", {"event_type": word, "payload": {word: 1}})
        device.make(f"/devices/{device.device_id}/status", {"status": next(_states[device.token]), "detail": word})
    return word


def heard(ears: list[Ear], word: str) -> dict[str, set[int]]:
    """By which ear which devices are heard of, until this word comes."""
    return {ear.name: heard_until(ear, word) for ear in ears}


@pytest.mark.parametrize(
    ("name", "audible"),
    [
        ("view", {"lost", "kept"}),
        ("own", {"lost", "kept"}),
        ("staff", {"lost", "kept", "foreign"}),
        ("idle", set()),
        ("fown", {"foreign"}),
    ],
)
def test_who_hears_what(scene: Scene, name: str, audible: set[str]) -> None:
    world = scene.world
    if name == "fown":
        fence = new_device(world.callers[name], f"fence-{next(_numbers)}")
    else:
        fence = new_device(world.owner, f"fence-{next(_numbers)}", home_id=world.ids["other_home_id"])
    devices = {"lost": scene.lost, "kept": scene.kept, "foreign": world.callers["fdev"]}
    expected = {devices[one].device_id for one in audible} | {fence.device_id}
    with ears_of(world.callers[name]) as ears:
        word = say(*devices.values(), fence)
        assert heard(ears, word) == {ear.name: expected for ear in ears}


def _demoted(scene: Scene, member: Caller) -> None:
    """From viewer to technician in one home."""
    path = f"/organizations/{scene.world.organization_id}/members/{member.user_id}"
    scene.do("PATCH", path, {"role": "technician", "home_ids": [scene.kept_home]})


def _dismissed(scene: Scene, member: Caller) -> None:
    of_member = scene.world.owner.get(f"/assignments?user_id={member.user_id}&home_id={scene.lost_home}")
    scene.do("DELETE", f"/assignments/{of_member[0]['id']}")


def _device_given_away(scene: Scene, _member: Caller) -> None:
    scene.do("POST", f"/devices/{scene.lost.device_id}/transfer", {"organization_id": scene.world.annex_id})


def _home_given_away(scene: Scene, _member: Caller) -> None:
    scene.do("POST", f"/homes/{scene.lost_home}/transfer", {"organization_id": scene.world.annex_id})


def _device_moved(scene: Scene, _member: Caller) -> None:
    scene.do("PATCH", f"/devices/{scene.lost.device_id}", {"home_id": scene.world.home_id})


def _home_deleted(scene: Scene, _member: Caller) -> None:
    scene.do("DELETE", f"/homes/{scene.lost_home}")


Change = Callable[[Scene, Caller], None]
NARROWING: list[tuple[str, Change]] = [
    ("viewer", _demoted),
    ("viewer", _device_given_away),
    ("viewer", _home_given_away),
    ("technician", _dismissed),
    ("technician", _device_given_away),
    ("technician", _device_moved),
    ("technician", _home_deleted),
]


@pytest.mark.parametrize(("role", "change"), NARROWING, ids=[f"{role}{change.__name__}" for role, change in NARROWING])
def test_what_is_lost_is_heard_no_more(scene: Scene, ears: Ears, role: str, change: Change) -> None:
    homes = (scene.lost_home, scene.kept_home) if role == "technician" else ()
    member = scene.member(role, *homes)
    opened, both = ears(member), {scene.lost.device_id, scene.kept.device_id}
    assert heard(opened, say(scene.lost, scene.kept)) == {ear.name: both for ear in opened}
    change(scene, member)
    assert heard(opened, say(scene.lost, scene.kept)) == {ear.name: {scene.kept.device_id} for ear in opened}


@pytest.mark.parametrize("change", [_device_given_away, _home_given_away])
def test_whoever_gets_it_hears_it_at_once(scene: Scene, ears: Ears, change: Change) -> None:
    """A member of the other organization alone, who was listening before."""
    world = scene.world
    newcomer = scene.member("viewer")
    invitation = {"email": f"annexed-{next(_numbers)}@example.org", "role": "viewer"}
    made = world.owner.make(f"/organizations/{world.annex_id}/invitations", invitation)
    newcomer.make("/invitations/accept", {"token": made["accept_url"].partition("#")[2]})
    scene.do("DELETE", f"/organizations/{world.organization_id}/members/{newcomer.user_id}")
    fence = new_device(world.owner, f"fence-{next(_numbers)}", organization_id=world.annex_id)
    opened, both = ears(newcomer), {scene.lost.device_id, fence.device_id}
    assert heard(opened, say(scene.lost, fence)) == {ear.name: {fence.device_id} for ear in opened}
    change(scene, newcomer)
    assert heard(opened, say(scene.lost, fence)) == {ear.name: both for ear in opened}


def _deactivated(scene: Scene, member: Caller) -> None:
    scene.do("PATCH", f"/users/{member.user_id}", {"is_active": False})


def _deleted(scene: Scene, member: Caller) -> None:
    scene.do("DELETE", f"/users/{member.user_id}")


@pytest.mark.parametrize("change", [_deactivated, _deleted])
def test_who_is_out_hears_nothing_more(scene: Scene, ears: Ears, change: Change) -> None:
    member = scene.member("viewer")
    opened = ears(member)
    heard(opened, say(scene.kept))
    change(scene, member)
    say(scene.kept)
    for ear in opened:
        with pytest.raises(EndedError):
            ear.listen()


def test_who_belongs_nowhere_any_more_hears_nothing(scene: Scene, ears: Ears) -> None:
    """Removed from the only organization: a live socket ends, a subscription is silent."""
    member, world = scene.member("viewer"), scene.world
    opened = ears(member)
    heard(opened, say(scene.kept))
    scene.do("DELETE", f"/organizations/{world.organization_id}/members/{member.user_id}")
    say(scene.lost, scene.kept)
    path = f"/organizations/{world.annex_id}/invitations"
    made = world.owner.make(path, {"email": f"back-{next(_numbers)}@example.org", "role": "viewer"})
    member.make("/invitations/accept", {"token": made["accept_url"].partition("#")[2]})
    fence = new_device(world.owner, f"fence-{next(_numbers)}", organization_id=world.annex_id)
    word = say(scene.lost, fence)
    for ear in opened:
        try:
            assert heard_until(ear, word) == {fence.device_id}
        except EndedError:
            continue
