"""Whether the store has space to grow: below the reserve, writes are refused so that reads and their audit rows go on.

An audited read needs its audit row committed, and a volume that is really full takes none: so writes stop earlier. What
may still be written is small: audit rows, tokens and sessions, states of jobs, deletions, housekeeping.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Protocol

from service.log_events import STORE_FULL, STORE_ROOM, log
from service.store.change import Change

LOOK_S = 0.2
MB = 1_000_000

GROWING = ("INSERT INTO inbox ", "INSERT INTO plan_file ", "INSERT INTO stay_event ")
"""Statements that store what came from outside."""


def grows(change: Change) -> bool:
    """Whether a Change needs space that matters: a resource, a message, a file. A deletion has no body."""
    return any(write.resource is not None for write in change.writes) or any(
        statement.sql.startswith(GROWING) for statement in change.statements
    )


class Room(Protocol):
    def full(self) -> bool: ...


class Unlimited:
    """No reserve, no limit: the disk decides."""

    def full(self) -> bool:
        return False


class DiskReserve:
    """SQLite: the free space of the database's volume, looked at five times a second at most."""

    def __init__(
        self,
        folder: str,
        reserve_mb: int,
        *,
        now: Callable[[], float] = time.monotonic,
        free: Callable[[str], int] | None = None,
    ):
        self._folder, self._reserve = folder, reserve_mb * MB
        self._now, self._free = now, free or free_bytes
        self._next, self._full = 0.0, False

    def full(self) -> bool:
        if self._now() >= self._next:
            self._next = self._now() + LOOK_S
            with contextlib.suppress(OSError):  # a volume that cannot be asked will say so when it is written to
                free = self._free(self._folder)
                self._full = _told(self._full, free < self._reserve, free, self._reserve)
        return self._full


class SizeLimit:
    """PostgreSQL: the size of the database as last measured; its disk is out of our sight."""

    def __init__(self, limit_mb: int):
        self._limit, self._full = limit_mb * MB, False

    def measured(self, size: int) -> None:
        self._full = _told(self._full, size >= self._limit, self._limit - size, 0)

    def full(self) -> bool:
        return self._full


def free_bytes(folder: str) -> int:
    """What an unprivileged process may still write there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _told(before: bool, now: bool, free: int, reserve: int) -> bool:
    if now != before:
        log(STORE_FULL if now else STORE_ROOM, free_mb=free // MB, reserve_mb=reserve // MB)
    return now
