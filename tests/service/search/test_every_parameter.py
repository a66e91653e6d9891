"""An example of each type is found by each of its parameters: none is served without a resource that shows it."""

from functools import cache

import pytest

from fhir_profiles import Resource
from fhir_profiles.catalog import SearchParameter, catalog
from fhir_profiles.validate import validate
from service.search.keys import Keys
from service.search.sorting import sort_of
from service.search.syntax import Refused
from service.search.values import index_rows
from service.search.walkers import values_at
from tests.service.search.queries import BASE, bearers
from tests.service.search.rich_samples import rich
from tests.service.search.samples import every_parameter, examples
from tests.service.search.test_round_trip import KEYS, assert_round_trip, found


@cache
def samples() -> dict[str, list[Resource]]:
    by_type: dict[str, list[Resource]] = {}
    for resource in [*examples(), *rich()]:
        by_type.setdefault(resource["resourceType"], []).append(resource)
    return by_type


def shows(resource: Resource, parameter: SearchParameter) -> bool:
    """Whether the resource has a value of the parameter."""
    for path in parameter.paths:
        values = values_at(resource, path)
        if any(not path.target or v.get("reference", "").startswith(path.target + "/") for v in values):
            return True
    return any(
        all(any(values_at(element, path) for path in part.paths) for part in group.parts)
        for group in parameter.groups
        for element in bearers(resource, group)
    )


@pytest.mark.parametrize("resource", rich(), ids=lambda r: str(r["id"]))
def test_the_samples_are_valid(resource: Resource):
    assert validate(resource, resource["resourceType"]) == []


@pytest.mark.parametrize(("rtype", "code"), every_parameter())
def test_an_example_is_found_by_each_parameter(rtype: str, code: str):
    parameter = catalog().types[rtype].search[code]
    shown = [resource for resource in samples()[rtype] if shows(resource, parameter)]
    assert shown, f"no sample of {rtype} has a value of '{code}': add one to rich_samples.py"
    assert sum(assert_round_trip(resource, parameter) for resource in shown)
    held = [found(resource, code + ":missing", "false") for resource in shown]
    assert any(held)
    assert held == [not found(resource, code + ":missing", "true") for resource in shown]


@pytest.mark.parametrize(("rtype", "code"), every_parameter())
def test_each_parameter_sorts_by_rows_that_are_there(rtype: str, code: str):
    """Or says why not. A sample that has a value has a row to sort by (texts may be absent)."""
    parameter = catalog().types[rtype].search[code]
    keys = Keys(KEYS_SECRET)
    try:
        sort = sort_of(parameter, rtype, keys, down=False)
    except Refused as refused:
        assert parameter.type in ("composite", "special") or len(parameter.stored_as) > 1
        assert f"'{code}'" in refused.sentence
        return
    assert sort.keys and not sort.down and sort_of(parameter, rtype, keys, down=True).down
    shown = [resource for resource in samples()[rtype] if shows(resource, parameter)]
    assert any(_sorted_by(sort.by, sort.keys, resource, keys) for resource in shown)


KEYS_SECRET = b"another secret of the tests"


def _sorted_by(by: str, wanted: tuple[int, ...], resource: Resource, keys: Keys) -> bool:
    rows = index_rows(resource, resource["resourceType"], keys, BASE)
    table = {"date": rows.dates, "string": rows.strings, "number": rows.numbers, "reference": rows.edges}
    held = set(rows.keys) if by == "code" else {row[0] for row in table[by]}
    return bool(held & set(wanted))


def test_the_keys_of_another_database_find_nothing():
    resource = samples()["Observation"][0]
    rows = index_rows(resource, "Observation", Keys(KEYS_SECRET), BASE)
    assert not set(rows.keys) & set(index_rows(resource, "Observation", KEYS, BASE).keys)
