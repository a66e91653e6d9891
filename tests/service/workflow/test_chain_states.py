"""What children say of the parent: the table, and that neither order, nor repeats, nor when somebody looked counts."""

import itertools
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.workflow.chain_content import Below, followed
from service.workflow.chain_states import MIRRORED, TAKEN, Child, next_step, pieces, wish
from service.workflow.referral_law import ALLOWED, OPEN, TERMINAL
from tests.service.workflow.chain_world import NEEDS, WAYS

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
Resource = dict[str, Any]


def one(status: str, request: str = "r", *, accepted: bool = False, fhir_id: str = "c") -> Child:
    return Child(fhir_id, status, request, accepted or status in TAKEN)


TABLE = [
    (["requested"], "requested", ""),
    (["accepted"], "requested", "accepted"),
    (["in-progress"], "requested", "in-progress"),
    (["on-hold"], "accepted", "on-hold"),
    (["on-hold", "in-progress"], "accepted", "in-progress"),
    (["on-hold", "requested"], "accepted", "in-progress"),
    (["completed"], "requested", "completed"),
    (["completed", "requested"], "accepted", "completed"),  # one piece: the first is enough
    (["rejected"], "requested", ""),
    (["rejected"], "accepted", "on-hold"),
    (["rejected", "requested"], "on-hold", "in-progress"),
    (["failed"], "requested", "on-hold"),
    (["cancelled"], "requested", ""),
    (["cancelled"], "in-progress", "on-hold"),
    (["draft", "entered-in-error"], "requested", ""),
]


@pytest.mark.parametrize(("statuses", "parent", "wished"), TABLE)
def test_one_piece(statuses: list[str], parent: str, wished: str) -> None:
    children = [one(status, fhir_id=str(number)) for number, status in enumerate(statuses)]
    for order in itertools.permutations(children):
        assert wish(pieces(order, {"r": "active"}), parent) == wished


def test_several_pieces() -> None:
    done, open_, stuck = one("completed", "r1"), one("requested", "r2"), one("rejected", "r2")
    both = {"r1": "active", "r2": "active"}
    assert wish(pieces([done, open_], both), "accepted") == "in-progress"
    assert wish(pieces([done, stuck], both), "accepted") == "on-hold"
    assert wish(pieces([done, stuck], both | {"r2": "revoked"}), "accepted") == "completed"  # given up by its owner
    assert [piece.stuck for piece in pieces([done, stuck], both)] == [False, True]


def test_a_cancellation_that_was_asked_for_is_confirmed_by_the_last() -> None:
    both = [one("cancelled", "r1"), one("in-progress", "r2")]
    assert wish(pieces(both, {}), "in-progress", cancel_asked=True) == "in-progress"
    assert wish(pieces(both[:1], {}), "in-progress", cancel_asked=True) == "cancelled"


@pytest.mark.parametrize("old", sorted({row[0] for row in ALLOWED}))
def test_each_step_is_an_edge_of_the_law(old: str) -> None:
    for wished in (*MIRRORED, ""):
        status, walked = old, [old]
        while step := next_step(status, wished):
            assert (status, step) in ALLOWED and len(walked) < 4
            status = step
            walked.append(status)
        if wished and wished != "accepted" and old in OPEN:
            assert status == wished


# --- whatever the order --------------------------------------------------------------------------------------------

Move = tuple[int, str]
"""Which child, and to which status"""


def ways(children: int) -> st.SearchStrategy[list[tuple[str, ...]]]:
    return st.lists(st.sampled_from(sorted(WAYS.values())), min_size=children, max_size=children)


class World:
    """Children that move, and a parent that follows when somebody looks."""

    def __init__(self, requests: list[str]):
        self.requests = requests
        self.passed: list[list[str]] = [["requested"] for _ in requests]
        self.parent: Resource = {"resourceType": "Task", "id": "p", "status": "requested"}

    def look(self) -> None:
        if self.parent["status"] in TERMINAL:
            return
        children, below = [], {}
        for number, passed in enumerate(self.passed):
            status, fhir_id = passed[-1], str(number)
            children.append(Child(fhir_id, status, self.requests[number], bool(TAKEN & {*passed})))
            task = {"resourceType": "Task", "id": fhir_id, "status": status, **NEEDS.get(status, {})}
            if "statusReason" in task:
                task["statusReason"] = {"text": f"{number} {status}"}
            below[fhir_id] = Below(task)
        found = pieces(children, dict.fromkeys(self.requests, "active"))
        before = self.parent["status"]
        self.parent = followed(self.parent, found, below, "2026-03-08T00:00:00Z")
        after = self.parent["status"]
        assert before == after or (before, after) in ALLOWED

    def settle(self) -> Resource:
        for _ in range(5):
            self.look()
        settled = self.parent
        self.look()
        assert self.parent == settled  # looked at once more: nothing to write
        return settled


@settings(max_examples=3000 if DEEP else 60, deadline=None)
@given(st.data())
def test_the_parent_follows_from_the_children_alone(data: st.DataObject) -> None:
    several = data.draw(st.integers(1, 4))
    requests = data.draw(st.lists(st.sampled_from(["r1", "r2", "r3"]), min_size=several, max_size=several))
    chosen = data.draw(ways(several))
    at_the_end = World(requests)
    for number, way in enumerate(chosen):
        at_the_end.passed[number] += way
    expected = at_the_end.settle()
    for _ in range(3):
        world = World(requests)
        turns = data.draw(st.permutations([n for n, way in enumerate(chosen) for _ in way]))
        left = [list(way) for way in chosen]
        for number in turns:
            if world.parent["status"] == "completed":
                break  # what is open of a piece that is done is cancelled
            world.passed[number].append(left[number].pop(0))
            for _ in range(data.draw(st.integers(0, 3))):
                world.look()
        found = world.settle()
        assert found["status"] == expected["status"]
        if len(set(requests)) == len(requests):  # one child a piece: all that the parent holds is the same
            assert found == expected
