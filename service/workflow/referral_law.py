"""The law of closed-loop referrals as tables: which status follows which, set by whom, with what; no I/O.

Source: SDOHCC 3.0.0 referral state machine, ../shared/facts/closed-loop.md 1.3; BSeR businessStatus, 1.9;
../shared/decisions.md 22. referrals.py (Task), referral_requests.py (ServiceRequest), referral_coupling.py (between).
"""

from typing import NamedTuple

SOURCE = "http://hl7.org/fhir/us/sdoh-clinicalcare"
REASONS = "https://enlace.example.org/fhir/CodeSystem/referral-rule"
"""Codes of statusReason where a rule moved a Task."""

REQUESTER, TARGET, EITHER = frozenset({"requester"}), frozenset({"target"}), frozenset({"requester", "target"})


class Transition(NamedTuple):
    """needs: "reason" (statusReason.text), "output" (what was done)."""

    old: str
    new: str
    who: frozenset[str]
    needs: tuple[str, ...] = ()


TRANSITIONS = (
    Transition("draft", "requested", REQUESTER),
    Transition("requested", "accepted", TARGET),
    Transition("requested", "rejected", TARGET, ("reason",)),
    Transition("requested", "cancelled", EITHER, ("reason",)),
    Transition("accepted", "in-progress", TARGET),
    Transition("accepted", "on-hold", TARGET, ("reason",)),
    Transition("accepted", "completed", TARGET, ("output",)),
    Transition("accepted", "failed", TARGET, ("reason",)),
    Transition("accepted", "cancelled", EITHER, ("reason",)),
    Transition("in-progress", "completed", TARGET, ("output",)),
    Transition("in-progress", "failed", TARGET, ("reason",)),
    Transition("in-progress", "on-hold", TARGET, ("reason",)),
    Transition("in-progress", "cancelled", EITHER, ("reason",)),
    Transition("on-hold", "in-progress", TARGET),
    Transition("on-hold", "completed", TARGET, ("output",)),
    Transition("on-hold", "failed", TARGET, ("reason",)),
    Transition("on-hold", "cancelled", EITHER, ("reason",)),
    *(
        Transition(status, "entered-in-error", REQUESTER)
        for status in (
            "draft",
            "requested",
            "accepted",
            "rejected",
            "cancelled",
            "in-progress",
            "on-hold",
            "failed",
            "completed",
        )
    ),
)
ALLOWED = {(row.old, row.new): row for row in TRANSITIONS}
FIRST = ("draft", "requested")
OPEN = ("requested", "accepted", "in-progress", "on-hold")
BEGUN = ("accepted", "in-progress")
"""Statuses in which the target works: not for a ServiceRequest that is on hold."""
TERMINAL = ("rejected", "cancelled", "failed", "completed", "entered-in-error")

FIXED = ("for", "focus", "requester", "intent", "authoredOn", "code")
"""Elements of a referral Task that never change: a different referral is a new Task."""
BELONGS = {
    **dict.fromkeys(("restriction", "partOf", "basedOn", "priority", "input", "groupIdentifier"), "requester"),
    **dict.fromkeys(("output", "executionPeriod"), "target"),
}
"""Elements that one side alone changes."""
MOST_CANDIDATES = 50
"""To so many organizations one referral is offered at once."""

RECEIVED = {
    ("", "received"): "requested",
    ("draft", "received"): "requested",
    ("requested", "received"): "requested",
    ("", "ready"): "requested",
    ("draft", "ready"): "requested",
    ("requested", "ready"): "accepted",
    ("accepted", "ready"): "accepted",
}
"""(status here, status that another profile sends) -> status stored: SDOHCC knows neither `received` nor `ready`."""

# --- ServiceRequest ------------------------------------------------------------------------------------------------

REQUEST_TRANSITIONS = frozenset(
    {
        ("draft", "active"),
        ("draft", "revoked"),
        ("active", "on-hold"),
        ("active", "revoked"),
        ("active", "completed"),
        ("on-hold", "active"),
        ("on-hold", "revoked"),
        *((status, "entered-in-error") for status in ("draft", "active", "on-hold", "revoked", "completed")),
    }
)
ENDS_ALONE = ("completed", "entered-in-error")
"""A ServiceRequest ends so only when no referral about it is open; `revoked` and `on-hold` take them along."""


class Coupled(NamedTuple):
    """What a ServiceRequest that moved makes of a Task about it. new: "" where its status stays. code: of REASONS."""

    request: str
    olds: tuple[str, ...]
    new: str
    code: str
    text: str


COUPLED = (
    Coupled("revoked", OPEN, "cancelled", "request-revoked", "The requester revoked the ServiceRequest."),
    Coupled("on-hold", BEGUN, "on-hold", "request-on-hold", "The requester put the ServiceRequest on hold."),
    Coupled(
        "active", ("on-hold",), "", "request-resumed",
        "The ServiceRequest is active again: go on when you are ready.",
    ),
)  # fmt: skip
"""The last row is for Tasks that the second one held. One that is `requested` waits as it is: no edge leads on hold."""
PARENT_CANCELLED = ("parent-cancelled", "The referral that this one serves was cancelled.")
FILLER = {
    "on-hold": {"active": "on-hold"},
    "active": {"on-hold": "active"},
    "revoked": {"active": "revoked", "on-hold": "revoked", "draft": "revoked"},
    "completed": {"active": "completed"},
}
"""Status of a ServiceRequest -> what it makes of those that are basedOn it (facts 1.3, right column)."""
HELD_BY = "https://enlace.example.org/fhir/StructureDefinition/enlace-held-by"
"""On a ServiceRequest that a rule put on hold: which other one did, so that it goes on with that one."""

RULE = "https://enlace.example.org/fhir/StructureDefinition/enlace-referral-rule"
"""On an Organization: what becomes of its ServiceRequests without a person."""
FOLD = "https://enlace.example.org/fhir/StructureDefinition/enlace-referral-fold"
"""On an Organization: its software goes from requested to in-progress; both steps are written."""
GAVE_UP = frozenset({"rejected", "failed", "cancelled"})


def ruled(rules: frozenset[str], statuses: frozenset[str]) -> tuple[str, str] | None:
    """(status of the ServiceRequest, rule) by the statuses of all its Tasks; None: its requester decides."""
    if statuses & {*OPEN, "draft"}:
        return None
    if "completed" in statuses:
        return ("completed", "complete-on-completed") if "complete-on-completed" in rules else None
    if statuses & GAVE_UP and "revoke-on-gave-up" in rules:
        return "revoked", "revoke-on-gave-up"
    return None
