"""Which transitional care a member is in: pure, over all discharges known of the member, in whatever order they came.

DHCS PHM Policy Guide, facts/california.md B.10: a second transition within 7 days begins the 7 and the 30 days anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.workflow.timer_kinds import days_between

RESTART_DAYS = 7
SAME_MANAGER_DAYS = 30
CANCELLED, SUPERSEDED, DEATH = "cancelled", "superseded", "death"


@dataclass(frozen=True)
class Care:
    """One discharge and its CarePlan. id: of the CarePlan. gone: the discharge did not happen, or was of another."""

    id: str
    discharged_us: int
    gone: bool = False


@dataclass(frozen=True)
class Verdict:
    """reason: "" where the care goes on, else why it does not. follows: the CarePlan before it, that it begins anew.

    by: the CarePlan that supersedes it.
    """

    reason: str = ""
    by: str = ""
    follows: str = ""


def verdicts(cares: Sequence[Care], *, dead: bool, zone: str) -> dict[str, Verdict]:
    """Id -> what becomes of it. Of discharges within 7 days of each other the last one counts."""
    standing = sorted((c for c in cares if not c.gone), key=lambda c: (c.discharged_us, c.id))
    out = {c.id: Verdict(CANCELLED) for c in cares if c.gone}
    for n, care in enumerate(standing):
        after = standing[n + 1] if n + 1 < len(standing) else None
        before = standing[n - 1] if n else None
        superseded = after is not None and _within(care, after, RESTART_DAYS, zone)
        follows = before.id if before is not None and _within(before, care, RESTART_DAYS, zone) else ""
        reason = DEATH if dead else SUPERSEDED if superseded else ""
        out[care.id] = Verdict(reason, after.id if after is not None and superseded else "", follows)
    return out


def _within(first: Care, second: Care, days: int, zone: str) -> bool:
    return days_between(first.discharged_us, second.discharged_us, zone) <= days


def manager(leads: Sequence[str], former: str) -> str:
    """Who answers for it: who did before, as long as that person leads the member's care; else the first lead."""
    return former if former in leads else next(iter(leads), "")
