"""What a provision names, element by element, and what is refused as not interpretable."""

from typing import Any

import pytest

from service.access.consent.provisions import Frame, Source, frame
from service.access.consent.rules import ACT, CONFIDENTIALITY, GENERAL, bits_of
from service.search.keys import Keys
from tests.service.access.consent.consents import of_data, rule

KEYS = Keys(b"secret")
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"


def framed(provision: dict[str, Any]) -> tuple[Frame, list[str]]:
    problems: list[str] = []
    return frame(provision, "provision", Source(KEYS, "https://enlace.example.org/fhir"), problems), problems


def coded(system: str, code: str) -> list[dict[str, str]]:
    return [{"system": system, "code": code}]


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("action", [{"coding": coded(ACTION, "sell")}]),
        ("action", [{"coding": coded("urn:x", "access")}]),
        ("securityLabel", coded("urn:x", "N")),
        ("securityLabel", coded("urn:x", "R")),
        ("securityLabel", coded(CONFIDENTIALITY, "SUD")),
        ("securityLabel", coded(ACT, "unlisted")),
        ("data", of_data("instance", "https://other.example.org/fhir/Condition/1")),
        ("data", of_data("related", "#contained")),
        ("data", of_data("authoredby", "Practitioner/1")),
        ("data", of_data("unheard", "Condition/1")),
    ],
)
@pytest.mark.parametrize("kind", ["permit", "deny"])
def test_what_is_not_known_is_a_problem_of_its_place(kind: str, element: str, value: Any) -> None:
    found, problems = framed(rule(kind, **{element: value}))
    assert len(problems) == 1 and problems[0].startswith(f"provision.{element}[0]: ")
    assert problems[0].endswith(".")
    if element != "action":
        assert not {"securityLabel": found.labels, "data": found.data}[element]


def test_what_is_known_is_no_problem() -> None:
    for kind in ("permit", "deny"):
        found, problems = framed(rule(kind, data=of_data("authoredby", "Organization/1"), label=("N", "SUD")))
        assert not problems
        assert found.data == ((4, KEYS.resource("Organization/1")),)
        assert found.labels == GENERAL | bits_of(ACT, "SUD")
