"""Resource -> index rows: every value by which a search may find it; and the Patient whose record it belongs to.

Source: https://hl7.org/fhir/R4/search.html (per parameter type) and ../shared/stack.md section 3, design D.
"""

from collections.abc import Callable
from datetime import tzinfo
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_profiles import Resource
from fhir_profiles.catalog import HEAD_PARAMETERS, SearchParameter, catalog
from service.search import composites
from service.search.dates import PACIFIC
from service.search.emitters import emitter
from service.search.index_rows import IndexRows
from service.search.keys import Keys
from service.search.references import normal_reference
from service.search.rows import Context, Emit, Rows
from service.search.walkers import Walk, below


class _Action(NamedTuple):
    """What to do with one path whose first member is present: walk, emit each value, note the presence."""

    walk: Walk
    emit: Emit
    present: int


class _Plan(NamedTuple):
    marker: int
    by_member: dict[str, tuple[_Action, ...]]
    always: tuple[Callable[[Resource, Rows], None], ...]


def index_rows(resource: Resource, rtype: str, keys: Keys, base_url: str = "", zone: tzinfo = PACIFIC) -> IndexRows:
    """Each distinct row once. base_url: absolute references below it are ours. zone: of dates that bear none.

    The resource is taken as valid; a date that no calendar knows makes no row. Raises KeyError for a type not served.
    """
    plan = _plan(rtype, keys, base_url, zone)
    rows = Rows({plan.marker: None}, {}, {}, {}, {})
    by_member = plan.by_member
    for member, value in resource.items():
        actions = by_member.get(member)
        if actions is None or value is None:
            continue
        for walk, emit, present in actions:
            found = walk(value)
            if found and emit(found, rows):
                rows.keys[present] = None
    for finish in plan.always:
        finish(resource, rows)
    return IndexRows(tuple(rows.keys), tuple(rows.dates), tuple(rows.strings), tuple(rows.numbers), tuple(rows.edges))


@lru_cache(maxsize=256)
def _plan(rtype: str, keys: Keys, base_url: str, zone: tzinfo) -> _Plan:
    by_member: dict[str, list[_Action]] = {}
    always = []
    context = Context(rtype, keys, base_url, zone)
    for parameter in catalog().types[rtype].search.values():
        if parameter.code in HEAD_PARAMETERS:
            continue
        if "truth" in parameter.datatypes:
            always.append(_truth(parameter, context))
            continue
        if parameter.is_alias and parameter.type != "reference":
            continue
        present = keys.present(rtype, parameter.code)
        for path in parameter.paths:
            action = _Action(below(path.steps), emitter(parameter, path, context), present)
            by_member.setdefault(path.steps[0].name, []).append(action)
        for group in parameter.groups:
            if group.asked:
                continue
            if group.at:
                action = _Action(below(group.at), composites.emitter(parameter, group, context), present)
                by_member.setdefault(group.at[0].name, []).append(action)
            else:
                always.append(_whole(composites.emitter(parameter, group, context), present))
    return _Plan(keys.marker(rtype), {name: tuple(actions) for name, actions in by_member.items()}, tuple(always))


def _whole(emit: Emit, present: int) -> Callable[[Resource, Rows], None]:
    """A composite that the resource itself bears, where one of its components repeats."""

    def finish(resource: Resource, rows: Rows) -> None:
        if emit((resource,), rows):
            rows.keys[present] = None

    return finish


def _truth(parameter: SearchParameter, context: Context) -> Callable[[Resource, Rows], None]:
    """`x.exists() and x != false`: always a value, true or false."""
    names = [path.steps[0].name for path in parameter.paths]
    yes, no = (context.keys.token(context.rtype, parameter.code, None, word) for word in ("true", "false"))
    present = context.keys.present(context.rtype, parameter.code)

    def finish(resource: Resource, rows: Rows) -> None:
        held = any(resource.get(name, False) is not False for name in names)
        rows.keys[yes if held else no] = None
        rows.keys[present] = None

    return finish


def patient_of(resource: Resource, rtype: str, base_url: str = "") -> str | None:
    """Patient/p1: whose record the resource belongs to, by the patient compartment of R4; None when nobody's.

    The subject comes before performers, senders and payors. When the leading parameter names several patients
    (a Provenance of two) it is in no single record: None. A Group's members do not make it theirs.
    Source: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    if rtype == "Patient":
        fhir_id = resource.get("id")
        return f"Patient/{fhir_id}" if fhir_id else None
    for walks in _patient_walks(rtype):
        found = {
            target
            for name, walk in walks
            if resource.get(name) is not None
            for target in _patients(walk(resource[name]), base_url)
        }
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _patients(references: Any, base_url: str) -> list[str]:
    targets = (normal_reference(item["reference"], base_url) for item in references if item.get("reference"))
    return [target for target in targets if target and target.startswith("Patient/") and target.count("/") == 1]


@lru_cache(maxsize=256)
def _patient_walks(rtype: str) -> tuple[tuple[tuple[str, Walk], ...], ...]:
    entry = catalog().types[rtype]
    return tuple(tuple((path.steps[0].name, below(path.steps)) for path in paths) for paths in entry.patient_paths)
