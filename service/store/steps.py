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
    sql: str
    rows: list[tuple[Any, ...]]


Step = FetchIn | Insert | DeleteIn | DeletePairs | Run
Rows = list[tuple[Any, ...]]
Outcome = Committed | NotCommitted


class Collision(Exception):
    """Another process made the same new thing within the same moment: the group is run again, one by one."""
