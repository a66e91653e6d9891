"""What a single member row must satisfy across its columns, and the duplicate check of a file: a table of rules.

Source: facts/california.md C.7 (errors seen in the field), B.2 (ages of the populations of focus), B.4.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from mappers.plan_files.member_row import MemberRow
from mappers.plan_files.rows import RowIssue, Severity

# Youngest and oldest age in years that B.2 allows; None = no bound. 4b and 8 reach to 26 for former foster youth.
POF_AGES: dict[str, tuple[int | None, int | None]] = {
    "1a": (21, None), "2a": (21, None), "2b": (None, 20), "3a": (21, None), "3b": (None, 20), "4a": (21, None),
    "4b": (None, 26), "5": (21, None), "6": (21, None), "7": (None, 20), "8": (None, 26),
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """`broken` says whether a member, today, breaks it; `column` names the field under which it is reported."""

    code: str
    column: str
    message: str
    broken: Callable[[MemberRow, date], bool]
    severity: Severity = "error"


def _after(first: date | None, second: date | None) -> bool:
    return first is not None and second is not None and first > second


def age(birth: date, on: date) -> int:
    """Completed years on a day; who is born on 29 February has a birthday on 1 March in common years."""
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))


def _pof_age(m: MemberRow, today: date) -> bool:
    # Turning 21 does not end ECM (B.1 rule 13), so the age at the start counts where a start is known.
    years = age(m.birth_date, m.ecm_start or m.authorization_start or today)
    bounds = [POF_AGES.get(code, (None, None)) for code in m.pofs]
    return any((low is not None and years < low) or (high is not None and years > high) for low, high in bounds)


RULES: tuple[Rule, ...] = (
    Rule("birth-date", "birth_date", "the birth date lies in the future or more than 120 years back: check the century",
         lambda m, today: m.birth_date > today or age(m.birth_date, today) > 120),
    Rule("date-order", "coverage_end", "the coverage ends before it starts: check both dates",
         lambda m, _: _after(m.coverage_start, m.coverage_end)),
    Rule("date-order", "ecm_end", "the ECM enrollment ends before it starts: check both dates",
         lambda m, _: _after(m.ecm_start, m.ecm_end)),
    Rule("date-order", "authorization_end", "the authorization ends before it starts: check both dates",
         lambda m, _: _after(m.authorization_start, m.authorization_end)),
    Rule("date-order", "ecm_start", "the ECM enrollment starts before the member was born: check both dates",
         lambda m, _: _after(m.birth_date, m.ecm_start)),
    Rule("date-order", "discontinuation_date", "the discontinuation lies before the start of ECM: check both dates",
         lambda m, _: _after(m.ecm_start, m.discontinuation_date)),
    Rule("discontinuation-reason", "discontinuation_reason", "a discontinuation date needs a reason: add its code",
         lambda m, _: m.discontinuation_date is not None and not m.discontinuation_reason),
    Rule("discontinuation-date", "discontinuation_date", "a discontinuation needs its date: add the date",
         lambda m, _: m.discontinuation_date is None
         and (bool(m.discontinuation_reason) or (m.ecm_status == "discontinued" and m.ecm_end is None))),
    Rule("enrolled-without-start", "ecm_start", "an enrolled member needs the ECM start date: add it",
         lambda m, _: m.ecm_status == "engaged-enrolled" and m.ecm_start is None),
    Rule("enrolled-without-lcm", "lcm_name", "an enrolled member needs a lead care manager: send the name and NPI",
         lambda m, _: m.ecm_status == "engaged-enrolled" and not (m.lcm_name or m.lcm_npi), "warning"),
    Rule("pof-missing", "pofs", "an enrolled member needs at least one population of focus: add it",
         lambda m, _: m.ecm_status == "engaged-enrolled" and not m.pofs, "warning"),
    Rule("pof-age", "pofs", "a population of focus does not fit the age (adults are 21 and older): check both",
         _pof_age, "warning"),
    Rule("homeless-conflict", "homeless", "the population of focus says homeless, the indicator says not: check both",
         lambda m, _: m.homeless is False and bool({"1a", "1b"} & set(m.pofs)), "warning"),
    Rule("status-conflict", "ecm_status", "the status says enrolled, the discontinuation date has passed: check both",
         lambda m, today: m.ecm_status == "engaged-enrolled" and m.discontinuation_date is not None
         and m.discontinuation_date <= today, "warning"),
    Rule("coverage-ended", "coverage_end", "the member is enrolled but the coverage has ended: check both",
         lambda m, today: m.ecm_status == "engaged-enrolled" and m.coverage_end is not None and m.coverage_end < today,
         "warning"),
)  # fmt: skip


def broken_rules(member: MemberRow, headers: Callable[[str], str], today: date) -> list[RowIssue]:
    """All rules that the member breaks; `headers` gives a field's header as in the file."""
    return [
        RowIssue(member.row, headers(rule.column), rule.code, rule.message, rule.severity)
        for rule in RULES
        if rule.broken(member, today)
    ]


def duplicate_cin(number: int, first: int, header: str) -> RowIssue:
    """The issue for a second row of the same CIN: which of the two is right only the plan can say."""
    words = f"the same CIN stands in row {first} of this file, which was taken: keep one row for each member"
    return RowIssue(number, header, "duplicate-cin", words)
