"""The report of an import: numbers and findings for JSON, and the rejected rows as CSV for the sender.

Errors name row, column, rule and remedy (facts/california.md C.7); cells are guarded (facts/security.md A20).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mappers.plan_files.delimited import written
from mappers.plan_files.rows import FileProblem, RowIssue


@dataclass(frozen=True)
class Counts:
    """Rows of a file: with data, taken, rejected, blank; `created`, `updated`, `unchanged` count the members stored."""

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    blank: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0


def report(issues: Sequence[RowIssue], counts: Counts, problems: Sequence[FileProblem] = ()) -> dict[str, Any]:
    """A JSON object {counts, file, rules, issues}; `rules` counts the findings of each rule, most frequent first."""
    rules = Counter((issue.rule, issue.severity) for issue in issues)
    return {
        "counts": asdict(counts),
        "file": [asdict(problem) for problem in problems],
        "rules": [
            {"rule": rule, "severity": severity, "rows": number}
            for (rule, severity), number in sorted(rules.items(), key=lambda item: (-item[1], item[0]))
        ],
        "issues": [asdict(issue) for issue in issues],
    }


def issues_csv(issues: Iterable[RowIssue]) -> bytes:
    """The findings as CSV: Row, Column, Severity, Rule, Message."""
    head = ("Row", "Column", "Severity", "Rule", "Message")
    return written([head, *((str(i.row), i.column, i.severity, i.rule, i.message) for i in issues)])
