"""One function per kind of search parameter: the values of a path -> rows of the index.

Source: https://hl7.org/fhir/R4/search.html#table
"""

from collections.abc import Callable, Sequence
from typing import Any

from fhir_profiles.catalog import Path, SearchParameter
from service.search import dates, hours, near, numbers, quantities, strings
from service.search.keys import edge
from service.search.references import normal_canonical, normal_reference, type_of
from service.search.rows import Context, Emit, Rows
from service.search.token_rows import token, token_keys

CACHED_UNITS = 1_024
"""Keys of units (and codes) that are remembered per parameter."""

URI_LIMIT = 500
"""Characters of a uri that are kept for :below and for sorting: an index row has a size limit."""


def emitter(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    return EMITTERS[parameter.type](parameter, path, context)


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
    as_sent = keys.values(rtype, code)

    def uris(values: Sequence[Any], rows: Rows) -> bool:
        for value in values:
            rows.keys[keys.uri(rtype, code, value)] = None
            rows.strings[as_sent, value[:URI_LIMIT]] = None
            if versioned and "|" in value:
                rows.keys[keys.uri(rtype, code, value.split("|")[0])] = None
        return True

    return uris


def _number(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    key, datatype = context.keys.values(context.rtype, parameter.code), path.datatype

    def spans(values: Sequence[Any], rows: Rows) -> bool:
        found = [span for value in values if (span := numbers.stored(value, datatype))]
        for low, high in found:
            rows.numbers[key, low, high] = None
        return bool(found)

    return spans


def _quantity(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    """The number without unit stands under the parameter's own key, which is also what it sorts by."""
    amounts = quantity_rows(path.datatype, context)

    def found(values: Sequence[Any], rows: Rows) -> bool:
        return any([amounts(value, parameter.code, rows) for value in values])

    return found


def quantity_rows(datatype: str, context: Context) -> Callable[[Any, str, Rows], bool]:
    rtype, keys = context.rtype, context.keys
    remembered: dict[str, int] = {}

    def add(value: Any, name: str, rows: Rows) -> bool:
        found = quantities.rows(value, datatype)
        for unit, low, high in found:
            full = name + unit
            key = remembered.get(full)
            if key is None:
                key = keys.values(rtype, full)
                if len(remembered) < CACHED_UNITS:
                    remembered[full] = key
            rows.numbers[key, low, high] = None
        return bool(found)

    return add


def _special(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    key = context.keys.values(context.rtype, parameter.code)
    if parameter.code == "open-at":
        return _closed(parameter, path, context) if path.datatype == "Period" else _hours(key)

    def positions(values: Sequence[Any], rows: Rows) -> bool:
        found = [place for value in values if (place := near.position(value))]
        for latitude, longitude in found:
            rows.numbers[key, latitude, longitude] = None
        return bool(found)

    return positions


def _hours(key: int) -> Emit:
    def hours_of(values: Sequence[Any], rows: Rows) -> bool:
        found = [span for value in values for span in hours.spans(value)]
        for low, high in found:
            rows.numbers[key, float(low), float(high)] = None
        return bool(found)

    return hours_of


def _closed(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    """When a service is not available stands in the dates of `open-at`, and makes no hours known."""
    periods = _date(parameter, path, context)

    def closed(values: Sequence[Any], rows: Rows) -> bool:
        periods(values, rows)
        return False

    return closed


EMITTERS: dict[str, Callable[[SearchParameter, Path, Context], Emit]] = {
    "token": token,
    "reference": _reference,
    "date": _date,
    "string": _string,
    "uri": _uri,
    "number": _number,
    "quantity": _quantity,
    "special": _special,
}
