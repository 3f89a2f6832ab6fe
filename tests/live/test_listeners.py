"""The fan-out by itself: who is asked, what is built, what is lost."""

from collections.abc import Callable

from roost.access.principals import Grant, UserPrincipal
from roost.live.listeners import QUEUE_FRAMES, Listener, Listeners

SCOPE = "telemetry:read"


def somebody(*grants: Grant) -> UserPrincipal:
    return UserPrincipal(1, "somebody@example.org", "somebody", 1, grants)


def listener(*grants: Grant, home_id: int | None = None, device_id: int | None = None) -> Listener:
    return Listener(somebody(*grants), SCOPE, lambda: None, home_id=home_id, device_id=device_id)


def frames_of(one: Listener) -> list[str]:
    frames = []
    while (frame := one.take()) is not None:
        frames.append(frame)
    return frames


def counted(frame: str) -> tuple[Callable[[], str], list[str]]:
    built: list[str] = []

    def build() -> str:
        built.append(frame)
        return frame

    return build, built


def test_a_frame_is_built_once_for_all_and_never_for_nobody() -> None:
    listeners = Listeners()
    build, built = counted("frame")
    listeners.offer(7, 3, 4, build)
    assert not built
    many = [listener(Grant("viewer", 3)) for _ in range(10)]
    for one in many:
        listeners.add(one)
    listeners.offer(7, 99, 4, build)
    assert not built
    listeners.offer(7, 3, 4, build)
    assert built == ["frame"]
    assert all(frames_of(one) == ["frame"] for one in many)


def test_reach_and_filters_decide_together() -> None:
    listeners = Listeners()
    watching = {
        "owner": listener(Grant("owner", 3)),
        "elsewhere": listener(Grant("owner", 99)),
        "technician": listener(Grant("technician", 3, 4)),
        "technician of another home": listener(Grant("technician", 3, 5)),
        "admin": listener(Grant("admin", None), Grant("owner", 3)),
        "device": listener(Grant("owner", 3), device_id=7),
        "foreign device": listener(Grant("owner", 99), device_id=7),
        "home": listener(Grant("owner", 3), home_id=4),
        "other home": listener(Grant("owner", 3), home_id=5),
        "two organizations": listener(Grant("owner", 3), Grant("viewer", 99)),
    }
    for one in watching.values():
        listeners.add(one)
    listeners.offer(7, 3, 4, lambda: "frame")
    seen = {name for name, one in watching.items() if frames_of(one) == ["frame"]}
    assert seen == {"owner", "technician", "admin", "device", "home", "two organizations"}


def test_the_oldest_frames_go_first_and_the_gap_is_told() -> None:
    slow = listener(Grant("owner", 3))
    for number in range(QUEUE_FRAMES + 5):
        slow.offer(str(number), (3, None))
    frames = frames_of(slow)
    assert frames[0] == '{"type":"dropped","count":5}'
    assert frames[1:] == [str(number) for number in range(5, QUEUE_FRAMES + 5)]
    slow.offer("later", (3, None))
    assert frames_of(slow) == ["later"]


def test_whoever_has_gone_gets_nothing_and_holds_nothing() -> None:
    listeners = Listeners()
    gone = listener(Grant("owner", 3))
    remove = listeners.add(gone)
    assert len(listeners) == 1
    remove()
    remove()
    assert len(listeners) == 0
    listeners.offer(7, 3, 4, lambda: "frame")
    assert gone.take() is None


def test_new_grants_count_at_once() -> None:
    listeners = Listeners()
    one = listener(Grant("owner", 3))
    remove = listeners.add(one)
    listeners.offer(7, 3, None, lambda: "before")
    remove()
    one.principal = somebody(Grant("owner", 99))
    listeners.add(one)
    listeners.offer(7, 3, None, lambda: "hidden")
    listeners.offer(8, 99, None, lambda: "after")
    assert frames_of(one) == ["before", "after"]


def test_what_is_offered_in_doubt_waits_and_goes_to_those_who_still_may_see_it() -> None:
    listeners, one = Listeners(), listener(Grant("technician", 3, 4), Grant("technician", 3, 5))
    listeners.add(one)
    listeners.offer(7, 3, 4, lambda: "lost, before")
    listeners.offer(8, 3, 5, lambda: "kept, before")
    one.hold()
    listeners.offer(7, 3, 4, lambda: "lost, meanwhile")
    listeners.offer(8, 3, 5, lambda: "kept, meanwhile")
    assert frames_of(one) == []
    one.principal = somebody(Grant("technician", 3, 5))
    listeners.offer(8, 3, 5, lambda: "after")
    assert frames_of(one) == ["kept, before", "kept, meanwhile", "after"]


def test_too_much_in_doubt_is_told_as_a_gap() -> None:
    one = listener(Grant("owner", 3))
    one.hold()
    for number in range(QUEUE_FRAMES + 5):
        one.offer(str(number), (3, None))
    one.principal = somebody(Grant("viewer", 3))
    frames = frames_of(one)
    assert frames[0] == '{"type":"dropped","count":5}'
    assert frames[1] == "5"
    assert len(frames) == QUEUE_FRAMES + 1
