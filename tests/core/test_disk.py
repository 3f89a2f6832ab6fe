"""What is refused while the disk fills up, and taken again when there is room."""

from pathlib import Path

import pytest

from roost.core.disk import MEBIBYTE, DiskGuard, Room
from roost.core.errors import NoRoom


class Disk:
    """One whose room the test decides."""

    def __init__(self) -> None:
        self.free_mib = 1000

    def __call__(self, folder: Path) -> int:
        if self.free_mib < 0:
            raise OSError("gone")
        return self.free_mib * MEBIBYTE


async def test_less_important_things_go_first() -> None:
    disk = Disk()
    guard = DiskGuard(Path(), 100, free=disk)
    seen = []
    for disk.free_mib in (100, 99, 25, 24, 0, 25, 100):
        await guard.look()
        seen.append(guard.room)
    assert seen == [
        Room.ALL, Room.TELEMETRY, Room.TELEMETRY, Room.NONE, Room.NONE, Room.TELEMETRY, Room.ALL,
    ]  # fmt: skip


async def test_it_says_what_is_refused() -> None:
    disk = Disk()
    guard = DiskGuard(Path(), 100, free=disk)
    guard.ensure_room()
    disk.free_mib = 50
    await guard.look()
    with pytest.raises(NoRoom, match="only telemetry is still stored"):
        guard.ensure_room()
    assert not guard.is_full
    disk.free_mib = 1
    await guard.look()
    assert guard.is_full


async def test_a_disk_that_cannot_be_asked_changes_nothing() -> None:
    disk = Disk()
    guard = DiskGuard(Path(), 100, free=disk)
    disk.free_mib = -1
    await guard.look()
    assert guard.room is Room.ALL


async def test_it_can_be_switched_off() -> None:
    disk = Disk()
    disk.free_mib = 0
    guard = DiskGuard(Path(), 0, free=disk)
    await guard.start()
    assert guard.room is Room.ALL
    await guard.stop()
