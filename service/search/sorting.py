"""Any served parameter as a key of _sort: where its values stand in the index.

Source: https://hl7.org/fhir/R4/search.html#sort
"""

from collections.abc import Sequence

from fhir_profiles.catalog import SearchParameter, catalog
from fhir_profiles.terminology import value_set
from service.search.criteria import Clause, HasNear, Linked, Sort
from service.search.keys import Keys, edge
from service.search.syntax import Refused

TEXT = ":text"
"""Behind a token parameter's name: the ix_str key of its texts (display, text), which `:text` searches."""

NEAR = "near"

BY_KIND = {"date": "date", "string": "string", "uri": "string", "number": "number", "quantity": "number"}


def sort_of(parameter: SearchParameter, rtype: str, keys: Keys, down: bool) -> Sort:
    """Quantities sort by their number whatever the unit. Raises Refused for what has no order."""
    if parameter.code in ("_id", "_lastUpdated"):
        return Sort(parameter.code, down)
    if parameter.code == NEAR:
        raise Refused(f"sorts by '{NEAR}' where the search has one '{NEAR}', without a comma: it names the point")
    if parameter.type in ("composite", "special"):
        raise Refused(f"cannot sort by '{parameter.code}', which has no order of its own", "not-supported")
    if parameter.type == "reference":
        return Sort("reference", down, tuple(edge(rtype, stored) for stored in parameter.stored_as))
    if parameter.is_alias:
        if len(parameter.stored_as) > 1:
            parts = " or ".join(parameter.stored_as)
            raise Refused(f"cannot sort by '{parameter.code}', which is several parameters: name {parts}")
        return sort_of(catalog().types[rtype].search[parameter.stored_as[0]], rtype, keys, down)
    if parameter.type in BY_KIND:
        return Sort(BY_KIND[parameter.type], down, (keys.values(rtype, parameter.code),))
    order = token_order(parameter)
    if order == "code":
        codes = tuple(keys.token(rtype, parameter.code, None, code) for code in listed_codes(parameter))
        return Sort("code", down, tuple(dict.fromkeys(codes)))
    name = parameter.code + TEXT if order == "text" else parameter.code
    return Sort("string", down, (keys.values(rtype, name),))


def sort_by_distance(rtype: str, down: bool, clauses: Sequence[Clause]) -> Sort | None:
    """From the point of the search's one `near`; None where there is none, or several."""
    places = [found for clause in clauses if (found := _place(clause))]
    if len(places) != 1:
        return None
    params, near = places[0]
    return Sort(NEAR, down, (near.key, *params), (near.latitude, near.longitude))


def _place(clause: Clause) -> tuple[tuple[int, ...], HasNear] | None:
    match clause:
        case HasNear():
            return (), clause
        case Linked((param,), "Location", (HasNear() as near,), False):
            return (param,), near
    return None


def token_order(parameter: SearchParameter) -> str:
    """How a token parameter sorts: "text" (of concepts), "code" (position in its value set), or "value" (as a string).

    emitters.py writes the rows that this needs, and no others.
    """
    if parameter.datatypes & {"Coding", "CodeableConcept"}:
        return "text"
    listed = all(value_set(path.codes or "") for path in parameter.paths if path.datatype == "code")
    return "code" if listed and parameter.datatypes <= {"code", "boolean", "truth"} else "value"


def listed_codes(parameter: SearchParameter) -> list[str]:
    """Folded codes in the order of the value set; false before true."""
    found = []
    for path in parameter.paths:
        sets = {"": ("false", "true")} if path.datatype in ("boolean", "truth") else value_set(path.codes or "")
        found += [code.casefold() for codes in sets.values() for code in codes]
    return list(dict.fromkeys(found))
