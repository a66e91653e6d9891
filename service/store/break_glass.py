"""Emergency access as rows: who took it (table break_glass), the patient in the person's panel, and what it clears.

Panel row and clearance rows bear their end, so that the access ends by itself: nothing has to run.
"""

import json
from typing import NamedTuple

from service.search.clearance import EMERGENCY, DataKind
from service.search.restriction import Restriction
from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import panel_row

BASIS = "break-glass"


class Taken(NamedTuple):
    """Columns of the table in their order; see service/store/tables_access.py."""

    id: str
    actor: str
    organization: str
    patient: str
    reason: str
    emergency: str
    start_us: int
    end_us: int
    reviewed_us: int | None = None
    reviewer: str | None = None
    verdict: str | None = None

    @property
    def source(self) -> str:
        """What its panel and clearance rows name as theirs."""
        return f"BreakGlass/{self.id}"

    @property
    def part2(self) -> bool:
        return bool(self.emergency)


def opened(store: Store, taken: Taken, labels: int) -> list[Statement]:
    """The row, the patient in the person's panel, and a rule that clears these label bits for the person alone."""
    keys = store.keys
    patient, person, source = (keys.resource(one) for one in (taken.patient, taken.actor, taken.source))
    columns = ", ".join(Taken._fields)
    panel = (person, patient, source, BASIS, BASIS, taken.start_us, taken.end_us)
    any_data = int(DataKind.ANY)
    rule = (patient, source, 0, person, 0, "", labels, "", any_data, 0, EMERGENCY, taken.start_us, taken.end_us)
    return [
        Statement(f"INSERT INTO break_glass ({columns}) VALUES ({marks(len(taken))})", tuple(taken)),
        Statement(
            "INSERT INTO panel (subject, patient, source, basis, role, start_us, end_us) VALUES (?, ?, ?, ?, ?, ?, ?)",
            panel,
        ),
        Statement(
            "INSERT INTO clearance (patient, consent, number, actor, also, purpose, labels, rtype, data_kind, data, "
            f"grade, start_us, end_us) VALUES ({marks(len(rule))})",
            rule,
        ),
    ]


def reviewed(fhir_id: str, now_us: int, reviewer: str, verdict: str) -> Statement:
    return Statement(
        "UPDATE break_glass SET reviewed_us = ?, reviewer = ?, verdict = ? WHERE id = ?",
        (now_us, reviewer, verdict, fhir_id),
    )


async def all_taken(store: Store, *, waiting: bool) -> list[Taken]:
    """Newest first; waiting: only what nobody has reviewed."""
    sql = f"SELECT {', '.join(Taken._fields)} FROM break_glass"
    sql += " WHERE reviewed_us IS NULL" if waiting else ""
    return [Taken(*row) for row in await store.fetch(f"{sql} ORDER BY start_us DESC, id")]


async def by_id(store: Store, fhir_id: str) -> Taken | None:
    rows = await store.fetch(f"SELECT {', '.join(Taken._fields)} FROM break_glass WHERE id = ?", (fhir_id,))
    return Taken(*rows[0]) if rows else None


async def only_in_emergency(store: Store, patient: int, restriction: Restriction) -> bool:
    """Whether the caller has the patient (key) now, and by emergency access alone: then it reads and does not write."""
    taken, params = panel_row("?", restriction, f"p.basis = '{BASIS}'")
    assigned, more = panel_row("?", restriction, f"p.basis <> '{BASIS}'")
    sql = f"SELECT 1 WHERE {taken} AND NOT {assigned}"
    return bool(await store.fetch(sql, (patient, *params, patient, *more)))


def emergency_facts(taken: Taken) -> dict[str, str]:
    return dict(json.loads(taken.emergency)) if taken.emergency else {}
