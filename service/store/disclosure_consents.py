"""Which Consents let a caller have protected data now: what has to be told with it (42 CFR 2.32). Table clearance."""

from collections.abc import Sequence
from typing import NamedTuple

from service.search.restriction import Restriction
from service.store.dialect import marks
from service.store.engine import Store


class Permit(NamedTuple):
    """reference: of the Consent; "" where it is an emergency access. purpose: v3-ActReason code, "": any.

    patient: its key.
    """

    patient: int
    reference: str
    purpose: str
    end_us: int


async def permits(store: Store, patients: Sequence[int], bits: int, restriction: Restriction) -> list[Permit]:
    """Rules in force that permit the caller data of these patients (keys) that bears one of the label bits."""
    if not patients or restriction.unrestricted:
        return []
    actors, now = restriction.actors or restriction.own or (0,), restriction.now_us
    team = (
        "EXISTS (SELECT 1 FROM panel t WHERE t.patient = c.patient AND t.source = c.actor AND t.basis = 'care-team' "
        f"AND t.subject IN ({marks(len(actors))}) AND t.start_us <= ? AND t.end_us > ?)"
    )
    sql = (
        "SELECT DISTINCT c.patient, COALESCE(r.fhir_id, ''), c.purpose, c.end_us FROM clearance c "
        f"LEFT JOIN resource r ON r.key = c.consent WHERE c.patient IN ({marks(len(patients))}) "
        "AND (c.labels & ?) <> 0 AND (c.grade & 1) = 0 AND c.start_us <= ? AND c.end_us > ? "
        f"AND c.purpose IN ({marks(1 + len(restriction.purposes))}) "
        f"AND (c.actor IN (0, {marks(len(actors))}) OR {team}) ORDER BY 2, 3, 4, 1"
    )
    params = (*patients, bits, now, now, "", *restriction.purposes, *actors, *actors, now, now)
    rows = await store.fetch(sql, params)
    return [Permit(row[0], f"Consent/{row[1]}" if row[1] else "", row[2], row[3]) for row in rows]
