"""Walkers find what a FHIRPath engine finds by the official expression, for every served search parameter."""

import copy
import json
import re
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from fhirpathpy import compile as compile_path
from fhirpathpy.models import models

from fhir_profiles import Resource
from fhir_profiles.catalog import HERE, catalog
from service.search.walkers import values_at
from tests.service.search.queries import bearers
from tests.service.search.rich_samples import rich
from tests.service.search.samples import every_parameter, examples, from_path

COMPILED = json.loads((HERE / "search_parameters" / "compiled.json").read_text("utf-8"))


@cache
def engine(rtype: str, code: str) -> Any:
    row = COMPILED[rtype].get(code) or COMPILED["Resource"][code]
    expression = re.sub(r"resolve\(\) is (\w+)", r"reference.startsWith('\1/')", row["expression"])
    expression = re.sub(r"\((\S+) as (\w+)\)", r"\1.ofType(\2)", expression)  # its `as` takes single values only
    expression = expression.replace(".as(", ".ofType(").replace("Resource.", "")
    return compile_path(expression, model=models["r4"])


def by_engine(resource: Resource, rtype: str, code: str) -> set[str]:
    """Its values; without the nulls and extension objects that it puts among the values of a primitive array."""
    datatypes = catalog().types[rtype].search[code].datatypes
    found = engine(rtype, code)(copy.deepcopy(resource))  # it changes what it reads
    if all(datatype[0].islower() for datatype in datatypes):
        found = [value for value in found if not isinstance(value, dict)]
    return {text(value) for value in found if value is not None}


def by_walkers(resource: Resource, rtype: str, code: str) -> set[str]:
    parameter = catalog().types[rtype].search[code]
    if "truth" in parameter.datatypes:
        held = [value for path in parameter.paths for value in values_at(resource, path)]
        return {text(any(value is not False for value in held))}
    return {
        text(value)
        for path in parameter.paths
        for value in values_at(resource, path)
        if path.target is None or value.get("reference", "").startswith(path.target + "/")
    }


def text(value: Any) -> str:
    if isinstance(value, dict):
        value = {name: member for name, member in value.items() if not name.startswith("_")}
    return json.dumps(
        value, sort_keys=True, default=lambda item: str(item) if isinstance(item, Decimal) else repr(item)
    )


@pytest.mark.parametrize(("rtype", "code"), every_parameter())
def test_each_path_of_each_parameter(rtype: str, code: str):
    parameter = catalog().types[rtype].search[code]
    for path in parameter.paths:
        resource = from_path(rtype, parameter, path)
        found = by_walkers(resource, rtype, code)
        assert found, "the walker finds the value put there"
        assert found == by_engine(resource, rtype, code)


@pytest.mark.parametrize("resource", [*examples(), *rich()], ids=lambda r: f"{r['resourceType']}-{r.get('id')}")
def test_examples(resource: Resource):
    rtype = resource["resourceType"]
    for code, parameter in catalog().types[rtype].search.items():
        if code not in ("_id", "_lastUpdated") and not parameter.derived:
            assert by_walkers(resource, rtype, code) == by_engine(resource, rtype, code), code


def composites() -> list[tuple[str, str]]:
    return [(rtype, code) for rtype, code in every_parameter() if catalog().types[rtype].search[code].groups]


@pytest.mark.parametrize(("rtype", "code"), composites())
def test_components_stand_where_an_engine_finds_them(rtype: str, code: str):
    """Each component of each bearing element, by `branch[i].component`."""
    parameter, row = catalog().types[rtype].search[code], COMPILED[rtype][code]
    seen = 0
    for resource in [*examples(), *rich()]:
        if resource["resourceType"] != rtype:
            continue
        for group, branch in zip(parameter.groups, row["expression"].split(" | "), strict=True):
            for number, element in enumerate(bearers(resource, group)):
                at = f"{branch}[{number}]" if group.at else branch
                for part, (_, expression) in zip(group.parts, row["components"], strict=True):
                    walked = {text(value) for path in part.paths for value in values_at(element, path)}
                    assert walked == by_expression(resource, at, expression), (at, expression)
                    seen += len(walked)
    assert seen


def by_expression(resource: Resource, at: str, expression: str) -> set[str]:
    union = " | ".join(f"{at}.{part.strip()}" for part in expression.split("|"))
    compiled = compile_path(union.replace("DateTime", "dateTime").replace(".as(", ".ofType("), model=models["r4"])
    return {text(value) for value in compiled(copy.deepcopy(resource)) if value is not None}
