"""Whose rights a group of Changes takes away: panel rows that go, or end sooner, and the directory. Pure.

Each bumps the access epoch of its patient, so that a write that was decided by such a row does not commit after it. A
row that stays or comes bumps nothing: a Task that goes from hand to hand costs no epoch.
"""

from collections.abc import Iterable, Mapping

from service.search.keys import Keys
from service.store.change import Change

GIVING = frozenset({"Coverage", "EpisodeOfCare", "CareTeam", "Task"})
"""Types whose resources give panel rows (service/access/panels.py)."""
COLUMNS = "source, subject, patient, start_us, end_us"
Given = tuple[int, int, int, int, int]
"""A row of COLUMNS."""


def sources(changes: Iterable[Change], keys: Keys) -> list[int]:
    """Keys of the stored resources whose rows the Changes may take away."""
    writes = (write for change in changes for write in change.writes)
    return sorted({keys.resource(write.reference) for write in writes if write.rtype in GIVING and write.expect})


def of_directory(change: Change) -> bool:
    """Whether an organization or person is written, that may be the caller of the next request."""
    return any(write.rtype in ("Organization", "Practitioner") for write in change.writes)


def losing(change: Change, keys: Keys, given: Mapping[int, list[Given]]) -> set[int]:
    """Keys of the patients whom somebody loses by this Change."""
    lost: set[int] = set()
    for write in change.writes:
        for _, subject, patient, start_us, end_us in given.get(keys.resource(write.reference), ()):
            kept = any(
                (row.subject, row.patient) == (subject, patient) and row.start_us <= start_us and row.end_us >= end_us
                for row in write.panel
            )
            if not kept:
                lost.add(patient)
    return lost
