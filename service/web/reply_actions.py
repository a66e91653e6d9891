"""THE table of what an organization can say by a link, and the Task that follows. Pure.

../shared/facts/closed-loop.md 1.3 (who may), california.md C.1 (what unreachable, unwanted, ineligible become). The law
is in workflow/referrals.py: a row here that it refuses is refused.
"""

from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource

CLOSURE = "https://enlace.example.org/fhir/CodeSystem/clr-closure-reason"
DECLINE = "https://enlace.example.org/fhir/CodeSystem/decline-reason"
SDOH_CODES = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
UNDER_WAY = ("accepted", "in-progress", "on-hold")
LONGEST_WORDS = 500


@dataclass(frozen=True)
class Action:
    """to: the status that follows. said: words of the thanks, "" where a page of its own says them.

    reason: text of statusReason; why: its code, of CLOSURE, of a decline of DECLINE, since that closes nothing (C.1).
    note: what is written into Task.note. asks: the organization's own words are the reason, and so needed.
    """

    code: str
    at: tuple[str, ...]
    to: str
    said: str
    reason: str = ""
    why: str = ""
    note: str = ""
    asks: bool = False
    group: str = ""


ACTIONS = (
    Action("accept", ("requested",), "accepted", "accept", group="accept"),
    Action("full", ("requested",), "rejected", "", "We are at capacity", "at-capacity", group="decline"),
    Action(
        "decline-not-eligible",
        ("requested",),
        "rejected",
        "",
        "The member is not eligible for our service",
        "not-eligible",
        group="decline",
    ),
    Action(
        "decline-not-appropriate",
        ("requested",),
        "rejected",
        "",
        "The service is not appropriate for the member",
        "not-appropriate",
        group="decline",
    ),
    Action(
        "not-offered", ("requested",), "rejected", "", "We do not offer this service", "not-offered", group="decline"
    ),
    Action(
        "area", ("requested",), "rejected", "", "The member lives outside our area", "outside-area", group="decline"
    ),
    Action("decline-other", ("requested",), "rejected", "", why="other", asks=True, group="decline"),
    Action("reached", UNDER_WAY, "in-progress", "reached", note="Reached the member.", group="progress"),
    Action("tried", UNDER_WAY, "in-progress", "tried", note="Tried to reach the member.", group="progress"),
    Action("done", UNDER_WAY, "completed", "done", group="done"),
    Action(
        "unreachable",
        UNDER_WAY,
        "cancelled",
        "ended",
        "The member could not be reached",
        "unable-to-reach",
        group="end",
    ),
    Action(
        "not-wanted",
        UNDER_WAY,
        "cancelled",
        "ended",
        "The member no longer wants the service",
        "no-longer-wanted",
        group="end",
    ),
    Action(
        "not-eligible",
        UNDER_WAY,
        "cancelled",
        "ended",
        "The member is not eligible for our service",
        "not-eligible",
        group="end",
    ),
    Action(
        "not-appropriate",
        UNDER_WAY,
        "cancelled",
        "ended",
        "The service is not appropriate for the member",
        "not-appropriate",
        group="end",
    ),
    Action("other", UNDER_WAY, "failed", "ended", why="other", asks=True, group="end"),
)
BY_CODE = {one.code: one for one in ACTIONS}


@dataclass(frozen=True)
class Answer:
    """action with what was typed beside it. on: day of the service, YYYY-MM-DD."""

    action: Action
    words: str
    on: str


def offered(status: str, group: str) -> list[Action]:
    return [one for one in ACTIONS if status in one.at and one.group == group]


def after(task: Resource, answer: Answer, party: Resource, now: str) -> Resource:
    """The Task as it shall be. party: Reference to the organization. now: instant."""
    action = answer.action
    made: Resource = {name: value for name, value in task.items() if name != "statusReason"}
    made |= {"status": action.to, "lastModified": now}
    if not made.get("owner"):
        made["owner"] = party
    if reason := _reason(answer):
        made["statusReason"] = reason
    text = " ".join(part for part in (action.note, "" if action.asks else answer.words) if part)
    if text:
        made["note"] = [*(task.get("note") or ()), {"authorReference": party, "time": now, "text": text}]
    return made


def _reason(answer: Answer) -> Resource | None:
    action = answer.action
    text = answer.words if action.asks else action.reason
    if not text:
        return None
    system = DECLINE if action.to == "rejected" else CLOSURE
    coded: dict[str, Any] = {"coding": [{"system": system, "code": action.why}]} if action.why else {}
    return {**coded, "text": text}


def with_output(task: Resource, procedure: Resource) -> Resource:
    kind = {"coding": [{"system": SDOH_CODES, "code": "resulting-activity"}]}
    output = {"type": kind, "valueReference": {"reference": f"Procedure/{procedure['id']}"}}
    return {**task, "output": [*(task.get("output") or ()), output]}


def procedure(fhir_id: str, task: Resource, request: Resource | None, answer: Answer, party: Resource) -> Resource:
    """What was done, by the organization, for the request (law: a completed referral says what was done)."""
    made: Resource = {
        "resourceType": "Procedure",
        "id": fhir_id,
        "basedOn": [{"reference": str(task["focus"]["reference"])}],
        "status": "completed",
        "category": {"text": "Social service"},
        "code": (request or {}).get("code") or {"text": str(task.get("description") or "Social service")},
        "subject": task["for"],
        "performedDateTime": answer.on,
        "performer": [{"actor": party}],
    }
    if answer.words:
        made["note"] = [{"text": answer.words}]
    return made
