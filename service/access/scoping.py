"""What the scopes of a token leave of what its caller may see, per letter: queries of scopes, and the launch Patient.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html; ../shared/facts/security.md 1.2. Each
alternative is a Reach: the database asks it of a query's rows (store/visible_scope.py), `reached` of what is written
and of former versions, whose index rows are not kept. Both ask the same clauses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from functools import lru_cache

from fhir_profiles.catalog import catalog
from service.access.roles import OPEN_TYPES
from service.caller import WHOLE, Caller, Reached, Rights
from service.errors import Category, FhirError, Issue
from service.search.clauses import Query, clause
from service.search.criteria import Clause
from service.search.fits import fits
from service.search.index_rows import IndexRows
from service.search.keys import Keys
from service.search.restriction import Reach, Restriction
from service.search.syntax import Refused

Narrowed = Mapping[str, tuple[Reach, ...]]


def scoped(restriction: Restriction, caller: Caller, keys: Keys, letters: str) -> Restriction:
    """The restriction as far as the scopes reach with all of these letters of c r u d s.

    Whether a type has a scope at all is for check_scope; here a type without one is left as it is.
    """
    rights = caller.allows
    if not isinstance(rights, Rights):
        return restriction  # the service itself
    narrowed = _narrowed(rights, keys, caller.patient, letters)
    return replace(restriction, narrowed=narrowed) if narrowed else restriction


def reached(alternatives: Sequence[Reach] | None, rows: IndexRows, patient: int | None) -> bool:
    """Whether a resource with these index rows, of this Patient's record, is within one of the alternatives."""
    if alternatives is None:
        return True
    return any((one.patient is None or one.patient == patient) and fits(one.clauses, rows) for one in alternatives)


def out_of_reach(letter: str, rtype: str) -> FhirError:
    """403: there is a scope for the type and the letter, but what is asked for lies beside it."""
    text = (
        f"The access token's scopes hold {rtype}.{letter} for some resources only, and this one is not among them: "
        "ask for a scope with another query, or without one."
    )
    challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    return FhirError(Category.FORBIDDEN, [Issue(text, rtype, "forbidden")], challenge, reason="scope-reach")


@lru_cache(maxsize=4096)
def _narrowed(rights: Rights, keys: Keys, patient: str | None, letters: str) -> Narrowed:
    """Made once for a scope text, so that reads of equal rights can share a statement."""
    found = {}
    for rtype in catalog().types:
        alternatives = _alternatives(rights, keys, patient, rtype, letters)
        if alternatives is not None:
            found[rtype] = alternatives
    return found


def _alternatives(
    rights: Rights, keys: Keys, patient: str | None, rtype: str, letters: str
) -> tuple[Reach, ...] | None:
    """What holds for all letters at once; None: not narrowed."""
    both: tuple[frozenset[object], ...] = (frozenset(),)
    for letter in letters:
        reaches = rights.reaches(letter, rtype)
        if not reaches:
            continue
        parts = [_conditions(one, rtype) for one in reaches]
        both = _least([had | part for had in both for part in parts])
    if frozenset() in both:
        return None
    made = (_reach(conditions, keys, patient, rtype) for conditions in both)
    return tuple(one for one in made if one is not None)


def _conditions(reached_: Reached, rtype: str) -> frozenset[object]:
    """What a resource must fit: pairs, and WHOSE where it must be of the launch Patient; the directory is nobody's."""
    if reached_ == WHOLE:
        return frozenset()
    whose = (_WHOSE,) if reached_.patient and rtype not in OPEN_TYPES else ()
    return frozenset((*reached_.query, *whose))


_WHOSE = "the patient of the launch"


def _least(several: Sequence[frozenset[object]]) -> tuple[frozenset[object], ...]:
    """Without those that ask more than another."""
    each = list(dict.fromkeys(several))
    return tuple(one for one in each if not any(other < one for other in each))


def _reach(conditions: frozenset[object], keys: Keys, patient: str | None, rtype: str) -> Reach | None:
    """None where nothing can fit."""
    whose = None
    if _WHOSE in conditions:
        if patient is None:
            return None
        whose = keys.resource(patient)
    pairs = sorted(pair for pair in conditions if isinstance(pair, tuple))
    try:
        return Reach(tuple(_clause(rtype, name, value, keys) for name, value in pairs), whose)
    except (Refused, KeyError):
        return None


def _clause(rtype: str, name: str, value: str, keys: Keys) -> Clause:
    """As a search by this parameter would ask; no value here depends on the time, the zone or the base URL."""
    return clause(catalog().types[rtype].search[name], None, [value], Query(rtype, keys, 0, "", UTC))
