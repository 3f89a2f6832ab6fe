"""The parts of the work that one process may do alone."""

import enum


class Part(enum.Flag):
    """What a process does. One does everything, unless `NATS_URL` lets several share the work."""

    API = enum.auto()
    MQTT = enum.auto()
    WORKER = enum.auto()
    EVERYTHING = API | MQTT | WORKER
