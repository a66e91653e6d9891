"""The catalogue: each service of the code system, versions of criteria by date, codes of claims in any slot by date."""

import json

import pytest

from fhir_profiles.terminology import code_systems
from service.workflow.calaim_catalogue import (
    CS_SYSTEM,
    ECM,
    EPISODE_SYSTEM,
    HCPCS_SYSTEMS,
    TABLE,
    CatalogueError,
    by_hcpcs,
    catalogue,
    catalogue_of,
    criteria_at,
    service_of,
    services_of,
)


def test_it_holds_ecm_and_the_fifteen_community_supports() -> None:
    top = {code for code, parent in code_systems()[CS_SYSTEM].parents.items() if not parent}
    assert len(top) == 15 and set(catalogue()) == {*top, ECM}
    assert {one.code for one in catalogue().values() if not one.closed_loop} == {"sobering-centers"}
    assert catalogue()[ECM].months == (12, 6) and {s.code for s in catalogue().values() if s.streamlined} == {ECM}
    for service in catalogue().values():
        assert service.codes and service.criteria and all(one.source for one in service.criteria), service.code


@pytest.mark.parametrize(
    ("system", "code", "service"),
    [
        (CS_SYSTEM, "housing-deposits", "housing-deposits"),
        (CS_SYSTEM, "alf-ongoing", "assisted-living-transitions"),
        (CS_SYSTEM, "produce-rx-box", "meals-supportive-food"),
        (EPISODE_SYSTEM, "ecm", ECM),
        (HCPCS_SYSTEMS[0], "S5165-U6", "home-modifications"),
        (HCPCS_SYSTEMS[2], "S5165:U5", "asthma-remediation"),
        (HCPCS_SYSTEMS[0], "S5165", ""),
        ("http://example.org", "housing-deposits", ""),
        (CS_SYSTEM, "yoga", ""),
    ],
)
def test_which_service_is_meant(system: str, code: str, service: str) -> None:
    concept = {"coding": [{"system": system, "code": code}]}
    for request in ({"code": concept}, {"code": {"text": "x"}, "category": [concept]}, {"type": [concept]}):
        found = service_of({"resourceType": "ServiceRequest", **request})
        assert (found.code if found else "") == service
    assert services_of({"type": [concept, {"text": "x"}]}) == ({service} if service else set())


@pytest.mark.parametrize(
    ("code", "modifiers", "day", "services"),
    [
        ("H0044", ["U2"], "2026-02-01", ["housing-deposits"]),
        ("H0044", ["U3"], "2026-02-01", ["short-term-post-hospitalization-housing"]),
        ("H0044", ["U5"], "2025-12-31", []),
        ("H0044", ["U5"], "2026-01-01", ["community-home-transition"]),
        ("H0044", ["U6"], "2026-02-01", ["transitional-rent"]),
        ("h0043", ["GQ", "95", "u6"], "2026-02-01", ["housing-transition-navigation"]),
        ("G9012", ["GQ", "U8"], "2026-02-01", [ECM]),
        ("G9008", ["U1"], "", [ECM]),
        ("G9008", [], "", []),
        ("S9977", ["U9"], "2026-02-01", ["meals-supportive-food"]),
        ("T1016", ["U8"], "2025-06-01", []),
        ("T1016", ["U8"], "2026-06-01", ["housing-tenancy-sustaining", "housing-transition-navigation"]),
        ("X9999", ["U6"], "", []),
    ],
)
def test_a_claim_is_known_by_code_and_modifiers_in_any_slot(
    code: str, modifiers: list[str], day: str, services: list[str]
) -> None:
    for order in (modifiers, modifiers[::-1]):
        assert [service.code for service, _ in by_hcpcs(code, order, day)] == services


def test_of_two_rows_that_fit_the_closer_comes_first() -> None:
    found = by_hcpcs("T1016", ["GQ", "U8"], "2026-06-01")
    assert len(found) == 4 and [len(row.modifiers) for _, row in found] == [2, 2, 1, 1]


def test_the_version_of_the_day_counts() -> None:
    table = json.loads(TABLE.read_text("utf-8"))
    rows = table["services"]["caregiver-respite"]["criteria"]
    rows.append({"version": "2027", "from": "2027-01-01", "source": "x", "tree": rows[0]["tree"]})
    service = catalogue_of(table)["caregiver-respite"]
    days = {"2020-01-01": "2024-01", "2026-12-31": "2024-01", "2027-01-01": "2027", "2030-05-05": "2027"}
    assert {day: criteria_at(service, day).version for day in days} == days


def test_a_bad_table_says_all_that_is_wrong() -> None:
    tree = {"any": [{"id": "a", "text": "", "ask": "?"}]}
    cap = {"id": "c", "text": "", "per": "week", "limit": 0, "unit": "miles", "hard": True, "exception": False}
    good = {"title": "t", "criteria": [{"version": "1", "from": "2024-01-01", "source": "s", "tree": tree}]}
    with pytest.raises(CatalogueError) as told:
        catalogue_of({"services": {"a": {**good, "caps": [{**cap, "source": ""}]}, "b": {"title": "x"}}})
    assert all(word in str(told.value) for word in ("a: c: unit", "id, text and ask", "b: KeyError"))
    with pytest.raises(CatalogueError):
        catalogue("/nowhere.json")
