"""Which errors of PostgreSQL say something about the server or the connection, and what follows from each: THE table.

https://www.postgresql.org/docs/15/errcodes-appendix.html
A class covers its subclasses; the first row that fits counts. An error without a row is a defect, of ours or of one
Change.
"""

from enum import Enum

import asyncpg

from service.store.database import Full, Unavailable


class Fault(Enum):
    """What to do about an error."""

    OURS = "a defect of ours: asyncpg calls a wrong parameter InterfaceError and ValueError"
    AGAIN = "a race between transactions: the same group at once"
    TOO_LONG = "a statement or a lock took too long: nothing happened, the connection is good"
    BUSY = "no connection, no memory: nothing happened, the connections that we have are good"
    FULL = "no space: nothing happened, the connection is good"
    LOST = "the connection is gone or leads to the wrong server; what was under way is unknown"


FAULTS: tuple[tuple[type[Exception], Fault], ...] = (
    (ValueError, Fault.OURS),
    (asyncpg.SerializationError, Fault.AGAIN),
    (asyncpg.DeadlockDetectedError, Fault.AGAIN),
    (asyncpg.InvalidCachedStatementError, Fault.AGAIN),  # a migration went by; asyncpg has dropped its cache
    (asyncpg.OutdatedSchemaCacheError, Fault.AGAIN),
    (asyncpg.QueryCanceledError, Fault.TOO_LONG),
    (asyncpg.LockNotAvailableError, Fault.TOO_LONG),
    (asyncpg.DiskFullError, Fault.FULL),
    (asyncpg.InsufficientResourcesError, Fault.BUSY),  # too many connections, out of memory, out of shared locks
    (asyncpg.OperatorInterventionError, Fault.LOST),  # shut down, crashed, starting up, database dropped, idle session
    (asyncpg.PostgresConnectionError, Fault.LOST),
    (asyncpg.IdleInTransactionSessionTimeoutError, Fault.LOST),
    (asyncpg.TransactionTimeoutError, Fault.LOST),
    (asyncpg.ReadOnlySQLTransactionError, Fault.LOST),  # a server that became a standby: ask the address anew
    (asyncpg.InvalidAuthorizationSpecificationError, Fault.LOST),  # at connect: pg_hba or password while it is rebuilt
    (asyncpg.InvalidCatalogNameError, Fault.LOST),  # at connect: the database is being restored
    (asyncpg.PostgresSystemError, Fault.LOST),  # input or output error of the server's disk
    (asyncpg.InternalClientError, Fault.LOST),  # a protocol state that only a new connection mends
    (asyncpg.InterfaceError, Fault.LOST),
    (OSError, Fault.LOST),  # refused, reset, no route, no such host, TimeoutError
)


def fault_of(error: BaseException) -> Fault | None:
    """The first row of FAULTS that fits; None where none does, or where the error is ours."""
    if isinstance(error, asyncpg.InterfaceError) and str(error).startswith("the server expects"):
        return None  # too many or too few parameters: a new connection would not mend that
    found = next((fault for kind, fault in FAULTS if isinstance(error, kind)), None)
    return None if found is Fault.OURS else found


def as_unavailable(error: BaseException, fault: Fault) -> Unavailable:
    """What the store's callers hear: the name of the error, never its text."""
    return Full(type(error).__name__) if fault is Fault.FULL else Unavailable(type(error).__name__)


def pause_s(since_s: float) -> float:
    """Between two tries to connect: short for the first seconds, since most restarts take no longer."""
    return 0.1 if since_s < 5 else 1.0
