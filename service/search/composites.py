"""Composite parameters: two values of one parent element, such as component-code-value-quantity.

Source: https://hl7.org/fhir/R4/search.html#composite. The first component is a token, in the forms `code` and
`system|code`; each form names the rows of the second: `code-value$system|code` + unit for quantities, and so on.
Where the resource itself bears both and neither repeats, the composite is the conjunction of two parameters: no rows.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fhir_profiles.catalog import Group, Path, SearchParameter
from service.search import dates, quantities, strings
from service.search.criteria import AnyOf, Clause, HasDate, HasKey, HasNumber, HasString
from service.search.emitters import quantity_rows
from service.search.prefixes import between, prefix_and_range
from service.search.question import Query
from service.search.references import normal_reference
from service.search.rows import Context, Emit, Rows
from service.search.syntax import Refused, split, unescape
from service.search.token_rows import fold
from service.search.tokens import PLAIN, implied, starts, system_and_code
from service.search.walkers import below

RANK = 4
Second = Callable[[str, Any, Rows], bool]
"""Adds the rows of one value of the second component under a name; true where it has any."""

# ---- stored


def emitter(parameter: SearchParameter, group: Group, context: Context) -> Emit:
    """Takes the elements that bear both components."""
    first = [(path.steps[0].name, below(path.steps), path.datatype) for path in group.parts[0].paths]
    second = [
        (path.steps[0].name, below(path.steps), SECOND[group.parts[1].kind](path, context))
        for path in group.parts[1].paths
    ]

    def pairs(elements: Sequence[Any], rows: Rows) -> bool:
        held = False
        for element in elements:
            forms = [
                form
                for member, walk, datatype in first
                if element.get(member) is not None
                for value in walk(element[member])
                for form in _forms(value, datatype)
            ]
            for member, walk, add in second if forms else ():
                for value in walk(element[member]) if element.get(member) is not None else ():
                    for form in forms:
                        held = add(_name(parameter.code, form), value, rows) or held
        return held

    return pairs


def _name(code: str, form: str) -> str:
    return f"{code}${form}"


def _forms(value: Any, datatype: str) -> Iterator[str]:
    """`code` and `system|code` (or `|code`) of each coding; a plain code bears no system."""
    if datatype in PLAIN:
        yield fold(value if isinstance(value, str) else "true" if value else "false")
        return
    for coding in (value,) if datatype == "Coding" else value.get("coding") or ():
        if coding.get("code"):
            code = fold(coding["code"])
            yield code
            yield f"{coding.get('system', '')}|{code}"


def _token(path: Path, context: Context) -> Second:
    def add(name: str, value: Any, rows: Rows) -> bool:
        forms = list(_forms(value, path.datatype))
        for form in forms:
            rows.keys[context.keys.token(context.rtype, name, None, form)] = None
        return bool(forms)

    return add


def _reference(_path: Path, context: Context) -> Second:
    def add(name: str, value: Any, rows: Rows) -> bool:
        text = value.get("reference")
        target = normal_reference(text, context.base_url) if text else None
        if target is not None:
            rows.keys[context.keys.pair(context.rtype, name, target)] = None
        return target is not None

    return add


def _quantity(path: Path, context: Context) -> Second:
    amounts = quantity_rows(path.datatype, context)
    return lambda name, value, rows: amounts(value, name, rows)


def _date(path: Path, context: Context) -> Second:
    def add(name: str, value: Any, rows: Rows) -> bool:
        span = dates.ranges_of(value, path.datatype, context.zone)
        if span is not None:
            rows.dates[context.keys.values(context.rtype, name), span[0], span[1]] = None
        return span is not None

    return add


def _string(path: Path, context: Context) -> Second:
    def add(name: str, value: Any, rows: Rows) -> bool:
        texts = strings.texts_of(value, path.datatype)
        for text in texts:
            rows.strings[context.keys.values(context.rtype, name), strings.stored(text)] = None
        return bool(texts)

    return add


SECOND: dict[str, Callable[[Path, Context], Second]] = {
    "token": _token,
    "reference": _reference,
    "quantity": _quantity,
    "date": _date,
    "string": _string,
}

# ---- asked

References = Callable[[str, Query], list[str]]
"""The references that a value may mean; clauses.py knows what a served type is."""


def halves(value: str) -> tuple[str, str]:
    parts = split(value, "$")
    if len(parts) != 2 or "" in parts:
        raise Refused("takes two values with a '$' between them; a '$' inside a value is written '\\$'")
    return parts[0], parts[1]


def clause(
    parameter: SearchParameter, group: Group, values: Sequence[str], query: Query, references: References
) -> Clause:
    found: list[Clause] = []
    for value in values:
        first, second = halves(value)
        form = _asked_form(first, group.parts[0].paths)
        if form is None:
            found.append(HasKey((query.nothing(),), RANK))
            continue
        name = _name(parameter.code, form)
        found.append(_second(group, name, second, query, references))
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def _asked_form(text: str, paths: tuple[Path, ...]) -> str | None:
    """As _forms writes it; None for a system that the code cannot have."""
    system, code = system_and_code(text)
    if code is None:
        raise Refused("takes code or system|code on either side of the '$', not a system alone")
    if {path.datatype for path in paths} <= PLAIN:
        return fold(code) if implied(paths, system) else None
    return fold(code) if system is None else f"{system}|{fold(code)}"


def _second(group: Group, name: str, text: str, query: Query, references: References) -> Clause:
    keys, rtype = query.keys, query.rtype
    match group.parts[1].kind:
        case "token":
            paths = group.parts[1].paths
            form = _asked_form(text, paths)
            return HasKey((query.nothing() if form is None else keys.token(rtype, name, None, form),), RANK)
        case "reference":
            found = tuple(keys.pair(rtype, name, target) for target in references(unescape(text), query))
            return HasKey(found or (query.nothing(),), RANK)
        case "quantity":
            unit, bounds = quantities.asked(text)
            return HasNumber(keys.values(rtype, name + unit), (bounds,))
        case "date":
            prefix, span = prefix_and_range(unescape(text), query.zone)
            return HasDate(keys.values(rtype, name), tuple(between(prefix, span, query.now_us)))
    return HasString(keys.values(rtype, name), starts([text]))
