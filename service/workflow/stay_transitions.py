"""Old state and new state of a stay -> what to tell and what to take back. Pure; the diff of their milestones.

Alert rules: facts/adt.md 1.1, 9; DHCS wants the care manager told within 24 hours of admission and discharge.
"""

from dataclasses import dataclass
from typing import Literal

from service.workflow.stay_milestones import Milestone, milestones
from service.workflow.stays import StayState

REPLACED_BY: dict[str, tuple[str, ...]] = {
    "hospital-encounter": ("hospital-encounter", "admission", "observation", "ed-arrival"),
    "ed-arrival": ("ed-arrival",),
    "observation": ("observation", "class-down"),
    "admission": ("admission", "class-down"),
    "class-down": ("admission", "observation", "class-down"),
    "transfer": ("transfer",),
    "discharge": ("discharge", "death"),
    "pending-discharge": ("pending-discharge",),
    "death": ("discharge",),
    "pre-admission": ("admission", "observation", "ed-arrival", "hospital-encounter"),
    "leave": ("leave",),
    "return": ("return",),
}
"""Which new alert says by itself that the old one no longer holds, so that no separate correction is sent."""

QUIET_WHEN_KNOWN_LATER = frozenset(
    {"ed-arrival", "observation", "admission", "pending-discharge", "transfer", "leave", "return"}
)


@dataclass(frozen=True)
class Transition:
    """One alert to make (`alert`) or to take back (`retract`).

    key: the same for the same transition of the same stay, whatever the order of arrival: with the stay's id it is
    the idempotency key. For `retract` it is the key of the alert taken back; replaced_by: the key of the alert of the
    same list that corrects it, "" if none; `replaces` is its inverse. reason: why it is taken back.
    realtime: False for the digest only; quiet_reason says why: late, not-production, superseded, planned.
    at_us, setting, before, detail: as in Milestone.
    """

    action: Literal["alert", "retract"]
    kind: str
    key: str
    at_us: int
    setting: str
    before: str = ""
    detail: str = ""
    realtime: bool = True
    quiet_reason: str = ""
    reason: str = ""
    replaces: str = ""
    replaced_by: str = ""


def transitions(old: StayState | None, new: StayState) -> list[Transition]:
    """Retractions first, then alerts in order of time. Equal states give an empty list."""
    was = milestones(old) if old is not None else ()
    now = milestones(new)
    gone = [m for m in was if m.key not in {n.key for n in now}]
    added = [m for m in now if m.key not in {w.key for w in was}]
    replaced = _pairs(gone, added)
    by = {new_key: old_key for old_key, new_key in replaced.items()}
    # What goes on under another number is told again there, by the same key: no correction on top.
    come = {m.key: m.key for m in gone if m.kind == "pre-admission" and new.start_us is not None}
    again = {m.key: m.key for m in gone} if new.void == "renumbered" else come | replaced
    retracts = [
        Transition(
            "retract", m.kind, m.key, m.at_us, m.setting, m.before, m.detail,
            reason=_reason(m, new, replaced.get(m.key)), replaced_by=again.get(m.key, ""),
        )
        for m in gone
    ]  # fmt: skip
    return retracts + [_alert(m, now, by.get(m.key, "")) for m in added]


def retract_all(state: StayState, reason: str) -> list[Transition]:
    """Takes back all that was told of a stay: its match was reversed or it moved to another person (A45).

    reason: match-reversed or moved.
    """
    return [
        Transition("retract", m.kind, m.key, m.at_us, m.setting, m.before, m.detail, reason=reason)
        for m in milestones(state)
    ]


def _pairs(gone: list[Milestone], added: list[Milestone]) -> dict[str, str]:
    """Key taken back -> key of the alert that replaces it; each new alert replaces one."""
    pairs: dict[str, str] = {}
    for old in gone:
        for kind in REPLACED_BY[old.kind]:
            match = next((m for m in added if m.kind == kind and m.key not in pairs.values()), None)
            if match is not None:
                pairs[old.key] = match.key
                break
    return pairs


def _alert(milestone: Milestone, now: tuple[Milestone, ...], replaces: str) -> Transition:
    m = milestone
    over = any(n.kind in {"discharge", "death"} and n.at_us >= m.at_us and n.key != m.key for n in now)
    quiet = ""
    if not m.production:
        quiet = "not-production"
    elif m.late:
        quiet = "late"
    elif m.kind in QUIET_WHEN_KNOWN_LATER and over:
        # "Admitted" to someone who has left would send a care manager to an empty bed.
        quiet = "superseded"
    elif m.kind == "pre-admission":
        quiet = "planned"
    return Transition(
        "alert", m.kind, m.key, m.at_us, m.setting, m.before, m.detail,
        realtime=not quiet, quiet_reason=quiet, replaces=replaces,
    )  # fmt: skip


def _reason(milestone: Milestone, new: StayState, replaced: str | None) -> str:
    """entered-in-error, visit-cancelled, discharge-cancelled, transfer-cancelled, downgraded, corrected; or why a stay
    is void: moved, match-reversed, renumbered."""
    if new.void:
        return new.void
    if new.status == "entered-in-error":
        return "entered-in-error"
    if new.status in {"cancelled", "planned"}:
        return "visit-cancelled"
    if replaced and replaced.startswith("class-down"):
        return "downgraded"
    if replaced:
        return "corrected"
    named = {"discharge": "discharge-cancelled", "transfer": "transfer-cancelled"}
    return named.get(milestone.kind, "corrected")
