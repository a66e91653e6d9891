"""Reads of the panel table: whose members a caller has now, and what gave them to it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from service.search.restriction import Restriction, See
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import ASSIGNED, panel_row, visible

RELATIONSHIPS = ("Coverage", "EpisodeOfCare", "CareTeam", "Task")
"""Types that give panel rows."""


_HAVING = "p.role <> 'task-candidate'"
"""To whom a referral is only offered does not have its member."""


class Given(NamedTuple):
    """A panel row of one resource, as stored."""

    subject: int
    patient: int
    role: str
    start_us: int
    end_us: int


async def has_patients(store: Store, patients: Sequence[str], restriction: Restriction) -> set[str]:
    """Those of the Patient references that exist and are in the caller's panel now.

    Who sees whole records has a member by an assignment; a Task that is still open does not outlive it.
    """
    if not patients or not restriction.subjects:
        return set()
    by_key = {store.keys.resource(reference): reference for reference in patients}
    which = ASSIGNED if restriction.rule("Patient") is See.PANEL else _HAVING
    mine, params = panel_row("r.key", restriction, which)
    sql = f"SELECT r.key FROM resource r WHERE r.key IN ({marks(len(by_key))}) AND r.deleted = 0 AND {mine}"
    return {by_key[row[0]] for row in await store.fetch(sql, (*by_key, *params))}


async def given(store: Store, source: int) -> list[Given]:
    """The rows that a resource (its key) gives now."""
    sql = "SELECT subject, patient, role, start_us, end_us FROM panel WHERE source = ?"
    return [Given(*row) for row in await store.fetch(sql, (source,))]


async def has_otherwise(store: Store, patient: int, restriction: Restriction, source: int, *, by_task: bool) -> bool:
    """Whether the caller or its organization has the patient now by another resource than this one.

    An emergency access is not given on. by_task: a Task that is to be fulfilled counts as well.
    """
    seen = replace(restriction, subjects=tuple(dict.fromkeys((*restriction.subjects, *restriction.own))))
    which = "(p.basis <> 'task' OR p.role = 'task-owner')" if by_task else ASSIGNED
    row, params = panel_row("?", seen, f"{which} AND p.basis <> 'break-glass' AND p.source <> {int(source)}")
    return bool(await store.fetch(f"SELECT 1 WHERE {row}", (patient, *params)))


async def wrote_patient(store: Store, patient: int, restriction: Restriction, *, alone: bool) -> bool:
    """Whether the caller's organization wrote the Patient; alone: and no other ever wrote of a relationship to it."""
    own = restriction.own or (0,)
    sql = f"SELECT 1 FROM resource r WHERE r.key = ? AND r.deleted = 0 AND r.source_org IN ({marks(len(own))})"
    params: list[object] = [patient, *own]
    if alone:
        sql += (
            " AND NOT EXISTS (SELECT 1 FROM resource o WHERE o.patient = r.key "
            f"AND o.rtype IN ({marks(len(RELATIONSHIPS))}) AND o.source_org NOT IN ({marks(len(own))}))"
        )
        params += [*RELATIONSHIPS, *own]
    return bool(await store.fetch(sql, tuple(params)))


async def standing(store: Store, rtype: str, key: int, restriction: Restriction) -> tuple[int | None, int] | None:
    """(key of its patient, that patient's access epoch) while the caller sees the resource, in one statement."""
    condition, params = visible("r", rtype, restriction)
    sql = (
        "SELECT r.patient, (SELECT a.epoch FROM access_epoch a WHERE a.subject = r.patient) FROM resource r "
        f"WHERE r.key = ? AND r.deleted = 0 AND {condition or '1 = 1'}"
    )
    rows = await store.fetch(sql, (key, *params))
    return (rows[0][0], rows[0][1] or 0) if rows else None
