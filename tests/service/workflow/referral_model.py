"""A model of closed-loop referrals, written from ../shared/facts/closed-loop.md 1.3 and california.md C.1 alone.

It imports nothing of the service: what it says must be accepted, refused and with which status is another reading of
the same rules. The machine that holds the service to it: test_referral_machine.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Resource = dict[str, Any]
MOVES: dict[str, dict[str, str]] = {
    "draft": {"requested": "r"},
    "requested": {"accepted": "t", "rejected": "t", "cancelled": "rt"},
    "accepted": {"in-progress": "t", "on-hold": "t", "completed": "t", "failed": "t", "cancelled": "rt"},
    "in-progress": {"completed": "t", "failed": "t", "on-hold": "t", "cancelled": "rt"},
    "on-hold": {"in-progress": "t", "completed": "t", "failed": "t", "cancelled": "rt"},
}
"""Task.status -> next -> who: r requester, t target. Besides: any -> entered-in-error, by the requester."""
ENDED = ("rejected", "cancelled", "failed", "completed")
OVER = (*ENDED, "entered-in-error")
OPEN = ("requested", "accepted", "in-progress", "on-hold")
SAYS_WHY = ("rejected", "cancelled", "failed", "on-hold")
STATUSES = (*MOVES, *OVER)
REQUEST_MOVES = {
    "draft": ("active", "revoked"),
    "active": ("on-hold", "revoked", "completed"),
    "on-hold": ("active", "revoked"),
}
CLOSED_LOOP = {
    "requested": ("pending",),
    "accepted": ("accepted", "outreach-initiated"),
    "in-progress": ("outreach-initiated",),
    "on-hold": ("accepted", "outreach-initiated"),
    "rejected": ("declined",),
    **dict.fromkeys(("completed", "cancelled", "failed"), ("referral-loop-closed",)),
}
"""C.1 of the facts, for the Task of a provider."""
NOT_DONE = ("warm-hand-off", "authorized-quantity", "notice-of-action", "cap-exception")
"""Types of output that do not say what was done for the member."""


@dataclass(frozen=True)
class Referral:
    """A Task as it stands, with the status of the ServiceRequest that it is about."""

    body: Resource
    request: str

    @property
    def status(self) -> str:
        return str(self.body["status"])

    @property
    def owner(self) -> str:
        return str((self.body.get("owner") or {}).get("reference", ""))

    @property
    def requester(self) -> str:
        return str(self.body["requester"]["reference"])

    @property
    def focus(self) -> str:
        return str(self.body["focus"]["reference"])

    @property
    def parent(self) -> str:
        return next((str(one["reference"]) for one in self.body.get("partOf", ())), "")

    @property
    def candidates(self) -> list[str]:
        return [one["reference"] for one in (self.body.get("restriction") or {}).get("recipient", ())]

    @property
    def version(self) -> int:
        return int(self.body["meta"]["versionId"])

    @property
    def asked(self) -> bool:
        """Its requester asked to cancel (BSeR 5.2)."""
        return any(c.get("code") == "5.2" for c in (self.body.get("businessStatus") or {}).get("coding", ()))


def party_to(one: Referral, organization: str, others: Sequence[Referral]) -> bool:
    """Whether a CBO sees it: as owner of something that was sent and not declined, or while it is offered to it.

    others: all referrals of the member. Who has the member by one of them, or is offered one, sees what else names it:
    so also that it declined before.
    """
    offered = is_offered(one, organization)
    has_member = any(
        is_offered(o, organization)
        or (o.owner == organization and o.status in (*OPEN, "completed", "failed", "cancelled"))
        for o in others
    )
    return offered or (one.owner == organization and has_member)


def is_offered(one: Referral, organization: str) -> bool:
    return one.status == "requested" and not one.owner and organization in one.candidates


def sides(one: Referral, organization: str, claimed: bool) -> str:
    found = "r" if organization == one.requester else ""
    claims = claimed and not one.owner and organization in one.candidates
    return found + ("t" if organization == one.owner or claims else "")


def moved(one: Referral, who: str, sees: bool, changes: Resource, match: str) -> int:
    """The HTTP status of a write that sets `status` and what else is in changes. match: good, stale, none."""
    if not sees:
        return 412 if one.owner and who in one.candidates else 404
    if match != "good":
        return 412 if match == "stale" else 428
    new, old = str(changes["status"]), one.status
    mine = sides(one, who, "owner" in changes)
    changed = any(one.body.get(name) != value for name, value in changes.items())
    if new == old:
        if not changed:
            return 200  # no version comes of it, whoever sees it sent it
        if not mine:
            return 403
        wrong = old in OVER or ("output" in changes and "t" not in mine) or "owner" in changes
        return 422 if wrong else 200
    by = MOVES.get(old, {}).get(new, "r" if new == "entered-in-error" else "")
    if not by:
        return 422
    if not set(by) & set(mine):
        return 403
    after = one.body | changes
    if new in SAYS_WHY and not (after.get("statusReason") or {}).get("text"):
        return 422
    if new == "completed" and not any(says_what(one) for one in after.get("output", ())):
        return 422
    if "output" in changes and "t" not in mine:
        return 422
    if "owner" in changes and new != "accepted":
        return 422
    begins = new in ("accepted", "in-progress") or (old, new) == ("draft", "requested")
    return 422 if begins and one.request != "active" else 200


def says_what(output: Resource) -> bool:
    codes = {c.get("code") for c in output["type"].get("coding", ())}
    return not codes & {*NOT_DONE}


def request_moved(old: str, new: str, about: Sequence[Referral], above: Sequence[str] = ()) -> int:
    """Of a write by its requester. above: statuses of the requests that it serves."""
    if old == new:
        return 200
    if new != "entered-in-error" and new not in REQUEST_MOVES.get(old, ()):
        return 422
    if new == "active" and old == "on-hold" and {*above} & {"on-hold", "revoked", "entered-in-error"}:
        return 422
    ends = new in ("completed", "entered-in-error")
    return 422 if ends and any(one.status in OPEN for one in about) else 200


def authorized(one: Referral, outcome: str, said: bool, before: str) -> int:
    """Of $authorize by the plan that owns it. before: the outcome that stands; said: a reason was given."""
    if not said and outcome in ("denied", "withdrawn", "pended"):
        return 400
    if one.status in OVER or one.status == "draft":
        return 422
    if outcome == "approved":
        return 422 if one.status == "requested" and one.request != "active" else 200
    return 422 if before == "approved" else 200


def coded(body: Resource, element: str, system: str) -> str:
    codings = (body.get(element) or {}).get("coding", ())
    return next((str(c.get("code", "")) for c in codings if str(c.get("system", "")).endswith(system)), "")


# --- what holds of all versions, and of what stands when nobody is at work ------------------------------------------


def history_faults(versions: Sequence[Resource]) -> list[str]:
    """Of one Task, oldest version first."""
    found = []
    for number, (old, new) in enumerate(pairwise(versions), 2):
        was, now = old["status"], new["status"]
        if new["meta"]["versionId"] != str(number):
            found.append(f"version {number} is called {new['meta']['versionId']}")
        if was != now and now != "entered-in-error" and now not in MOVES.get(was, {}):
            found.append(f"{was} -> {now}")
        if was != now and now in SAYS_WHY and not (new.get("statusReason") or {}).get("text"):
            found.append(f"{now} without a reason")
        if was != now and now == "completed" and not new.get("output"):
            found.append("completed without output")
        if was in OVER and was == now and _said(old) != _said(new):
            found.append(f"{was} was altered")
        if old.get("owner") and old["owner"] != new.get("owner"):
            found.append("another owner")
        if not old.get("owner") and new.get("owner") and (was, now) != ("requested", "accepted"):
            found.append("claimed otherwise")
        fixed = ("for", "focus", "requester", "intent", "authoredOn", "code", "partOf")
        found += [f"{name} changed" for name in fixed if old.get(name) != new.get(name)]
        if new["meta"]["lastUpdated"] < old["meta"]["lastUpdated"]:
            found.append("time went back")
    return found


def _said(body: Resource) -> Resource:
    return {name: value for name, value in body.items() if name not in ("meta", "extension")}


def facts_of(versions: Sequence[Resource]) -> list[tuple[str, str, str]]:
    """(kind, was, status) that must be told of a Task."""
    found, was = [], ""
    for one in versions:
        now = one["status"]
        if now not in ("draft", was) and not (was in ("", "draft") and now == "entered-in-error"):
            found.append(("opened" if was in ("", "draft") else "moved", was, now))
        was = now
    return found


def standing_faults(referrals: dict[str, Referral], requests: dict[str, Resource], items: set[str]) -> list[str]:
    """What the referrals and requests of a member say to each other when no job waits.

    items: Tasks (referrals) that somebody is asked to find another provider for.
    """
    found = []
    for name, one in referrals.items():
        if one.request in ("revoked", "entered-in-error", "completed") and one.status in OPEN:
            found.append(f"{name} is {one.status}, its request {one.request}")
        if one.request == "on-hold" and one.status in ("accepted", "in-progress"):
            found.append(f"{name} is {one.status} while its request is on hold")
        if one.status not in OPEN and "overdue" in str(one.body.get("extension", "")):
            found.append(f"{name} is over and overdue")
        if one.request in ("revoked", "completed", "entered-in-error") and name in items:
            found.append(f"somebody looks for another for {name}, its request is {one.request}")
        below = [child for child in referrals.values() if child.parent == name and child.requester == one.owner]
        if below:
            found += _chain_faults(name, one, below, requests, items)
    for name, request in requests.items():
        for based in request.get("basedOn", ()):
            above = str(requests[based["reference"]]["status"])
            if above in ("revoked", "completed") and request["status"] in ("active", "on-hold"):
                found.append(f"{name} is {request['status']}, what it serves {above}")
            if above == "on-hold" and request["status"] == "active":
                found.append(f"{name} goes on, what it serves is on hold")
    return found


def _chain_faults(
    name: str, one: Referral, below: list[Referral], requests: dict[str, Resource], items: set[str]
) -> list[str]:
    pieces: dict[str, list[Referral]] = {}
    for child in below:
        if child.status not in ("draft", "entered-in-error"):
            pieces.setdefault(child.focus, []).append(child)
    done = {focus for focus, those in pieces.items() if any(child.status == "completed" for child in those)}
    counted = [f for f in pieces if f in done or requests[f]["status"] not in ("revoked", "entered-in-error")]
    found = []
    for child in below:
        if child.status in OPEN and (one.status in OVER or child.focus in done):
            found.append(f"a part of {name} ({one.status}) goes on though it is not needed")
    if one.status == "requested" and any(child.status in OPEN[1:] or child.status == "completed" for child in below):
        found.append(f"{name} is requested, and somebody works on it")
    if one.status in OPEN and one.request == "active" and counted and len(done) == len(counted):
        found.append(f"{name} is {one.status}, and all of it is done")
    stuck = [f for f in counted if f not in done and not any(c.status in OPEN for c in pieces[f])]
    if one.status in OPEN and bool(stuck) != (name in items):
        found.append(f"{name}: work to find another: {name in items}, nobody does it: {bool(stuck)}")
    return found
