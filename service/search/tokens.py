"""Token parameters: a value and its modifier -> a clause. https://hl7.org/fhir/R4/search.html#token"""

from collections.abc import Callable, Iterable, Sequence

from fhir_profiles import terminology
from fhir_profiles.catalog import Path, SearchParameter
from service.search import strings
from service.search.criteria import Clause, HasKey, HasString
from service.search.question import Query
from service.search.sorting import TEXT
from service.search.syntax import Refused, split, unescape
from service.search.token_rows import fold, phone_digits

PLAIN = frozenset({"code", "boolean", "string", "id", "uri", "truth"})
"""Datatypes of a token that bear no system of their own; a required binding may imply one."""

CODED = frozenset({"code", "Coding", "CodeableConcept"})

MAX_CODES = 2_000
"""Keys that the value sets and hierarchies of one parameter may stand for."""

RANKS = {"Identifier": 0, "ContactPoint": 1, "uri": 2, "canonical": 6, "Coding": 5, "CodeableConcept": 5}
"""How rare a key of the datatype is, 0 rarest; codes and booleans are the commonest."""


def rank(parameter: SearchParameter) -> int:
    if parameter.code == "_tag":
        return 8
    return max((RANKS.get(datatype, 7) for datatype in parameter.datatypes), default=7)


def modifiers(parameter: SearchParameter) -> list[str]:
    """What may stand behind the colon, besides :not and :missing."""
    found = ["text"] if parameter.datatypes & {"Coding", "CodeableConcept", "Identifier"} else []
    if parameter.datatypes & CODED:
        found += ["in", "not-in", "above", "below"]
    return [*found, "of-type"] if "Identifier" in parameter.datatypes else found


def clause(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    """modifier: one of modifiers(), without its negation."""
    if modifier == "text":
        return HasString(query.keys.values(query.rtype, parameter.code + TEXT), starts(values))
    keys = dict.fromkeys(key for value in values for key in _KEYS[modifier](parameter, value, query))
    if modifier in _EXPANDED and len(keys) > MAX_CODES:
        raise Refused(f"stands for more than {MAX_CODES} codes", "too-costly")
    return HasKey(tuple(keys) or (query.nothing(),), rank(parameter))


def starts(values: Iterable[str]) -> tuple[str, ...]:
    """Values as the front of normalised strings."""
    plain = [unescape(value) for value in values]
    if any(len(value) > strings.LIMIT for value in plain):
        raise Refused(f"takes at most {strings.LIMIT} characters; use :exact for longer values", "too-long")
    found = tuple(dict.fromkeys(strings.normalise(value) for value in plain))
    if "" in found:
        raise Refused("has a value without letters or digits")
    return found


def system_and_code(value: str) -> tuple[str | None, str | None]:
    """`code` (None, code); `|code` ("", code); `system|code`; `system|` (system, None)."""
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) > 2 or parts == ["", ""]:
        raise Refused("takes code, system|code, |code or system|; a '|' inside a value is written '\\|'")
    if len(parts) == 1:
        return None, parts[0]
    return parts[0], parts[1] or None


def _plain(parameter: SearchParameter, value: str, query: Query) -> list[int]:
    system, code = system_and_code(value)
    if parameter.datatypes <= PLAIN:
        if not implied(parameter.paths, system):
            return [query.nothing()]
        if code is None:
            return [query.keys.present(query.rtype, parameter.code)]
        if parameter.datatypes <= {"boolean", "truth"} and fold(code) not in ("true", "false"):
            raise Refused("takes true or false")
        return [query.keys.token(query.rtype, parameter.code, None, fold(code))]
    if "ContactPoint" in parameter.datatypes:
        if system is not None or code is None:
            raise Refused("takes the number or address alone, without a system")
        forms = {fold(code), phone_digits(code)} - {""}
        return [query.keys.token(query.rtype, parameter.code, None, form) for form in sorted(forms)]
    if code is not None and "Identifier" not in parameter.datatypes:
        code = fold(code)
    return [query.keys.token(query.rtype, parameter.code, system, code)]


def implied(paths: Iterable[Path], system: str | None) -> bool:
    """A code's system is the one its binding implies, so that it needs no row of its own; where none is known, any."""
    systems = {path.system for path in paths}
    return not system or None in systems or system in systems


def _of_type(parameter: SearchParameter, value: str, query: Query) -> list[int]:
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) != 3 or "" in parts:
        raise Refused("takes system|code|value with :of-type: the identifier's type, then its value")
    return [query.keys.of_type(query.rtype, parameter.code, parts[0], fold(parts[1]), parts[2])]


def _in(parameter: SearchParameter, value: str, query: Query) -> list[int]:
    listed = terminology.value_set(unescape(value))
    if not listed:
        bases = " or ".join(terminology.BASES)
        raise Refused(f"takes the canonical of a ValueSet that is held here, below {bases}", "not-supported")
    return [key for system, codes in listed.items() for code in codes for key in _coded(parameter, system, code, query)]


def _above(parameter: SearchParameter, value: str, query: Query) -> list[int]:
    system, code = _placed(value)
    return [key for c in system.above(code) for key in _coded(parameter, system.url, c, query)]


def _below(parameter: SearchParameter, value: str, query: Query) -> list[int]:
    system, code = _placed(value)
    return [key for c in system.below(code) for key in _coded(parameter, system.url, c, query)]


def _placed(value: str) -> tuple[terminology.CodeSystem, str]:
    url, code = system_and_code(value)
    system = terminology.code_systems().get(url or "")
    if system is None or code is None:
        base = terminology.BASES[0].replace("ValueSet", "CodeSystem")
        raise Refused(f"takes system|code with :above and :below, of a CodeSystem below {base}", "not-supported")
    return system, code


def _coded(parameter: SearchParameter, system: str, code: str, query: Query) -> list[int]:
    """The key of one code, under the system that a plain code only implies."""
    keys = []
    plain = [path for path in parameter.paths if path.datatype == "code"]
    if any(path.system in (system, None) for path in plain):
        keys.append(query.keys.token(query.rtype, parameter.code, None, fold(code)))
    if parameter.datatypes - PLAIN:
        keys.append(query.keys.token(query.rtype, parameter.code, system, fold(code)))
    return keys


_KEYS: dict[str | None, Callable[[SearchParameter, str, Query], list[int]]] = {
    None: _plain,
    "of-type": _of_type,
    "in": _in,
    "above": _above,
    "below": _below,
}
_EXPANDED = ("in", "above", "below")
