"""Mutants that no test can kill, and why: per module, place of the mutant -> reason."""

_EMPTY = "No condition at all: only that the first element is false counts, and both are."
_JOINED = "join() leaves out what says nothing: with one condition it gives that one."
_PARAMS = "Conditions without parameters are: none at all, never (answered above), and always, which changes nothing."
_OWN = (
    "A row of the organization stands beside itself, and no other subject is looked at: the first part only saves work."
)

EQUIVALENT: dict[str, dict[str, str]] = {
    "service/access/consent/decide.py": {
        "_deciding: (rule.grade, rule.number) > (known.grade, known.number) -> "
        "(rule.grade, rule.number) >= (known.grade, known.number)": (
            "Consent and number are the primary key of a rule: two rules of one Consent never have the same number."
        ),
    },
    "service/access/consent/provisions.py": {
        "_pairs: '' -> 'XX'": "Neither is the system of anything that is known.",
        "_pairs: '' -> 'XX' #2": "Neither is a code of anything that is known.",
        "_permitted: if code in OPEN_CONFIDENTIALITY: return GENERAL -> if False: return GENERAL": (
            "The next lines give GENERAL and the bits of the code, and these codes have none: it is only said at once."
        ),
        "_actor: reference.partition('/') -> reference.rpartition('/')": (
            "A reference into this service has one slash: normal_reference takes the version off."
        ),
    },
    "service/store/visible_scope.py": {
        "_reach: '' -> 'XX'": "The compiler asks whether the engine is sqlite or postgresql; neither is.",
        "_reach: 's' -> 'sXX'": "Another name for aliases that nobody else uses.",
    },
    "service/store/visible.py": {
        "visible: ('', []) without ''": _EMPTY,
        "visible: ('', []) without []": _EMPTY,
        "_related: ('', []) without ''": _EMPTY,
        "_related: ('', []) without []": _EMPTY,
        "_related: (NOTHING, []) without []": "visible() looks at the condition and answers (NOTHING, []) itself.",
        "visible: related[0] and reached[0] -> related[0] or reached[0]": _JOINED,
        "visible: related[0] and reached[0] without related[0]": _JOINED,
        "visible: related[0] and reached[0] without reached[0]": _JOINED,
        "visible: 0 -> 1 #3": _PARAMS,
        "visible: 0 -> 1 #4": _PARAMS,
        "visible: 0 -> 1 #5": _PARAMS,
        "_relation: either([assigned, party]) if rtype in PARTY_EDGES else assigned -> "
        "either([assigned, party]) if True else assigned": "For other types the party's condition is never true.",
        "_beside: if not people: return ('', []) -> if False: return ('', [])": (
            "Without people every subject is the caller's own: the condition that is added holds for each row."
        ),
        "_beside: for one in restriction.own if one in restriction.subjects without one in restriction.subjects": _OWN,
        "_beside: one in restriction.subjects -> one not in restriction.subjects": _OWN,
        "_standing: if grace_us: until = \"(p.end_us > ? OR (p.end_us > ? AND p.basis IN ('episode', 'care-team')))\" "
        "ends = [now_us, now_us - grace_us] -> if True: until = "
        "\"(p.end_us > ? OR (p.end_us > ? AND p.basis IN ('episode', 'care-team')))\" "
        "ends = [now_us, now_us - grace_us]": "A grace of nothing: both bounds are now.",
        "_party: '1 = 0' -> '2 = 0'": "Never either.",
    },
    "service/access/scoping.py": {
        "_conditions: if reached_ == WHOLE: return frozenset() -> if False: return frozenset()": (
            "What is whole has no query and no patient: the next lines come to the same."
        ),
        "_clause: 0 -> 1": "The instant of the question: no parameter that may narrow depends on it.",
        "_clause: '' -> 'XX'": "The base URL: no value that may narrow is absolute.",
    },
}
