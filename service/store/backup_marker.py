"""What the database remembers of its last backup and restore: rows of `meta`, read by doctor and /metrics."""

from dataclasses import dataclass

from service.store.chain import Reads

PUT = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_NAMES = ("last_backup_us", "last_backup_bytes", "last_backup_sha256")
RESTORED = "restored_us"


@dataclass(frozen=True)
class LastBackup:
    """at_us: the instant that it holds (its snapshot), microseconds since 1970. size, sha256: of the file."""

    at_us: int
    size: int
    sha256: str


async def last_backup(database: Reads) -> LastBackup | None:
    """None: `enlace backup` never ended well here."""
    rows = await database.fetch("SELECT name, value FROM meta WHERE name IN (?, ?, ?)", _NAMES)
    found = {str(row[0]): str(row[1]) for row in rows}
    if not all(name in found for name in _NAMES):
        return None
    at_us, size, sha256 = (found[name] for name in _NAMES)
    return LastBackup(int(at_us), int(size), sha256)


def rows(last: LastBackup) -> list[tuple[str, str]]:
    """Parameters of PUT."""
    return list(zip(_NAMES, (str(last.at_us), str(last.size), last.sha256), strict=True))
