"""Token parameters: the values of a path -> rows of the index. https://hl7.org/fhir/R4/search.html#token

Codes are compared without case, as the specification advises when in doubt; identifiers as sent, since conditional
creates rely on them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fhir_profiles.catalog import Path, SearchParameter
from service.search import strings
from service.search.keys import Keys
from service.search.rows import Context, Emit, Rows
from service.search.sorting import TEXT, token_order

CACHED_TOKENS = 4_096
"""Codes whose keys are remembered per parameter (statuses, categories); identifiers never are."""


def fold(code: str) -> str:
    return code.casefold()


def phone_digits(value: str) -> str:
    """The digits of a telephone number without country code 1: "+1 (916) 555-0100" -> "9165550100"; "" if too few."""
    digits = "".join(char for char in value if char in "0123456789")
    digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    return digits if len(digits) >= 7 else ""


def token(parameter: SearchParameter, path: Path, context: Context) -> Emit:
    return _TOKENS.get(path.datatype, _words)(parameter, path, context)


def _coded(parameter: SearchParameter, context: Context) -> Callable[[str | None, str | None], tuple[int, ...]]:
    """Keys of a code, remembered."""
    rtype, keys, code = context.rtype, context.keys, parameter.code
    remembered: dict[tuple[str | None, str | None], tuple[int, ...]] = {}

    def coded(system: str | None, value: str | None) -> tuple[int, ...]:
        known = remembered.get((system, value))
        if known is None:
            known = token_keys(keys, rtype, code, system, None if value is None else fold(value))
            if len(remembered) < CACHED_TOKENS:
                remembered[system, value] = known
        return known

    return coded


def _texts(parameter: SearchParameter, context: Context) -> Callable[[Any, Rows], None]:
    """Rows for :text, and for sorting."""
    key = context.keys.values(context.rtype, parameter.code + TEXT)

    def add(text: Any, rows: Rows) -> None:
        if text:
            rows.strings[key, strings.stored(text)] = None

    return add


def _codings(parameter: SearchParameter, _path: Path, context: Context) -> Emit:
    """A code without any words stands for its words, so that it has a place in an order."""
    coded, text = _coded(parameter, context), _texts(parameter, context)

    def codings(values: Sequence[Any], rows: Rows) -> bool:
        for coding in values:
            code = coding.get("code")
            for key in coded(coding.get("system"), code):
                rows.keys[key] = None
            text(coding.get("display") or code, rows)
        return True

    return codings


def _concepts(parameter: SearchParameter, _path: Path, context: Context) -> Emit:
    coded, text = _coded(parameter, context), _texts(parameter, context)

    def concepts(values: Sequence[Any], rows: Rows) -> bool:
        for concept in values:
            words, code = concept.get("text"), None
            text(words, rows)
            for coding in concept.get("coding") or ():
                code = coding.get("code")
                for key in coded(coding.get("system"), code):
                    rows.keys[key] = None
                display = coding.get("display")
                text(display, rows)
                words = words or display
            if not words:
                text(code, rows)
        return True

    return concepts


def _identifiers(parameter: SearchParameter, _path: Path, context: Context) -> Emit:
    rtype, keys, code = context.rtype, context.keys, parameter.code
    sorted_by, text = keys.values(rtype, code), _texts(parameter, context)

    def identifiers(values: Sequence[Any], rows: Rows) -> bool:
        for item in values:
            value, kind = item.get("value"), item.get("type")
            for key in token_keys(keys, rtype, code, item.get("system"), value):
                rows.keys[key] = None
            if value:
                rows.strings[sorted_by, strings.stored(value)] = None
            if kind:
                text(kind.get("text"), rows)
                for coding in kind.get("coding") or ():
                    if value and coding.get("system") and coding.get("code"):
                        typed = keys.of_type(rtype, code, coding["system"], fold(coding["code"]), value)
                        rows.keys[typed] = None
        return True

    return identifiers


def _contacts(parameter: SearchParameter, _path: Path, context: Context) -> Emit:
    rtype, keys, code = context.rtype, context.keys, parameter.code
    sorted_by = keys.values(rtype, code)

    def contacts(values: Sequence[Any], rows: Rows) -> bool:
        for contact in values:
            value = contact.get("value")
            if value:
                rows.strings[sorted_by, strings.stored(value)] = None
                for form in {fold(value), phone_digits(value)} - {""}:
                    rows.keys[keys.token(rtype, code, None, form)] = None
        return True

    return contacts


def _words(parameter: SearchParameter, _path: Path, context: Context) -> Emit:
    """Codes and booleans; those of no listed value set sort as strings."""
    coded, key = _coded(parameter, context), context.keys.values(context.rtype, parameter.code)
    as_strings = token_order(parameter) == "value"

    def words(values: Sequence[Any], rows: Rows) -> bool:
        for value in values:
            word = value if isinstance(value, str) else "true" if value else "false"
            rows.keys[coded(None, word)[0]] = None
            if as_strings:
                rows.strings[key, strings.stored(word)] = None
        return True

    return words


_TOKENS: dict[str, Callable[[SearchParameter, Path, Context], Emit]] = {
    "Coding": _codings,
    "CodeableConcept": _concepts,
    "Identifier": _identifiers,
    "ContactPoint": _contacts,
}


def token_keys(keys: Keys, rtype: str, param: str, system: str | None, code: str | None) -> tuple[int, ...]:
    """Keys for `code`, `system|code` (or `|code`) and `system|`, as far as the value has them."""
    out = []
    if code is not None:
        out += [keys.token(rtype, param, None, code), keys.token(rtype, param, system or "", code)]
    if system:
        out.append(keys.token(rtype, param, system, None))
    return tuple(out)
