"""What is indexed is found: a value at each path of each parameter, by every query that a client would write for it."""

import pytest

from fhir_profiles import Resource
from fhir_profiles.catalog import SearchParameter, catalog
from service.search.asking import May
from service.search.index_rows import IndexRows
from service.search.keys import Keys
from service.search.query import parse
from service.search.values import index_rows
from service.search.walkers import values_at
from tests.service.search.memory import matches, vid_of
from tests.service.search.queries import BASE, bearers, of_group, queries
from tests.service.search.samples import every_parameter, from_path

KEYS = Keys(b"a secret of the tests")
OPERATOR = May(labels=True)
NOW = 1_790_000_000_000_000


STRANGERS: dict[str, Resource] = {rtype: {"resourceType": rtype, "id": "stranger"} for rtype in catalog().types}
_ROWS: dict[int, tuple[Resource, IndexRows]] = {}
"""By identity of the resource, which is kept so that none takes its place."""


def rows_of(resource: Resource) -> IndexRows:
    if id(resource) not in _ROWS:
        _ROWS[id(resource)] = (resource, index_rows(resource, resource["resourceType"], KEYS, BASE))
    return _ROWS[id(resource)][1]


def found(resource: Resource, name: str, value: str) -> bool:
    rtype = resource["resourceType"]
    criteria = parse(rtype, [(name, value)], KEYS, strict=True, now_us=NOW, base_url=BASE, may=OPERATOR)
    return matches(criteria, rows_of(resource), resource["id"], vid_of(NOW))


def assert_round_trip(resource: Resource, parameter: SearchParameter) -> int:
    stranger = STRANGERS[resource["resourceType"]]
    asked = 0
    for path in parameter.paths:
        for value in values_at(resource, path):
            if path.target and not value.get("reference", "").startswith(path.target + "/"):
                continue
            for name, text in queries(parameter, path, value):
                asked += 1
                assert found(resource, name, text), (name, text)
                assert not found(stranger, name, text) or path.datatype == "truth"
    for group in parameter.groups:
        for element in bearers(resource, group):
            for name, text in of_group(parameter, group, element):
                asked += 1
                assert found(resource, name, text), (name, text)
                assert not found(stranger, name, text)
    return asked


@pytest.mark.parametrize(("rtype", "code"), every_parameter())
def test_each_path_of_each_parameter(rtype: str, code: str):
    parameter = catalog().types[rtype].search[code]
    for path in parameter.paths:
        if (parameter.type, path.datatype) == ("special", "Period"):
            continue  # test_hours.py
        resource = from_path(rtype, parameter, path)
        assert assert_round_trip(resource, parameter)
        empty = {"resourceType": rtype, "id": "s1"}
        if path.datatype != "truth":
            assert found(resource, code + ":missing", "false")
            assert not found(resource, code + ":missing", "true")
            assert found(empty, code + ":missing", "true")
            assert not found(empty, code + ":missing", "false")
