"""What forwarded referrals say of the one they serve: children's statuses -> the parent's. Tables and pure functions.

Source: ../shared/facts/closed-loop.md 1.1 (coordination platform), 1.3 (mirroring). A child's ServiceRequest is one
piece of the work: one Task that completes it is enough. The parent is complete when each piece is. So what a
coordinator sends to several at once under one request goes to the first who completes it; under several, to all.

The parent follows from the set of its children alone: neither the order in which they moved nor how often somebody
looked counts. That is why a child that was ever accepted counts as such for ever: nothing leads back to `requested`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.workflow.referral_law import ALLOWED, OPEN

GAVE_UP = frozenset({"rejected", "cancelled", "failed"})
TAKEN = frozenset({"accepted", "in-progress", "on-hold", "completed", "failed"})
"""Statuses that tell by themselves that somebody accepted."""
BEGUN = frozenset({"in-progress", "on-hold", "completed", *GAVE_UP})
"""Statuses after which the parent is past `accepted`: it is worked on, or waits."""
MIRRORED = ("accepted", "in-progress", "on-hold", "completed", "cancelled")
"""Statuses that the parent takes over. Never rejected or failed: so says its coordinator, who may ask others first."""
ENDED_REQUEST = ("revoked", "entered-in-error")


@dataclass(frozen=True)
class Child:
    """request: the ServiceRequest in its focus. accepted: whether it ever was."""

    id: str
    status: str
    request: str
    accepted: bool = False


@dataclass(frozen=True)
class Piece:
    """One ServiceRequest of the coordinator, and the Tasks about it."""

    request: str
    children: tuple[Child, ...]
    dropped: bool = False
    """The coordinator gave this piece up: its ServiceRequest is revoked."""

    @property
    def done(self) -> bool:
        return any(child.status == "completed" for child in self.children)

    @property
    def open(self) -> tuple[Child, ...]:
        return tuple(child for child in self.children if child.status in OPEN)

    @property
    def stuck(self) -> bool:
        """Nobody does it, nobody is asked: the coordinator's turn."""
        return not self.done and not self.open and not self.dropped

    @property
    def given_up(self) -> tuple[Child, ...]:
        return tuple(child for child in self.children if child.status in GAVE_UP)


def pieces(children: Iterable[Child], requests: dict[str, str]) -> list[Piece]:
    """requests: ServiceRequest -> its status. Drafts and errors say nothing."""
    found: dict[str, list[Child]] = {}
    for child in sorted(children, key=lambda one: one.id):
        if child.status in OPEN or child.status in GAVE_UP or child.status == "completed":
            found.setdefault(child.request, []).append(child)
    return [
        Piece(request, tuple(those), requests.get(request) in ENDED_REQUEST) for request, those in sorted(found.items())
    ]


def wish(parts: Sequence[Piece], parent: str, *, cancel_asked: bool = False) -> str:
    """The status that the parent should have; "" while its children say nothing of it.

    parent: its status, which counts only as `requested` or later. cancel_asked: its requester asked to cancel (BSeR
    5.2), so that the last child that gives up confirms it.
    """
    counted = [part for part in parts if part.done or not part.dropped]
    children = [child for part in parts for child in part.children]
    if counted and all(part.done for part in counted):
        return "completed"
    active = [child for part in counted if not part.done for child in part.open]
    if cancel_asked and children and not active:
        return "cancelled"
    if parent == "requested" and not any(child.accepted or child.status in TAKEN for child in children):
        return ""
    if not any(child.status in BEGUN for child in children):
        return "accepted" if any(child.status == "accepted" for child in children) else ""
    return "on-hold" if all(child.status == "on-hold" for child in active) else "in-progress"


def next_step(old: str, wished: str) -> str:
    """The first edge of the shortest way that the law allows; "" where there is none, or none is needed."""
    if not wished or old == wished or (wished == "accepted" and old != "requested"):
        return ""
    before: dict[str, str] = {old: ""}
    waiting = deque([old])
    while waiting:
        status = waiting.popleft()
        for new in MIRRORED:
            if (status, new) in ALLOWED and new not in before:
                before[new] = status
                waiting.append(new)
    if wished not in before:
        return ""
    while before[wished] != old:
        wished = before[wished]
    return wished


RANK = ("rejected", "cancelled", "failed", "accepted", "on-hold", "in-progress", "completed")


def leading(parts: Sequence[Piece], wished: str) -> str:
    """Whose businessStatus the parent shows: Task.id of the child that got furthest, of several the last by id; "".

    While the parent is open a completed child speaks for its own piece only.
    """
    live = [child for part in parts if not part.dropped for child in part.children if child.status in RANK]
    if wished != "completed":
        live = [child for child in live if child.status != "completed"]
    return max(((RANK.index(child.status), child.id) for child in live), default=(0, ""))[1]
