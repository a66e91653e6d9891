"""One search while it is worked out: whose eyes, what is asked, and how much time is left."""

import time
from dataclasses import dataclass, field
from typing import Any

from service.search.criteria import Clause
from service.search.restriction import Restriction
from service.store.database import Row, TooCostly
from service.store.engine import Store
from service.store.find_clauses import Compiler
from service.store.read import Found

BUDGET_S = 5.0
"""After so long no further statement of the search is begun; each has the database's own deadline beside it."""
MAX_VALUES = 30_000
"""Placeholders of one statement: both databases end near 32,767."""
MAX_RESOLVED = 8_000
"""Keys that all chains of one search together may be replaced by."""

COLUMNS = "v.key, v.rtype, v.fhir_id, v.version, v.vid, 0, v.body, v.patient, v.labels, v.source_org"


def as_found(one: Row) -> Found:
    """A row of COLUMNS."""
    return Found(one[0], one[1], one[2], one[3], one[4], False, *one[6:10])


@dataclass
class Spent:
    """What the statements of one search share. bodies: by vid, those that came with the order of the page."""

    until_s: float = field(default_factory=lambda: time.monotonic() + BUDGET_S)
    resolved: int = 0
    bodies: dict[int, Found] = field(default_factory=dict)


@dataclass
class Asked:
    """Resources of `rtype` that fit all clauses and that `restriction` shows; included ones by `wider`.

    linked: what is shown of the types that chains and _has ask about; None: as `wider`.
    """

    store: Store
    rtype: str
    clauses: tuple[Clause, ...]
    restriction: Restriction
    wider: Restriction
    spent: Spent = field(default_factory=Spent)
    linked: Restriction | None = None

    def compiler(self) -> Compiler:
        return Compiler(self.store.db.name, self._linked())

    def about(self, rtype: str, clauses: tuple[Clause, ...]) -> "Asked":
        """The same search, looking at linked resources."""
        return Asked(self.store, rtype, clauses, self._linked(), self.wider, self.spent, self.linked)

    def _linked(self) -> Restriction:
        return self.wider if self.linked is None else self.linked

    async def fetch(self, sql: str, params: list[Any], *, heavy: bool) -> list[Row]:
        """heavy: off the event loop on SQLite. Raises TooCostly."""
        if len(params) > MAX_VALUES or time.monotonic() > self.spent.until_s:
            raise TooCostly
        return await self.store.reading(self.restriction).fetch(sql, tuple(params), heavy=heavy, varying=True)
