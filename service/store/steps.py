"""What the two databases must be able to do for a group commit: each step as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.store.change import Committed, NotCommitted


@dataclass(frozen=True)
class FetchIn:
    """SELECT columns WHERE column IN values ORDER BY column, locking the rows where the database can."""

    table: str
    columns: str
    column: str
    values: Sequence[int]


@dataclass(frozen=True)
class Epochs:
    """(subject, epoch) of access_epoch, locked where the database can; what has no row yet is at 0 or missing.

    What has no row could not be locked, so PostgreSQL makes it first: a bump by another process waits for that.
    """

    values: Sequence[int]


@dataclass(frozen=True)
class Fetches:
    """Several of these, locked in their order; answers a list of rows for each."""

    parts: tuple[FetchIn | Epochs, ...]


@dataclass(frozen=True)
class Insert:
    """Rows with all columns of the table in order. on_conflict: "" (an error) or an ON CONFLICT clause.

    params: at most one integer, the value of a `?` in that clause.
    """

    table: str
    rows: list[tuple[Any, ...]]
    on_conflict: str = ""
    returning: str = ""
    params: tuple[int, ...] = ()


@dataclass(frozen=True)
class Update:
    """Rows of a table by its key, which comes last in each row, and once."""

    table: str
    columns: tuple[str, ...]
    key: str
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class DeleteIn:
    table: str
    column: str
    values: Sequence[int]


@dataclass(frozen=True)
class DeletePairs:
    """DELETE FROM ix for exact (key, vid) pairs."""

    pairs: list[tuple[int, int]]


@dataclass(frozen=True)
class Run:
    """A statement, once for each row of its values."""

    sql: str
    rows: list[tuple[Any, ...]]


Part = Insert | Update | DeleteIn | DeletePairs | Run
"""A Run in a Together has one row."""


@dataclass(frozen=True)
class Together:
    """Parts that touch different rows; answers what the first returns. PostgreSQL takes them in one statement.

    That has one snapshot, of its beginning: none of the parts may look for what another writes, nor for what another
    process commits while a part waits for it. So where a part may wait, those behind it insert given rows, or touch
    rows that this group has locked.
    """

    parts: tuple[Part, ...]


Step = FetchIn | Fetches | Insert | DeleteIn | Run | Together
Rows = list[tuple[Any, ...]]
Outcome = Committed | NotCommitted


class Collision(Exception):
    """Another process made the same new thing within the same moment: the group is run again, one by one."""
