"""_summary and _elements: a stored body with fewer elements, marked SUBSETTED. https://hl7.org/fhir/R4/search.html#summary

Only bodies that are cut are written anew; decimals keep their digits. An included resource is cut by _summary, which is
about the whole answer, not by _elements, which names elements of the type that is searched.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from fhir_profiles.r4_types import elements, fields, is_primitive
from fhir_profiles.summaries import in_summary
from service.access.context import Context, parse
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision
from service.interactions.settle import Decide
from service.search.criteria import Criteria
from service.search.results import RESULT_PARAMETERS, Shape, element_names, together
from service.search.syntax import Refused
from service.store.change import Committed

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
ALWAYS = frozenset({"resourceType", "id", "meta"})
MODIFIERS = frozenset({"implicitRules", "modifierExtension"})
"""Kept beside what was asked for: without them the rest may mean its opposite."""


def cut(body: bytes, rtype: str, criteria: Criteria, mode: str) -> bytes:
    """The body as the search asks for it. mode: match or include."""
    if criteria.summary:
        resource = _SUMMARIES[criteria.summary](parse(body), rtype)
    elif criteria.elements and mode == "match":
        resource = _only(parse(body), _kept(rtype, criteria.elements))
    else:
        return body
    meta = resource.get("meta") or {}
    tags = [tag for tag in meta.get("tag", []) if tag.get("code") != "SUBSETTED"]
    return write_json({**resource, "meta": {**meta, "tag": [*tags, SUBSETTED]}})


def lessened(decide: Decide, rtype: str, params: list[tuple[str, str]]) -> Decide:
    """A read of which _summary or _elements asks for a part. 400 for what they do not take; other names are ignored."""
    part = _part(rtype, params)
    if part is None:
        return decide

    async def decided(ctx: Context) -> Decision:
        decision = await decide(ctx)
        whole = decision.answer

        def answer(committed: Committed) -> Answer:
            made = whole(committed)
            return replace(made, body=cut(made.body, rtype, part, "match")) if made.body else made

        return replace(decision, answer=answer)

    return decided


def _part(rtype: str, params: list[tuple[str, str]]) -> Criteria | None:
    shape, issues = Shape((rtype,)), list[Issue]()
    for name, value in params:
        if name in ("_summary", "_elements"):
            try:
                RESULT_PARAMETERS[name](value, None, shape)
            except Refused as refused:
                issues.append(Issue(f"Parameter '{name}' {refused.sentence}.", code=refused.code))
    if shape.total == "count":
        issues.append(Issue("Parameter '_summary' takes true, text, data or false in a read.", code="value"))
    issues += [Issue(sentence) for sentence in together(shape)]
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    named = shape.summary or shape.elements
    return Criteria(rtype, summary=shape.summary, elements=shape.elements) if named else None


@lru_cache(maxsize=1024)
def _kept(rtype: str, names: tuple[str, ...]) -> frozenset[str]:
    known = element_names(rtype)
    asked = {spelled for name in names for spelled in known.get(name, ())}
    return frozenset(asked | ALWAYS | MODIFIERS | _mandatory(rtype))


@lru_cache(maxsize=256)
def _mandatory(rtype: str) -> frozenset[str]:
    """A choice that is mandatory is kept in whatever type it has."""
    return frozenset(spelled for e in elements(rtype) if e.min for spelled, _ in e.json_names())


def _only(resource: Resource, kept: frozenset[str]) -> Resource:
    return {name: value for name, value in resource.items() if name.removeprefix("_") in kept}


def _data(resource: Resource, _rtype: str) -> Resource:
    return {name: value for name, value in resource.items() if name != "text"}


def _text(resource: Resource, rtype: str) -> Resource:
    return _only(resource, ALWAYS | MODIFIERS | {"text"} | _mandatory(rtype))


def _true(resource: Resource, rtype: str) -> Resource:
    """The elements that R4 marks as summary, at every depth, and the mandatory ones."""
    found: Resource = {"resourceType": rtype}
    found |= _summary_of(resource, rtype)
    return found


def _summary_of(value: dict[str, Any], structure: str) -> dict[str, Any]:
    known = fields(structure)
    out: dict[str, Any] = {}
    for name, inner in value.items():
        element, kind = known.get(name.removeprefix("_"), (None, ""))
        if element is None or not (element.min or name in MODIFIERS or in_summary(structure, element.name)):
            continue
        out[name] = inner if is_primitive(kind) or kind == "Resource" else _inner(inner, kind)
    return out


def _inner(value: Any, structure: str) -> Any:
    if isinstance(value, list):
        return [_inner(item, structure) for item in value]
    return _summary_of(value, structure) if isinstance(value, dict) else value


_SUMMARIES = {"true": _true, "text": _text, "data": _data}
