"""How often a disk is looked at before it is written to."""

from __future__ import annotations

from pathlib import Path

import pytest
from groundwire_index.errors import ResourceExhaustedError
from groundwire_server.memory.redis_room import PLENTY_BYTES, RESERVE_BYTES, DiskRoom


class Disk:
    """Has so many bytes left, and counts who asks; its time stands still."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.looks = 0
        self.now = 1000.0

    def room(self) -> DiskRoom:
        return DiskRoom(Path("unused"), clock=lambda: self.now, free_bytes=self.look)

    def look(self, folder: Path) -> int:
        del folder
        self.looks += 1
        return self.free


async def test_a_disk_with_plenty_is_looked_at_now_and_then() -> None:
    disk = Disk(PLENTY_BYTES + 1000)
    room = disk.room()
    for _ in range(10):
        await room.require(100)
    assert disk.looks == 1
    await room.require(1)
    assert disk.looks == 2
    await room.require(1)
    disk.now += 0.2
    await room.require(1)
    assert disk.looks == 3


async def test_a_disk_that_fills_is_looked_at_before_each_write() -> None:
    disk = Disk(RESERVE_BYTES + 100)
    room = disk.room()
    for looks in (1, 2):
        await room.require(100)
        assert disk.looks == looks
    disk.free = RESERVE_BYTES + 99
    with pytest.raises(ResourceExhaustedError, match="full"):
        await room.require(100)


async def test_a_write_larger_than_what_was_seen_to_be_plenty_is_looked_at() -> None:
    disk = Disk(PLENTY_BYTES + 1000)
    room = disk.room()
    await room.require(1)
    disk.free = 0
    with pytest.raises(ResourceExhaustedError, match="full"):
        await room.require(2000)
