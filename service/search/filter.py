"""_filter -> clauses, by the same rules as single parameters. https://hl7.org/fhir/R4/search_filter.html

What the words mean here, where the specification leaves it open:
- `ne` on dates, numbers and quantities is their prefix `ne`; elsewhere the parameter has a value, and none equals this.
- `not (...)` is true for every resource that the brackets do not find, so also for one without a value.
- Strings are compared without case and accents ("values are never case sensitive"): `eq` the whole, `sw` its start.
- A chain may stand before the operator, also a _has; each comparison is a chain of its own.
"""

from collections.abc import Callable, Sequence

from fhir_profiles.catalog import SearchParameter
from service.search import strings
from service.search.asking import Asking
from service.search.chains import follow
from service.search.criteria import AllOf, AnyOf, Between, Clause, HasDate, HasString, Not
from service.search.filter_text import MAX_TERMS, Both, Negated, Term, Tree, read
from service.search.leaves import of_values, parameter_of
from service.search.prefixes import prefix_and_range
from service.search.syntax import Refused, Several, Unknown, checked, unescape

_PREFIXES = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")


def filtered(text: str, asking: Asking) -> Clause:
    """The clause of one _filter. Raises Refused, Several for all that cannot be executed in it."""
    wrong: list[Refused] = []
    found = _clause(read(text), asking, wrong)
    if wrong:
        raise Several(wrong)
    assert found is not None
    return found


def _clause(tree: Tree, asking: Asking, wrong: list[Refused]) -> Clause | None:
    """None for what was refused, so that the rest is still looked at."""
    match tree:
        case Term():
            try:
                return _term(tree, asking)
            except Unknown as unknown:
                wrong.append(_at(tree, unknown.inside(), unknown.code))
            except Refused as refused:
                wrong.append(_at(tree, refused.sentence, refused.code))
            return None
        case Negated(part):
            inner = _clause(part, asking, wrong)
            return Not(inner) if inner is not None else None
        case Both(word, parts):
            every = [_clause(part, asking, wrong) for part in parts]
            kept = tuple(clause for clause in every if clause is not None)
            return AllOf(kept) if word == "and" else AnyOf(kept)


def _at(term: Term, sentence: str, code: str) -> Refused:
    """Where in the text, and none of the text: what stands there may be a value."""
    return Refused(f"{sentence} (comparison at place {term.at})", code)


def _term(term: Term, asking: Asking) -> Clause:
    asking.spent.terms += 1
    if asking.spent.terms > MAX_TERMS:
        raise Refused(f"makes more than {MAX_TERMS} comparisons in one search", "too-costly")
    checked(term.value)

    def end(code: str, at: Asking) -> Clause:
        if ":" in code:
            raise Refused("takes no modifier: an operator says what it says", "not-supported")
        return compared(parameter_of(code, at), term, at)

    return follow(term.path, asking, end)


Operator = Callable[[SearchParameter, str, Asking], Clause]


def compared(parameter: SearchParameter, term: Term, asking: Asking) -> Clause:
    """One comparison of a parameter of the type that is asked about."""
    known = OPERATORS.get("id" if parameter.code == "_id" else parameter.type, {"pr": _present})
    if parameter.code == "_lastUpdated":
        known = {name: operator for name, operator in known.items() if name in _PREFIXES}
    operator = known.get(term.operator)
    if operator is None:
        kind = f"'{parameter.code}' of {asking.rtype} (type {parameter.type})"
        raise Refused(f"takes for {kind} the operators {', '.join(known)}", "not-supported")
    if not term.value.strip():
        raise Refused("has an empty value")
    return operator(parameter, _escaped(parameter, term), asking)


def _escaped(parameter: SearchParameter, term: Term) -> str:
    """As a value of the parameter itself: one alternative. The bars of a token, a quantity and a canonical stay."""
    special = "\\,$|" if parameter.type in ("string", "uri") else "," if parameter.type == "composite" else ",$"
    return "".join("\\" + char if char in special else char for char in term.value)


def _with_prefix(prefix: str) -> Operator:
    return lambda parameter, value, asking: of_values(parameter, None, [prefix + value], asking)


def _with_modifier(modifier: str | None) -> Operator:
    return lambda parameter, value, asking: of_values(parameter, modifier, [value], asking)


def _present(parameter: SearchParameter, value: str, asking: Asking) -> Clause:
    if value not in ("true", "false"):
        raise Refused("takes true or false behind 'pr'")
    return of_values(parameter, "missing", ["false" if value == "true" else "true"], asking)


def _unequal(equal: Operator) -> Operator:
    def unequal(parameter: SearchParameter, value: str, asking: Asking) -> Clause:
        return AllOf((_present(parameter, "true", asking), Not(equal(parameter, value, asking))))

    return unequal


def _other_id(parameter: SearchParameter, value: str, asking: Asking) -> Clause:
    """Every resource has an id."""
    return Not(of_values(parameter, None, [value], asking))


def _overlaps(parameter: SearchParameter, value: str, asking: Asking) -> Clause:
    if value[:1].isalpha():
        raise Refused("takes a date without a prefix behind 'po'")
    start, end = prefix_and_range(value, asking.query.zone)[1]
    bounds = (Between(lo_lt=end, hi_gt=start),)
    return _either([HasDate(key, bounds) for key in _keys(parameter, asking)])


def _whole_string(parameter: SearchParameter, value: str, asking: Asking) -> Clause:
    """Equal without case and accents: the normalised form, alone or before the value as sent."""
    plain = strings.normalise(unescape(value))
    if not plain or len(unescape(value)) > strings.LIMIT:
        raise Refused(f"takes strings of 1 to {strings.LIMIT} characters with letters or digits")
    alternatives: list[Clause] = []
    for key in _keys(parameter, asking):
        alternatives += [HasString(key, (plain,), "exact"), HasString(key, (plain + strings.SEPARATOR,))]
    return _either(alternatives)


def _keys(parameter: SearchParameter, asking: Asking) -> list[int]:
    return [asking.query.keys.values(asking.rtype, stored) for stored in parameter.stored_as]


def _either(alternatives: Sequence[Clause]) -> Clause:
    return alternatives[0] if len(alternatives) == 1 else AnyOf(tuple(alternatives))


def _ordered(*prefixes: str) -> dict[str, Operator]:
    return {prefix: _with_prefix(prefix) for prefix in prefixes}


_PLAIN = _with_modifier(None)
_SAME: dict[str, Operator] = {"eq": _PLAIN, "ne": _unequal(_PLAIN), "pr": _present}
OPERATORS: dict[str, dict[str, Operator]] = {
    "id": {"eq": _PLAIN, "ne": _other_id},
    "token": {
        **_SAME,
        "in": _with_modifier("in"),
        "ni": _with_modifier("not-in"),
        "ss": _with_modifier("below"),
        "sb": _with_modifier("above"),
    },
    "string": {
        "eq": _whole_string,
        "ne": _unequal(_whole_string),
        "co": _with_modifier("contains"),
        "sw": _PLAIN,
        "pr": _present,
    },
    "uri": {**_SAME, "ss": _with_modifier("below"), "sb": _with_modifier("above")},
    "reference": {**_SAME, "re": _PLAIN},
    "date": {**_ordered(*_PREFIXES), "po": _overlaps, "pr": _present},
    "number": {**_ordered(*_PREFIXES), "pr": _present},
    "quantity": {**_ordered(*_PREFIXES), "pr": _present},
    "composite": {"eq": _PLAIN},
}
"""Type of parameter -> operators. 'ew' is absent: strings are indexed from their start."""
