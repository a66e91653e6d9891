"""The line that a list shows of a resource: what, in which state, about whom."""

import pytest

from service.web.plain_line import LONGEST, plain_line

CASES = [
    ({"resourceType": "Patient", "name": [{"given": ["Rosa"], "family": "Made-up"}], "birthDate": "1970-02-03"},
     "Rosa Made-up, born 1970-02-03"),
    ({"resourceType": "Organization", "name": "Made-up Steps"}, "Made-up Steps"),
    ({"resourceType": "Task", "description": "Ramps: please answer.", "status": "requested",
      "for": {"display": "Rosa"}, "owner": {"display": "Steps"}}, "Ramps, requested, for Rosa, by Steps"),
    ({"resourceType": "Communication", "payload": [{"contentString": "Rosa was admitted."}], "status": "completed"},
     "Rosa was admitted., completed"),
    ({"resourceType": "Condition", "code": {"coding": [{"code": "E11.9", "display": "Diabetes"}]}}, "Diabetes"),
    ({"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "A ramp"}}, "A ramp, active"),
    ({"resourceType": "CareTeam", "performer": ["odd"], "code": 3, "name": {}}, "CareTeam"),
    ({"resourceType": "Basic"}, "Basic"),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "line"), CASES, ids=lambda case: str(case)[:40])
def test_lines(resource: dict[str, object], line: str) -> None:
    assert plain_line(resource) == line


def test_a_long_one_is_cut() -> None:
    line = plain_line({"resourceType": "Basic", "description": "word " * 80})
    assert len(line) <= LONGEST and line.endswith("…")
