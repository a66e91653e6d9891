"""Which of a person's members are in hospital now: since when, and when the hospital expects to discharge them.

For the digest (numbers alone) and for the person's own list (service/operations/own_in_hospital.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.notify.texts import Said, said
from service.store import alert_work
from service.store.engine import Store

DAY_US = 86_400_000_000
SOON_US = DAY_US + DAY_US // 2
"""A digest in the morning counts who leaves by the end of tomorrow."""


@dataclass(frozen=True)
class Present:
    """A stay that lasts. encounter, patient: relative references. expected_us: of the discharge, None where unknown."""

    encounter: str
    patient: str
    klass: str
    start_us: int
    expected_us: int | None

    def days(self, now_us: int) -> int:
        """Length of stay, begun days; the first is 1."""
        return max(0, now_us - self.start_us) // DAY_US + 1


async def of_person(store: Store, person: str, now_us: int) -> list[Present]:
    """Of the members whose care the person leads, the longest stay first."""
    rows = await alert_work.led_in_hospital(store, person, now_us)
    expected = await alert_work.expected_discharges(store, [row.stay for row in rows])
    return [
        Present(f"Encounter/{row.stay}", row.patient, row.klass, row.start_us, expected.get(row.stay)) for row in rows
    ]


def line(there: Sequence[Present], language: str, now_us: int) -> Said | None:
    """For a digest; None where nobody is in hospital."""
    if not there:
        return None
    soon = sum(one.expected_us is not None and one.expected_us <= now_us + SOON_US for one in there)
    longest = max(one.days(now_us) for one in there)
    members = len({one.patient for one in there})
    return said("notice.in-hospital", language, count=members, first=longest, last=soon)
