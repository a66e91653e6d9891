"""Directory entries are written by the operator and by the organization that they describe."""

from typing import Any

import pytest

from service.access.directory import check_entry, is_own_entry
from service.caller import Caller, Role
from service.errors import FhirError

MINE = Caller("c", Role.CBO, "Organization/mine")


def entry(rtype: str, element: str, organization: str) -> dict[str, Any]:
    return {"resourceType": rtype, "id": "x", element: {"reference": organization}}


@pytest.mark.parametrize(
    ("rtype", "element"),
    [
        ("PractitionerRole", "organization"),
        ("Location", "managingOrganization"),
        ("HealthcareService", "providedBy"),
    ],
)
def test_an_entry_names_the_caller(rtype: str, element: str) -> None:
    check_entry(MINE, entry(rtype, element, "Organization/mine"))
    for stranger in (entry(rtype, element, "Organization/other"), {"resourceType": rtype, "id": "x"}):
        assert not is_own_entry(MINE, stranger)
        with pytest.raises(FhirError) as refused:
            check_entry(MINE, stranger)
        assert refused.value.category.status == 403
        assert refused.value.issues[0].expression == f"{rtype}.{element}"


def test_an_organization_changes_itself_and_makes_no_other() -> None:
    check_entry(MINE, {"resourceType": "Organization", "id": "mine"})
    with pytest.raises(FhirError):
        check_entry(MINE, {"resourceType": "Organization", "id": "other"})
    check_entry(Caller("op", Role.ADMIN, "Organization/enlace"), {"resourceType": "Organization", "id": "other"})


def test_what_is_no_directory_entry_is_not_asked() -> None:
    check_entry(MINE, {"resourceType": "Procedure", "id": "x"})
