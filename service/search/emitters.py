"""One function per kind of search parameter: the values of a path -> rows of the index.

Source: https://hl7.org/fhir/R4/search.html#table. Codes are compared without case, as the specification advises when in
doubt; identifiers as sent, since conditional creates rely on them.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from fhir_profiles.catalog import Path, SearchParameter
from service.search import dates, strings
from service.search.keys import Keys, edge
from service.search.references import normal_canonical, normal_reference, type_of

Emit = Callable[[Sequence[Any], "Rows"], bool]
"""Adds the rows of the values; true when the resource holds a value of the parameter (for :missing)."""

CACHED_TOKENS = 4_096
"""Codes whose keys are remembered per parameter (statuses, categories); identifiers never are."""


class Rows(NamedTuple):
    """Rows so far, as ordered sets."""

    keys: dict[int, None]
    dates: dict[tuple[int, int, int], None]
    strings: dict[tuple[int, str], None]
    edges: dict[tuple[int, int], None]


class Context(NamedTuple):
    rtype: str
    keys: Keys
    base_url: str
    zone: tzinfo


def emitter(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    return EMITTERS[parameter.type](parameter, path, context)


def fold(code: str) -> str:
    return code.casefold()


def phone_digits(value: str) -> str:
    """The digits of a telephone number without country code 1: "+1 (916) 555-0100" -> "9165550100"; "" if too few."""
    digits = "".join(char for char in value if char in "0123456789")
    digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    return digits if len(digits) >= 7 else ""


def _token(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    rtype, keys, code = context.rtype, context.keys, parameter.code
    remembered: dict[tuple[str | None, str | None], tuple[int, ...]] = {}

    def coded(system: str | None, value: str | None) -> tuple[int, ...]:
        known = remembered.get((system, value))
        if known is None:
            known = token_keys(keys, rtype, code, system, None if value is None else fold(value))
            if len(remembered) < CACHED_TOKENS:
                remembered[system, value] = known
        return known

    def codings(values: Sequence[Any], rows: Rows) -> bool:
        for coding in values:
            for key in coded(coding.get("system"), coding.get("code")):
                rows.keys[key] = None
        return True

    def concepts(values: Sequence[Any], rows: Rows) -> bool:
        for concept in values:
            codings(concept.get("coding") or (), rows)
        return True

    def identifiers(values: Sequence[Any], rows: Rows) -> bool:
        for item in values:
            for key in token_keys(keys, rtype, code, item.get("system"), item.get("value")):
                rows.keys[key] = None
        return True

    def contacts(values: Sequence[Any], rows: Rows) -> bool:
        for contact in values:
            value = contact.get("value")
            if value:
                for form in {fold(value), phone_digits(value)} - {""}:
                    rows.keys[keys.token(rtype, code, None, form)] = None
        return True

    def words(values: Sequence[Any], rows: Rows) -> bool:
        for value in values:
            word = value if isinstance(value, str) else "true" if value else "false"
            rows.keys[coded(None, word)[0]] = None
        return True

    table: dict[str, Emit] = {
        "Coding": codings,
        "CodeableConcept": concepts,
        "Identifier": identifiers,
        "ContactPoint": contacts,
    }
    return table.get(path.datatype, words)


def token_keys(keys: Keys, rtype: str, param: str, system: str | None, code: str | None) -> tuple[int, ...]:
    """Keys for `code`, `system|code` (or `|code`) and `system|`, as far as the value has them."""
    out = []
    if code is not None:
        out += [keys.token(rtype, param, None, code), keys.token(rtype, param, system or "", code)]
    if system:
        out.append(keys.token(rtype, param, system, None))
    return tuple(out)


def _reference(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    if path.datatype != "Reference":
        return _canonical_reference(parameter, context)
    rtype, keys, base_url, _ = context
    number, only = edge(rtype, parameter.code), path.target
    stored = not parameter.is_alias

    def references(values: Sequence[Any], rows: Rows) -> bool:
        held = False
        for value in values:
            text = value.get("reference")
            target = normal_reference(text, base_url) if text else None
            kind = None
            if only:
                kind = type_of(target) if target else value.get("type")
                if kind and kind != only:
                    continue
            if target is not None and stored:
                rows.edges[number, keys.resource(target)] = None
            identifier = value.get("identifier")
            if identifier:
                for key in token_keys(
                    keys, rtype, parameter.code + ":identifier", identifier.get("system"), identifier.get("value")
                ):
                    rows.keys[key] = None
            held = held or not only or kind == only or (kind is None and identifier is not None)
        return held

    return references


def _canonical_reference(parameter: SearchParameter, context: Context) -> Emit:
    """A canonical is found with and without its version."""
    number, keys = edge(context.rtype, parameter.code), context.keys

    def canonicals(values: Sequence[Any], rows: Rows) -> bool:
        for value in values:
            target = normal_canonical(value, context.base_url)
            if target:
                for form in {target, target.split("|")[0]}:
                    rows.edges[number, keys.resource(form)] = None
        return True

    return canonicals


def _date(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    key = context.keys.values(context.rtype, parameter.code)
    datatype, zone = path.datatype, context.zone

    def spans(values: Sequence[Any], rows: Rows) -> bool:
        for value in values:
            span = dates.ranges_of(value, datatype, zone)
            if span is not None:
                rows.dates[key, span[0], span[1]] = None
        return True

    return spans


def _string(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    key, datatype = context.keys.values(context.rtype, parameter.code), path.datatype

    def texts(values: Sequence[Any], rows: Rows) -> bool:
        for value in values:
            for text in strings.texts_of(value, datatype):
                rows.strings[key, strings.stored(text)] = None
        return True

    return texts


def _uri(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    rtype, keys, code, versioned = context.rtype, context.keys, parameter.code, path.datatype == "canonical"

    def uris(values: Sequence[Any], rows: Rows) -> bool:
        for value in values:
            rows.keys[keys.uri(rtype, code, value)] = None
            if versioned and "|" in value:
                rows.keys[keys.uri(rtype, code, value.split("|")[0])] = None
        return True

    return uris


EMITTERS: dict[str, Callable[[SearchParameter, Path, Context], Emit]] = {
    "token": _token,
    "reference": _reference,
    "date": _date,
    "string": _string,
    "uri": _uri,
}
