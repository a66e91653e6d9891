"""When a Consent opens data to who wrote it: only its permits count, and only those that may reach the writer."""

from typing import Any

import pytest

from service.access.consent.evidence import evident, self_serving
from service.access.consent.provisions import Source
from service.search.keys import Keys

KEYS = Keys(b"evidence" * 4)
BASE = "https://enlace.example.org/fhir"
WRITER, OTHER, EMPLOYER, ANYBODY = (KEYS.resource(f"Organization/{name}") for name in ("me", "other", "employer", "x"))
PERMIT, DENY = 2, 3


def said(row: dict[str, int], *named: str, roles: Any = None, **more: Any) -> bool:
    actors = [{"reference": {"reference": one}} for one in named]
    consent: dict[str, Any] = {"provision": {"actor": actors}, **more}
    source = Source(KEYS, BASE, roles or {}, frozenset({WRITER}))
    return self_serving(consent, [{"grade": PERMIT, "actor": 0, "also": 0, **row}], source)


def test_a_permit_to_the_writer_or_to_nobody_in_particular_serves_the_writer() -> None:
    assert said({"actor": WRITER}, "Organization/me")
    assert said({})


def test_a_deny_serves_nobody() -> None:
    assert not said({"grade": DENY, "actor": WRITER}, "Organization/me")


def test_a_permit_to_another_organization_serves_the_other() -> None:
    assert not said({"actor": OTHER}, "Organization/other")
    assert said({"actor": OTHER})  # not named by the Consent: nobody knows that it is not the writer's


def test_the_organization_of_a_role_that_is_named_is_another_one() -> None:
    roles = {"PractitionerRole/r": ("Practitioner/p", "Organization/employer")}
    assert not said({"actor": ANYBODY, "also": EMPLOYER}, roles=roles)
    assert said({"actor": ANYBODY, "also": EMPLOYER})


@pytest.mark.parametrize(
    ("reference", "form"),
    [
        ("DocumentReference/d", True),
        (f"{BASE}/QuestionnaireResponse/q", True),
        ("Consent/c", False),
        (f"{BASE}/Consent/c", False),
        ("not a reference", False),
        ("", False),
    ],
)
def test_which_reference_is_a_form(reference: str, form: bool) -> None:
    assert evident({"sourceReference": {"reference": reference}}, BASE) is form
