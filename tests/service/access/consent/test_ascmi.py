"""ASCMI forms: each golden pair both ways, and what the Consents of the forms open."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from fhir_profiles.validate import validate
from service.access.consent.ascmi import BOXES, FORMS, Form, consent_of, form_of, revocation_of
from service.access.consent.compile import compiled
from service.access.consent.decide import decide
from service.access.consent.provisions import Source
from service.access.consent.rules import ACT, Asker, Facts, Permit, Relation, bits_of
from service.access.consent.who import purposes_of
from service.search.keys import Keys

GOLDEN = Path(__file__).parents[3] / "golden" / "ascmi"
PAIRS = sorted(path.stem for path in GOLDEN.glob("*.json"))
KEYS = Keys(b"secret")
ONE, OTHER = "Organization/ecm-2", "Organization/other"


def pair(name: str) -> tuple[Form, dict[str, Any]]:
    told = json.loads((GOLDEN / f"{name}.json").read_text())
    return Form(**{**told["form"], "partners": tuple(told["form"]["partners"])}), told["consent"]


def opened(consent: dict[str, Any], organization: str = ONE, purpose: str = "COC") -> set[str]:
    """Boxes whose data this organization may have."""
    made = compiled({**consent, "id": "c"}, Source(KEYS))
    assert not made.problems
    asker = Asker(Relation.PANEL, frozenset({KEYS.resource(organization)}), purposes_of(purpose), 1_772_900_000_000_000)
    patient = KEYS.resource("Patient/a")
    bits = {name: sum({bits_of(ACT, code) for code in codes}) for name, codes in BOXES.items()}
    assert isinstance(decide(asker, Facts(1, "Condition", patient), made.rules), Permit)
    return {
        name
        for name, labels in bits.items()
        if isinstance(decide(asker, Facts(1, "Condition", patient, labels), made.rules), Permit)
    }


@pytest.mark.parametrize("name", PAIRS)
def test_a_form_is_its_consent_and_back(name: str) -> None:
    form, consent = pair(name)
    assert consent_of(form) == consent
    assert form_of({**consent, "id": "c", "meta": {"versionId": "1"}}) == form
    assert not [p for p in validate({**consent, "id": "c"}, "Consent") if p.severity in ("error", "fatal")]


@pytest.mark.parametrize(
    ("name", "boxes", "to_other"),
    [
        ("ab-133-share", {"substance-use", "mental-health"}, {"substance-use", "mental-health"}),
        ("ab-133-do-not-share", set(), set()),
        ("non-ab-133-named-partner", {"substance-use"}, set()),
        ("revocation", set(), set()),
    ],
)
def test_what_a_form_opens(name: str, boxes: set[str], to_other: set[str]) -> None:
    consent = pair(name)[1]
    assert opened(consent) == boxes and opened(consent, OTHER) == to_other
    assert opened(consent, purpose="HMARKT") == set()


def test_every_form_reads_back_and_opens_its_boxes_alone() -> None:
    for kind, share, answers in product(FORMS, (True, False), product((None, True, False), repeat=2)):
        boxes = {box: answer for box, answer in zip(list(BOXES)[1:], answers, strict=False) if answer is not None}
        form = Form(kind, "Patient/a", "2026", "Patient/a", "Organization/o", share, boxes if share else {})
        assert form_of(consent_of(form)) == form
        assert opened(consent_of(form)) == {box for box, answer in boxes.items() if answer and share}


def test_a_revocation_names_what_it_takes_back() -> None:
    form = pair("ab-133-share")[0]
    revocation = consent_of(revocation_of(form, "Consent/former", "2026-03-05T10:00:00-08:00"))
    assert revocation == pair("revocation")[1]


@pytest.mark.parametrize(
    "more",
    [
        {"status": "inactive"},
        {"policy": [{"uri": "https://example.org/other"}]},
        {"provision": {"type": "permit"}},
        {"verification": [{"verified": True}]},
    ],
)
def test_what_is_no_form_is_not_read_as_one(more: dict[str, Any]) -> None:
    assert form_of({**pair("ab-133-do-not-share")[1], **more}) is None
