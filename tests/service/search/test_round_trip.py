"""What is indexed is found: every value of every example, by a query that a client would write for it."""

from typing import Any

import pytest

from fhir_profiles import Resource
from fhir_profiles.catalog import Path, SearchParameter, catalog
from service.search.keys import Keys
from service.search.query import parse
from service.search.strings import LIMIT, normalise, texts_of
from service.search.syntax import MAX_VALUE
from service.search.values import index_rows
from service.search.walkers import values_at
from tests.service.search.memory import matches, vid_of
from tests.service.search.samples import every_parameter, examples, from_path

BASE = "https://enlace.test/fhir"
KEYS = Keys(b"a secret of the tests")
NOW = 1_790_000_000_000_000


def escaped(value: str) -> str:
    for char in "\\,|$":
        value = value.replace(char, "\\" + char)
    return value


def found(resource: Resource, name: str, value: str, rtype: str | None = None) -> bool:
    rtype = rtype or resource["resourceType"]
    rows = index_rows(resource, rtype, KEYS, BASE)
    criteria = parse(rtype, [(name, value)], KEYS, strict=True, now_us=NOW, base_url=BASE)
    return matches(criteria, rows, resource["id"], vid_of(NOW))


def queries(parameter: SearchParameter, path: Path, value: Any) -> list[tuple[str, str]]:
    """(name, value) pairs that must find a resource with this value."""
    code = parameter.code
    match parameter.type, path.datatype:
        case "token", "CodeableConcept":
            return [query for coding in value.get("coding", []) for query in token(code, coding, "code")]
        case "token", "Coding":
            return token(code, value, "code")
        case "token", "Identifier":
            return token(code, value, "value")
        case "token", "ContactPoint":
            return [(code, escaped(value["value"]))] if "value" in value else []
        case "token", "boolean":
            return [(code, "true" if value else "false")]
        case "token", "truth":
            return [(code, "true" if value is not False else "false")]
        case "token", _:
            return [(code, escaped(value)), (code, escaped(path.system or "") + "|" + escaped(value))]
        case "reference", "Reference":
            return reference(parameter, value)
        case "reference", _:
            return [(code, escaped(value)), (code, escaped(value.split("|")[0]))]
        case "date", datatype:
            return dates(code, datatype, value)
        case "string", datatype:
            return [query for part in texts_of(value, datatype) for query in strings(code, part)]
        case "uri", _:
            return [(code, escaped(value)), (code, escaped(value.split("|")[0]))][
                : 2 if "canonical" in path.datatype else 1
            ]
    raise AssertionError(parameter)


def token(code: str, value: dict, member: str) -> list[tuple[str, str]]:
    out = []
    system = escaped(value.get("system", ""))
    if member in value:
        out = [(code, escaped(value[member])), (code, f"{system}|{escaped(value[member])}")]
    return [*out, (code, system + "|")] if system else out


def reference(parameter: SearchParameter, value: dict) -> list[tuple[str, str]]:
    code, out = parameter.code, []
    if "identifier" in value:
        out += token(code + ":identifier", value["identifier"], "value")
    text = value.get("reference", "").split("/_history/")[0].removeprefix(BASE + "/")
    if "://" in text:
        return [*out, (code, text)]
    if not text or text.startswith(("#", "urn:")):
        return out
    rtype, fhir_id = text.split("/")
    if parameter.targets != ("Any",) and rtype not in parameter.targets:
        return out
    out += [(code, text), (code, f"{BASE}/{text}"), (f"{code}:{rtype}", fhir_id), (code, text + "/_history/2")]
    return [*out, (code, fhir_id)] if rtype in catalog().types else out


def dates(code: str, datatype: str, value: Any) -> list[tuple[str, str]]:
    if datatype == "Period":
        starts = [(code, prefix + value["start"]) for prefix in ("ge", "ap") if "start" in value]
        return starts + [(code, "le" + value["end"]) for _ in range(1) if "end" in value]
    if datatype == "Timing":
        dated = "event" in value or "boundsPeriod" in value.get("repeat", {})
        return [(code, "ap" + event) for event in value.get("event", [])] + [(code, "ge1990")] * dated
    return [(code, prefix + value) for prefix in ("", "eq", "ge", "le", "ap")] + [(code, value[:4])]


def strings(code: str, text: str) -> list[tuple[str, str]]:
    out = [(code + ":exact", escaped(text))] if len(text) <= MAX_VALUE else []
    folded = normalise(text)
    return out + [(code, escaped(folded[:size])) for size in (1, 3, LIMIT) if folded[:size].strip()]


def assert_round_trip(resource: Resource, parameter: SearchParameter) -> int:
    stranger = {"resourceType": resource["resourceType"], "id": "stranger"}
    asked = 0
    for path in parameter.paths:
        for value in values_at(resource, path):
            if path.target and not value.get("reference", "").startswith(path.target + "/"):
                continue
            for name, text in queries(parameter, path, value):
                asked += 1
                assert found(resource, name, text), (name, text)
                assert not found(stranger, name, text) or path.datatype == "truth"
    return asked


@pytest.mark.parametrize("resource", examples(), ids=lambda r: f"{r['resourceType']}-{r.get('id')}")
def test_examples(resource: Resource):
    asked = 0
    for parameter in catalog().types[resource["resourceType"]].search.values():
        if parameter.code not in ("_id", "_lastUpdated"):
            asked += assert_round_trip(resource, parameter)
    assert asked > 3


@pytest.mark.parametrize(("rtype", "code"), every_parameter())
def test_each_path_of_each_parameter(rtype: str, code: str):
    parameter = catalog().types[rtype].search[code]
    for path in parameter.paths:
        resource = from_path(rtype, parameter, path)
        assert assert_round_trip(resource, parameter)
        empty = {"resourceType": rtype, "id": "s1"}
        if path.datatype != "truth":
            assert found(resource, code + ":missing", "false")
            assert not found(resource, code + ":missing", "true")
            assert found(empty, code + ":missing", "true")
            assert not found(empty, code + ":missing", "false")
