"""From a Task's status here to the one that a partner's server shows: the next legal step, or a conflict. Pure.

The partner is the target: it may take the target's edges of the law and no others. What it did in several steps while
nobody looked is written here as the same number of versions.
"""

from collections import deque
from dataclasses import dataclass

from service.workflow.referral_law import TRANSITIONS

MAPPED = {"received": "requested", "ready": "accepted"}
"""Statuses that other servers keep and ours does not (facts/closed-loop.md D2)."""
KNOWN = frozenset(
    "draft requested accepted rejected cancelled in-progress on-hold failed completed entered-in-error".split()
)


@dataclass(frozen=True)
class Step:
    """The next status; last: it is the one that the partner shows."""

    status: str
    last: bool
    needs: tuple[str, ...] = ()


class Conflict(Exception):
    """No legal way leads there: both sides moved, or the partner took a step that is not its own."""


def mapped(status: object) -> str:
    """A partner's status as ours; "" for what is no Task status."""
    code = MAPPED.get(str(status), str(status))
    return code if code in KNOWN else ""


def agreed(here: str, there: str) -> bool:
    """Whether both sides say the same, each in its own words."""
    return here == there or (here == "cancelled" and there in ("rejected", "entered-in-error"))


def step(here: str, there: str) -> Step | None:
    """The next step from here to there; None where nothing is to be done. Raises Conflict."""
    if there in ("requested", "draft") or agreed(here, there):
        return None  # it did nothing yet, or what we did for it here it will hear of
    if there == "rejected" and here in ("accepted", "in-progress", "on-hold"):
        there = "cancelled"  # a late decline, as BSeR and the reference server allow it
    if there == "entered-in-error" and here in ("requested", "accepted", "in-progress", "on-hold"):
        there = "cancelled"  # only the requester takes its referral back as an error
    path = _path(here, there)
    if path is None:
        raise Conflict(f"{here} to {there}")
    return path


def _path(here: str, there: str) -> Step | None:
    edges = _edges()
    waiting: deque[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]] = deque([(here, ())])
    seen = {here}
    while waiting:
        status, path = waiting.popleft()
        for old, new, needs in edges:
            if old != status or new in seen or (needs and new != there):
                continue  # what needs a reason or an output is a step of its own, never one on the way
            way = (*path, (new, needs))
            if new == there:
                return Step(way[0][0], len(way) == 1, way[0][1])
            seen.add(new)
            waiting.append((new, way))
    return None


def _edges() -> list[tuple[str, str, tuple[str, ...]]]:
    return [(row.old, row.new, tuple(row.needs)) for row in TRANSITIONS if "target" in row.who]
