"""Every served parameter in SQL, on both databases: samples are found exactly as the evaluator in memory finds them.

The rows are those that real resources make, so the tables must hold their sizes and numbers.
"""

import os
import random
from dataclasses import replace

from fhir_profiles import Resource
from fhir_profiles.catalog import SearchParameter, catalog
from service.search.asking import May
from service.search.criteria import Criteria
from service.search.query import parse
from service.search.restriction import EVERYTHING
from service.search.sorting import sort_of
from service.search.syntax import Refused
from service.search.values import index_rows
from service.search.walkers import values_at
from service.store import find
from service.store.engine import Store
from tests.service.search.memory import matches
from tests.service.search.queries import bearers, of_group, queries
from tests.service.search.rich_samples import rich
from tests.service.search.samples import every_parameter, examples
from tests.service.world import BASE, put

POSTGRESQL_IN_DEEP = True

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
EACH = 10_000 if DEEP else 1
"""Queries by values, per parameter."""


def asked(parameter: SearchParameter, resources: list[Resource]) -> list[tuple[str, str]]:
    """By the values of the samples; and for those without any."""
    found = [
        query
        for resource in resources
        for path in parameter.paths
        for value in values_at(resource, path)
        if not path.target or value.get("reference", "").startswith(path.target)
        for query in queries(parameter, path, value)
    ]
    found += [
        query
        for resource in resources
        for group in parameter.groups
        for element in bearers(resource, group)
        for query in of_group(parameter, group, element)
    ]
    distinct = list(dict.fromkeys(found))
    some = random.Random(parameter.code).sample(distinct, min(EACH, len(distinct)))
    return [*some, (f"{parameter.code}:missing", "true")] if DEEP or len(distinct) % 5 == 0 else some


async def test_samples_are_found_as_in_memory(store: Store) -> None:
    by_type: dict[str, list[Resource]] = {}
    for resource in [*examples(), *rich()]:
        by_type.setdefault(resource["resourceType"], []).append(resource)
    for resources in by_type.values():
        await put(store, *resources)
    hits = 0
    for rtype, code in every_parameter():
        if code[0] == "_" and rtype != "Patient" and not DEEP:
            continue
        parameter, resources = catalog().types[rtype].search[code], by_type[rtype]
        rows = {str(r["id"]): index_rows(r, rtype, store.keys, BASE) for r in resources}
        for query in asked(parameter, resources):
            now_us = store.clock.now_us()
            criteria = parse(
                rtype, [query], store.keys, strict=True, now_us=now_us, base_url=BASE, may=May(labels=True)
            )
            wanted = {fhir_id for fhir_id, held in rows.items() if matches(criteria, held, fhir_id, 0)}
            hits += len(wanted)
            if not query[0].endswith(":missing"):
                criteria = _sorted(criteria, parameter, store)
            page = await find.search(store, [criteria], EVERYTHING, include_restriction=EVERYTHING)
            assert {found.fhir_id for found in page.matches} == wanted, (rtype, query)
    assert hits > 600


def _sorted(criteria: Criteria, parameter: SearchParameter, store: Store) -> Criteria:
    try:
        return replace(criteria, sort=(sort_of(parameter, criteria.rtype, store.keys, down=True),))
    except Refused:
        return criteria
