"""Filters of a subscription (backport-filter-criteria), queryCriteria of topics: text -> clauses; whether they fit.

A filter is written as a search: Task?owner=Organization/x&status=accepted,completed. All its parameters must fit, the
values of one are alternatives. It is answered from index rows by the clauses that a search would ask the database.
http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition-backport-filter-criteria.html
"""

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from urllib.parse import parse_qsl

from fhir_profiles.catalog import SearchParameter, catalog
from fhir_profiles.terminology import value_set
from fhir_profiles.topics import FilterBy, Topic
from service.errors import Category, FhirError, Issue
from service.notify.versions import Version
from service.search import fits as index_fits
from service.search.asking import Asking, May
from service.search.clauses import Query
from service.search.criteria import Clause, HasKey
from service.search.dates import PACIFIC
from service.search.keys import Keys
from service.search.leaves import of_values
from service.search.prefixes import PREFIXES
from service.search.syntax import Refused, Several, alternatives, shown, unescape
from service.search.token_rows import fold

MAX_TEXT = 2_000
"""Characters of one filter."""
MAX_PARAMETERS = 20
FORM = "write it as Type?parameter=value, for example Task?owner=Organization/x"


@dataclass(frozen=True, eq=False)
class Filter:
    """All clauses hold for what is told; what is of another type is not asked. Of one text there is one object."""

    rtype: str
    clauses: tuple[Clause, ...]


def fits(several: tuple[Filter, ...], version: Version) -> bool:
    """Whether every filter that is about the version's type fits.

    A topic may tell of several types: a condition counts for the type that it names (R5, Subscription.filterBy).
    """
    return all(
        index_fits.fits(one.clauses, version.told, version.head) for one in several if one.rtype == version.item.rtype
    )


@lru_cache(maxsize=16_384)
def compiled(topic: Topic, text: str, keys: Keys, base_url: str = "") -> Filter:
    """Raises FhirError RULE with a sentence for each thing that this topic does not offer or that cannot be answered.

    base_url: absolute references below it are ours.
    """
    if len(text) > MAX_TEXT:
        raise _refused([Issue(f"A filter has more than {MAX_TEXT:,} characters: make it shorter.", code="too-long")])
    rtype, mark, query = text.strip().lstrip("/").partition("?")
    if not mark:
        raise _refused([Issue(f"A filter names no type: {FORM}.")])
    if rtype not in topic.rtypes:
        named = "another type" if rtype not in catalog().types else f"the type {rtype}"
        sentence = f"A filter asks about {named}; the topic {topic.slug} tells of {' and '.join(topic.rtypes)} alone"
        raise _refused([Issue(f"{sentence}: {FORM}.", code="not-supported")])
    pairs = parse_qsl(query, keep_blank_values=True)
    if not pairs or len(pairs) > MAX_PARAMETERS:
        raise _refused([Issue(f"A filter of {rtype} takes 1 to {MAX_PARAMETERS} parameters: {FORM}.")])
    clauses: list[Clause] = []
    issues: list[Issue] = []
    for name, value in pairs:
        try:
            clauses.append(_offered(topic, rtype, name, value, keys, base_url))
        except Refused as refused:
            parts = refused.parts if isinstance(refused, Several) else [refused]
            start = f"Filter parameter {shown(name)} of {rtype}"
            issues += [Issue(f"{start} {part.sentence}.", code=part.code) for part in parts]
    if issues:
        raise _refused(issues)
    return Filter(rtype, tuple(clauses))


@lru_cache(maxsize=256)
def criteria(rtype: str, text: str, keys: Keys, base_url: str) -> tuple[Clause, ...]:
    """Clauses of a topic's own queryCriteria. Raises Refused."""
    return tuple(
        _clause(rtype, name, value, keys, base_url)
        for name, value in parse_qsl(text.partition("?")[2] or text, keep_blank_values=True)
    )


def _refused(issues: list[Issue]) -> FhirError:
    return FhirError(Category.RULE, issues)


def _offered(topic: Topic, rtype: str, name: str, value: str, keys: Keys, base_url: str) -> Clause:
    code, colon, modifier = name.partition(":")
    row = topic.filters.get((rtype, code))
    if row is None:
        offered = ", ".join(parameter for kind, parameter in topic.filters if kind == rtype)
        raise Refused(f"is none by which the topic {topic.slug} can be filtered; these are: {offered}", "not-supported")
    if colon and modifier not in row.modifiers:
        takes = ", ".join(f":{one}" for one in row.modifiers)
        sentence = f"takes the modifiers {takes} in a filter" if takes else "takes no modifier in a filter"
        raise Refused(sentence, "not-supported")
    _check(catalog().types[rtype].search[code], row, modifier, value)
    return _clause(rtype, name, value, keys, base_url)


def _check(parameter: SearchParameter, row: FilterBy, modifier: str, value: str) -> None:
    """What a search would answer with nothing, or otherwise each time that it is asked, is no filter."""
    values = [unescape(one) for one in alternatives(value)]
    if row.comparators:
        allowed = ", ".join(row.comparators)
        if any(one[:2] in PREFIXES and one[:2] not in row.comparators for one in values):
            raise Refused(f"takes the comparators {allowed}", "not-supported")
    if modifier == "missing":
        return
    codes = _codes(parameter)
    if codes and any(fold(one.rpartition("|")[2]) not in codes for one in values):
        raise Refused(f"takes these codes: {', '.join(codes)}", "code-invalid")


@lru_cache(maxsize=64)
def _codes(parameter: SearchParameter) -> tuple[str, ...]:
    """The codes that the parameter can ever find; () where any is possible."""
    if not parameter.paths or any(path.codes is None for path in parameter.paths):
        return ()
    sets = [value_set(path.codes or "") for path in parameter.paths]
    return tuple(dict.fromkeys(code for listed in sets for codes in listed.values() for code in codes))


def _clause(rtype: str, name: str, value: str, keys: Keys, base_url: str, zone: tzinfo = PACIFIC) -> Clause:
    """As a search by this parameter would ask. No value of a filter depends on the time."""
    code, _, modifier = name.partition(":")
    parameter = catalog().types[rtype].search[code]
    query = Query(rtype, keys, 0, base_url, zone)
    made = of_values(parameter, modifier or None, alternatives(value), Asking(query, May()))
    if query.warnings:
        raise Refused("names a type to which it cannot lead: it would never fit")
    if isinstance(made, HasKey) and made.keys == (query.nothing(),):
        raise Refused("names a system that its codes do not have: it would never fit")
    return made
