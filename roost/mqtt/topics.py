"""Every topic of the hub is built and understood here: `devices/<id>/<leaf>`."""

import re
from dataclasses import dataclass

from roost.mqtt import thingsboard
from roost.mqtt.reasons import Reason, TopicError

ROOT = "devices"
ME = "me"
# What a device publishes and the telemetry path takes; `status` and `logs` have paths of their own.
INGESTED = frozenset({"telemetry", "readings", "events"})
STATUS = "status"
LOGS = "logs"
SHADOW_REPORTED = "shadow/reported"
SHADOW_DELTA = "shadow/delta"
TASKS = "tasks"
COMPLETE, PROGRESS = "complete", "progress"
_PUBLISHED = INGESTED | {STATUS, LOGS, SHADOW_REPORTED}
_OF_TASK = re.compile(rf"{TASKS}/[0-9]{{1,16}}/(?:{COMPLETE}|{PROGRESS})")
_FOR_DEVICES = frozenset({TASKS, SHADOW_DELTA})
LIVE = ("telemetry", "readings", "events", STATUS)


@dataclass(frozen=True, slots=True)
class LiveFilter:
    """A user's filter: `device` is an id or uid as written, None for every device; `leaves` are members of `LIVE`."""

    device: str | None
    leaves: tuple[str, ...]


def device_topic(device: int | str, leaf: str) -> str:
    """The topic of one leaf of a device."""
    return f"{ROOT}/{device}/{leaf}"


def published_kind(topic: str, device_id: int, device_uid: str) -> str:
    """What the device publishes on `topic`: telemetry, readings, events, status, logs, shadow/reported, or
    tasks/<id>/complete and tasks/<id>/progress.

    Raises `TopicError`: NOT_AUTHORIZED for another device's topic, TOPIC_NAME_INVALID for one that nobody reads.
    """
    root, _, rest = topic.partition("/")
    name, _, leaf = rest.partition("/")
    if root != ROOT or not leaf:
        raise TopicError(Reason.TOPIC_NAME_INVALID, f"Publish on {device_topic(ME, 'telemetry')} or the like.")
    if not _is_own(name, device_id, device_uid):
        detail = f"This topic belongs to another device; yours begin with {ROOT}/{device_id}/."
        raise TopicError(Reason.NOT_AUTHORIZED, detail)
    if leaf not in _PUBLISHED and _OF_TASK.fullmatch(leaf) is None:
        detail = f"Nothing is published on …/{leaf[:80]}; there are {', '.join(sorted(_PUBLISHED))}."
        raise TopicError(Reason.TOPIC_NAME_INVALID, detail)
    return leaf


def check_filter(text: str) -> None:
    """Raise `TopicError` unless `text` is a filter as section 4.7 of the standard defines it."""
    levels = text.split("/")
    misplaced = any("+" in level and level != "+" for level in levels)
    misplaced = misplaced or any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]
    if not text or misplaced:
        raise TopicError(Reason.TOPIC_FILTER_INVALID, "Wildcards stand alone in their level, # only at the end.")
    if levels[0] == "$share":
        raise TopicError(Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, "Shared subscriptions are not offered.")


def check_device_filter(text: str, device_id: int, device_uid: str) -> None:
    """Raise `TopicError` unless a device may subscribe to `text`: its own tasks and shadow delta."""
    check_filter(text)
    if text in thingsboard.FILTERS:
        return
    root, _, rest = text.partition("/")
    name, _, leaf = rest.partition("/")
    if root != ROOT or leaf not in _FOR_DEVICES or not _is_own(name, device_id, device_uid):
        raise TopicError(Reason.NOT_AUTHORIZED, "A device subscribes to its own tasks and shadow/delta only.")


def device_leaf(text: str) -> str:
    """The last part of a device's filter or topic, such as `shadow/delta`."""
    return text.split("/", 2)[2]


def parse_live_filter(text: str) -> LiveFilter:
    """A user's filter over `LIVE` topics; raises `TopicError` for anything else."""
    check_filter(text)
    if text in {"#", f"{ROOT}/#"}:
        return LiveFilter(None, LIVE)
    levels = text.split("/")
    if len(levels) == 3 and levels[0] in {ROOT, "+"} and levels[1]:
        device = None if levels[1] == "+" else levels[1]
        if levels[2] in {"+", "#"}:
            return LiveFilter(device, LIVE)
        if levels[2] in LIVE:
            return LiveFilter(device, (levels[2],))
    raise TopicError(Reason.NOT_AUTHORIZED, f"Users read {ROOT}/<id or +>/{', /'.join(LIVE)}.")


def _is_own(name: str, device_id: int, device_uid: str) -> bool:
    return name in {ME, str(device_id), device_uid}
