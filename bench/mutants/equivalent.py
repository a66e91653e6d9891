"""Mutants that no test can kill, and why: per module, place of the mutant -> reason."""

EQUIVALENT: dict[str, dict[str, str]] = {
    "service/access/consent/decide.py": {
        "_deciding: (rule.grade, rule.number) > (known.grade, known.number) -> "
        "(rule.grade, rule.number) >= (known.grade, known.number)": (
            "Consent and number are the primary key of a rule: two rules of one Consent never have the same number."
        ),
    },
}
