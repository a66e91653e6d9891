"""Which records a row goes on writing, and how an assignment that is over is closed."""

from datetime import date
from typing import Any

import pytest

from service.workflow.member_records import Record, assignment, ended

TODAY = date(2026, 3, 7)
PLAN, PLAN_KEY, OTHER_KEY, CLINIC_KEY = "Organization/plan-1", 1, 2, 3


@pytest.mark.parametrize(
    ("status", "period", "next_start", "expected"),
    [
        ("active", {"start": "2026-01-15"}, date(2026, 3, 1), ("finished", "2026-03-01")),
        ("onhold", {"start": "2026-01-15"}, None, ("finished", "2026-03-07")),
        ("planned", {}, date(2026, 3, 1), ("cancelled", "2026-03-01")),
        ("active", {"start": "2026-01-15"}, date(2026, 4, 1), ("finished", "2026-03-07")),
        ("active", {"start": "2026-03-05"}, date(2026, 1, 1), ("finished", "2026-03-05")),
        ("active", {"start": "2026-01-15", "end": "2026-02-01"}, None, ("finished", "2026-02-01")),
        ("active", {"start": "2026-01-15", "end": "2026-12-31"}, None, ("finished", "2026-03-07")),
    ],
)
def test_a_closed_episode_ends_with_the_next_and_never_before_it_began(
    status: str, period: dict[str, str], next_start: date | None, expected: tuple[str, str]
) -> None:
    closed = ended({"resourceType": "EpisodeOfCare", "status": status, "period": period}, TODAY, next_start)
    assert (closed["status"], closed["period"]["end"]) == expected


def episode(fhir_id: str, source_org: int, provider: str = "ecm-1", **more: Any) -> Record:
    resource = {
        "resourceType": "EpisodeOfCare",
        "id": fhir_id,
        "status": "active",
        "type": [{"coding": [{"code": "ecm"}]}],
        "managingOrganization": {"reference": f"Organization/{provider}"},
    }
    return Record(resource | more, 1, source_org)


def chosen(*stored: Record) -> tuple[str | None, list[str]]:
    found = assignment(
        stored,
        plan=PLAN,
        plan_key=PLAN_KEY,
        other_plans=frozenset({OTHER_KEY}),
        provider="Organization/ecm-1",
        start=date(2026, 3, 1),
    )
    return found.episode.id if found.episode else None, [record.id for record in found.left]


def test_the_plans_own_is_chosen_before_the_providers_and_only_one_stays_live() -> None:
    assert chosen(episode("e1", CLINIC_KEY), episode("e2", PLAN_KEY)) == ("e2", ["e1"])
    assert chosen(episode("e1", CLINIC_KEY)) == ("e1", [])


def test_what_another_plan_wrote_is_neither_taken_nor_ended() -> None:
    assert chosen(episode("e1", OTHER_KEY), episode("e2", OTHER_KEY, "ecm-2")) == (None, [])


def test_an_episode_of_another_kind_is_left_alone() -> None:
    other = episode("e1", CLINIC_KEY, "ecm-2", type=[{"coding": [{"code": "hacc"}]}])
    assert chosen(other) == (None, [])


def test_a_closed_episode_is_taken_up_only_if_it_did_not_end_before() -> None:
    over = {"status": "finished", "period": {"end": "2026-02-01"}}
    assert chosen(episode("e1", PLAN_KEY, **over)) == (None, [])
    assert chosen(episode("e1", PLAN_KEY, status="finished", period={"end": "2026-03-02"})) == ("e1", [])
    assert chosen(episode("e1", PLAN_KEY, status="entered-in-error")) == (None, [])
