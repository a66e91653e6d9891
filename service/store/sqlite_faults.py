"""Which errors of SQLite say something about the disk or the file, not about one Change: https://sqlite.org/rescode.html"""

import sqlite3

from service.store.database import Full, Unavailable

FAULTS: dict[int, type[Unavailable]] = {
    sqlite3.SQLITE_FULL: Full,
    sqlite3.SQLITE_BUSY: Unavailable,
    sqlite3.SQLITE_LOCKED: Unavailable,
    sqlite3.SQLITE_IOERR: Unavailable,
    sqlite3.SQLITE_CANTOPEN: Unavailable,
    sqlite3.SQLITE_READONLY: Unavailable,
    sqlite3.SQLITE_PROTOCOL: Unavailable,
    sqlite3.SQLITE_NOMEM: Unavailable,
    sqlite3.SQLITE_NOLFS: Unavailable,
}
"""Primary result code -> what the store's callers hear."""

_SHM = frozenset({sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP})
"""The index of the WAL cannot grow: there is no other reason than a volume without space."""


def fault_of(error: BaseException) -> Unavailable | None:
    """The error as callers hear it; None where it is a defect of ours or of one Change."""
    if isinstance(error, Unavailable):
        return error
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error) or code is None:
        return None
    kind = Full if code in _SHM else FAULTS.get(code & 0xFF)
    return kind(f"SQLite {error.sqlite_errorname}") if kind else None
