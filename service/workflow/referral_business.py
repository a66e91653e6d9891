"""businessStatus of a referral beside its status, where it bears a code of BSeR: what stands beside what, set by whom.

Source: BSeR 2.0.0-ballot TaskBusinessStatusCS and its 34 transitions, ../shared/facts/closed-loop.md 1.9. Codes of
other systems (the closed-loop statuses of DHCS) are not looked at here. Cancellation by the initiator is a request
(5.2) that the recipient confirms; SDOHCC's unilateral cancel stays open to the requester as well.
"""

from fhir_profiles import Resource
from service.errors import Issue

SYSTEM = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
NAMES = {
    "2.0": "created",
    "3.0": "accepted",
    "4.0": "declined",
    "5.1.1": "scheduled",
    "5.1.2": "no-show",
    "5.1.3": "event cancelled",
    "5.1.4": "visited",
    "5.2": "cancel-requested",
    "6.0": "cancelled",
    "7.0": "completed",
}
_EVENTS = ("5.1.1", "5.1.2", "5.1.3", "5.1.4")
BESIDE: dict[str, tuple[str, ...]] = {
    "draft": ("2.0",),
    "requested": ("2.0", "5.2"),
    "accepted": ("3.0", *_EVENTS, "5.2"),
    "in-progress": ("3.0", *_EVENTS, "5.2"),
    "on-hold": ("3.0", *_EVENTS, "5.2"),
    "rejected": ("4.0",),
    "cancelled": ("4.0", "5.2", "6.0"),
    "failed": ("4.0", *_EVENTS),
    "completed": ("5.1.4", "7.0"),
    "entered-in-error": tuple(NAMES),
}
"""Task.status -> codes that stand beside it."""
ASKED = "5.2"
BY_RECIPIENT: dict[str, tuple[str, ...]] = {
    "": ("3.0", "4.0", *_EVENTS, "6.0", "7.0"),
    "2.0": ("3.0", "4.0"),
    "3.0": ("4.0", "5.1.1", "5.1.4", "7.0"),
    "5.1.1": ("4.0", "5.1.2", "5.1.3", "5.1.4", "7.0"),
    "5.1.2": ("4.0", "5.1.1", "5.1.3"),
    "5.1.3": ("5.1.1",),
    "5.1.4": ("4.0", "5.1.1", "5.1.3", "7.0"),
    "5.2": ("6.0", "7.0"),
}
"""Code there was -> codes that the recipient sets. The initiator sets 2.0 at first, and may ask 5.2 of what is open."""
BY_INITIATOR: dict[str, tuple[str, ...]] = {
    "": ("2.0", ASKED),
    **dict.fromkeys(("2.0", "3.0", *_EVENTS), (ASKED,)),
}


def code_of(task: Resource) -> str:
    """The BSeR code of its businessStatus; "" without one."""
    codings = (task.get("businessStatus") or {}).get("coding") or ()
    return next((str(one.get("code", "")) for one in codings if one.get("system") == SYSTEM), "")


def without_code(task: Resource) -> Resource:
    """The Task without its BSeR code; other codings and the text of businessStatus stay."""
    status = dict(task["businessStatus"])
    status["coding"] = [one for one in status["coding"] if one.get("system") != SYSTEM]
    kept = {name: value for name, value in status.items() if value}
    rest = {name: value for name, value in task.items() if name != "businessStatus"}
    return {**rest, "businessStatus": kept} if kept else rest


def issues(old: Resource | None, new: Resource, parties: frozenset[str]) -> list[Issue]:
    """What is wrong with the businessStatus of a new version. A code that goes away is nobody's business."""
    was, code = code_of(old or {}), code_of(new)
    if not code:
        return []
    if code not in NAMES:
        return [_issue(f"businessStatus takes of {SYSTEM}: {', '.join(NAMES)}.")]
    found = []
    beside = BESIDE.get(str(new.get("status")), ())
    if code not in beside:
        text = f"businessStatus {code} ({NAMES[code]}) does not stand beside status {new.get('status')}: "
        found.append(_issue(f"{text}set {' or '.join(beside) or 'none'}, or leave it out."))
    if code != was:
        found += _moved(was, code, parties)
    return found


def _moved(was: str, code: str, parties: frozenset[str]) -> list[Issue]:
    allowed: dict[str, None] = {}
    for side, table in (("requester", BY_INITIATOR), ("target", BY_RECIPIENT)):
        if side in parties:
            allowed |= dict.fromkeys(table.get(was, ()))
    if code in allowed:
        return []
    if parties == {"requester"} and code in ("6.0", "7.0", *_EVENTS):
        text = f"The requester asks to cancel (5.2); {code} ({NAMES[code]}) is the recipient's to say."
        return [_issue(text)]
    may = ", ".join(f"{one} ({NAMES[one]})" for one in allowed) or "nothing"
    return [_issue(f"businessStatus goes from {was or 'none'} to {may} by you, not to {code} ({NAMES[code]}).")]


def _issue(text: str) -> Issue:
    return Issue(text, "Task.businessStatus", "business-rule")
