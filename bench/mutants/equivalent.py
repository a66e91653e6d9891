"""Mutants that no test can kill, and why: per module, place of the mutant -> reason."""

_EMPTY = "No condition at all: only that the first element is false counts, and both are."
_JOINED = "join() leaves out what says nothing: with one condition it gives that one."
_PARAMS = "Conditions without parameters are: none at all, never (answered above), and always, which changes nothing."
_OWN = (
    "A row of the organization stands beside itself, and no other subject is looked at: the first part only saves work."
)
_NO_RELATION = "_relation() finds none where the rule is OWN or absent, and a panel row always has a patient."
_TWICE = "The registry names the algorithms too, and read_assertion() has refused every other one."
_LIBRARY = "A library that read another header than we did: there is none among those we know; the check stands for it."
_BOUND = "What lies between the two bounds has a bit that is no label, and the next condition refuses it."
_NO_CLIENT = (
    "What does not look like an id is no client's either; PostgreSQL refuses some such text, in test_t12 on it."
)
_SHORT = "More goes past the short cut, and is asked bit by bit: the answer is the same."

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
    },
    "service/access/scoping.py": {
        "_conditions: if reached_ == WHOLE: return frozenset() -> if False: return frozenset()": (
            "What is whole has no query and no patient: the next lines come to the same."
        ),
        "_clause: 0 -> 1": "The instant of the question: no parameter that may narrow depends on it.",
        "_clause: '' -> 'XX'": "The base URL: no value that may narrow is absolute.",
    },
    "service/access/tripwire.py": {
        "check_found: seen.unrestricted or not found without not found": "The next return says the same.",
        "judged: if rule is See.OWN or one.patient is None: return False -> if False: return False": _NO_RELATION,
        "judged: rule is See.OWN or one.patient is None -> rule is See.OWN and one.patient is None": _NO_RELATION,
        "judged: rule is See.OWN or one.patient is None without rule is See.OWN": _NO_RELATION,
        "judged: rule is See.OWN or one.patient is None without one.patient is None": _NO_RELATION,
        "relation_of: if rule is None or one.patient is None: return Relation.NONE -> if False: return Relation.NONE": (
            _NO_RELATION
        ),
        "relation_of: rule is None or one.patient is None -> rule is None and one.patient is None": _NO_RELATION,
        "relation_of: rule is None or one.patient is None without rule is None": _NO_RELATION,
        "relation_of: rule is None or one.patient is None without one.patient is None": _NO_RELATION,
        "_held: row.subject in seen.own or row.basis == 'break-glass' without row.subject in seen.own": (
            "A row of the organization stands beside itself in the last line."
        ),
        "_held: {*seen.own} without *seen.own": (
            "Who is in both lists is the organization, and its own row has answered before."
        ),
        "_consented: if not one.labels and (not any((rule.patient == one.patient for rule in facts.rules))): "
        "return True -> if False: return True": "Without labels and rules decide() permits: it is only said at once.",
        "verdict_of: for rule in facts.rules if rule.patient == one.patient without rule.patient == one.patient": (
            "decide() looks at the rule's patient itself."
        ),
    },
    "service/auth/jwt_reader.py": {
        "_decode: -len(part) -> len(part)": "base64 takes padding in excess, and the spelling is compared afterwards.",
        "_read_object: json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, "
        "parse_float=_finite, strict=True) without strict=True": "It is the default, written down.",
        "_read_object: (ValueError, RecursionError) without RecursionError": (
            "Depth is counted before: nothing that is parsed is deep."
        ),
        "_depth: '' -> 'XX'": "No bracket either.",
        "_depth: '[{' -> '[{XX'": "Outside of texts JSON has no X: refused for its depth or for its form.",
        "_depth: ']}' -> ']}XX'": "Outside of texts JSON has no X: what has one is refused for its form.",
    },
    "service/auth/assertions.py": {
        "_check_signature: jws.deserialize_compact(jwt.text, key, algorithms=['RS384', 'ES384'"
        "], registry=jws.JWSRegistry(algor ... RS384', 'ES384'], strict_check_header=False)) "
        "without algorithms=['RS384', 'ES384']": _TWICE,
        "_check_signature: ['RS384', 'ES384'] without 'RS384'": _TWICE,
        "_check_signature: ['RS384', 'ES384'] without 'ES384'": _TWICE,
        "_check_signature: 'RS384' -> 'RS384XX'": _TWICE,
        "_check_signature: 'ES384' -> 'ES384XX'": _TWICE,
        "_check_signature: if verified.headers() != jwt.header: raise ClientRefused('signature') -> "
        "if False: raise ClientRefused('signature')": _LIBRARY,
        "_check_signature: raise ClientRefused('signature') -> pass": _LIBRARY,
        "_check_signature: 'signature' -> 'signatureXX' #2": _LIBRARY,
        "_names: isinstance(audience, str) and audience == token_url without isinstance(audience, str)": (
            "What equals a text is one."
        ),
    },
    "service/store/visible_consent.py": {
        "module: GENERAL << 1 -> GENERAL >> 1": _BOUND,
        "module: 1 -> 0 #3": _BOUND,
        "consented: '.patient AND (cd.labels & ' -> '.patient AND (cd.labels | '": _SHORT,
        "consented: ') <> 0 AND (cd.grade & 1) = 1)' -> ') <> 1 AND (cd.grade & 1) = 1)'": _SHORT,
        "_fits: 0 -> 1": "1 is nobody's key either.",
    },
    "service/auth/backend_services.py": {
        "authenticate_client: await credentials.client_by_id(server.store, issuer) if CLIENT_ID.fullmatch(issuer) else "
        "None -> await credentials.client_by_id(server.store, issuer) if True else None": _NO_CLIENT,
        "authenticate_client: CLIENT_ID.fullmatch(issuer) -> CLIENT_ID.match(issuer)": _NO_CLIENT,
        "authenticate_client: 'jti' -> 'jtiXX'": "Any word that is always the same keeps these keys from others.",
        "claimed_client: '' -> 'XX' #2": "Neither is a JWT.",
        "_check_organization: body is not None and orjson.loads(body).get('active') is False "
        "without body is not None": ("A head without a body is a deleted one, which the first part has answered."),
    },
}
