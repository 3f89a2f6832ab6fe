"""What a server and all of its children cost, and on which core they run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


def tree_cpu_s(pid: int) -> float:
    """CPU time of a process and its children, those that have ended included."""
    process = psutil.Process(pid)
    used = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            used += sum(each.cpu_times()[:4])
        except psutil.NoSuchProcess:  # it ended just now, and its parent has what it used
            continue
    return used


def tree_memory_mib(pid: int) -> float:
    """Resident memory, what processes share (PostgreSQL's buffers) counted once (PSS)."""
    process = psutil.Process(pid)
    used = 0
    for each in (process, *process.children(recursive=True)):
        try:
            used += each.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return used / 2**20


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started in here runs on this core, with all its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
