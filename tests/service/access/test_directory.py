"""Directory entries are written by the operator and by the organization that they describe."""

from typing import Any

import pytest

from service.access.directory import check_entry, is_own_entry
from service.caller import Caller, Role
from service.errors import FhirError
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import ECM1, PLAN2

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


def test_who_an_organization_is_part_of_is_said_by_the_operator() -> None:
    """Consents given to the organization above reach its parts (Caller.above)."""
    bare = {"resourceType": "Organization", "id": "mine"}
    above = {**bare, "partOf": {"reference": "Organization/above"}}
    check_entry(MINE, {**above, "name": "New name"}, above)
    for new, old in ((above, bare), (bare, above), (above, None), ({**bare, "partOf": {"display": "x"}}, above)):
        with pytest.raises(FhirError) as refused:
            check_entry(MINE, new, old)
        assert refused.value.category.status == 403
        assert refused.value.issues[0].expression == "Organization.partOf"
        check_entry(Caller("op", Role.ADMIN, "Organization/enlace"), new, old)


async def test_no_update_or_patch_puts_an_organization_below_another(world: Store, app_client: AppClient) -> None:
    ecm, operator = await app_client("ecm-provider", ECM1), await app_client("admin", "Organization/op")
    own = (await ecm.get(f"/{ECM1}")).json()
    part = {"reference": PLAN2}
    patch = [{"op": "add", "path": "/partOf", "value": part}]
    as_patch = {"Content-Type": "application/json-patch+json"}
    answers = [
        await ecm.put(f"/{ECM1}", json={**own, "partOf": part}),
        await ecm.request("PATCH", f"/{ECM1}", json=patch, headers=as_patch),
    ]
    for answer in answers:
        assert answer.status_code == 403
        assert answer.json()["issue"][0]["expression"] == ["Organization.partOf"]
    assert (await operator.put(f"/{ECM1}", json={**own, "partOf": part})).status_code == 200
    stored = (await ecm.get(f"/{ECM1}")).json()
    assert (await ecm.put(f"/{ECM1}", json={**stored, "alias": ["x"]})).status_code == 200, "unchanged it passes"
