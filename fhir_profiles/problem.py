"""What validation says about one element: https://hl7.org/fhir/R4/operationoutcome.html"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """`code` is a FHIR issue code, `expression` a simple FHIRPath (`CarePlan.activity[0].detail.status`).

    `diagnostics` gives rule and remedy and never a value of the resource. `structural` problems are answered 400
    (the resource cannot be read as R4), the others 422 (a binding, reference target, invariant or rule).
    """

    severity: str
    code: str
    expression: str
    diagnostics: str
    structural: bool


def structural(code: str, expression: str, diagnostics: str) -> Problem:
    return Problem("error", code, expression, diagnostics, True)


def rule_broken(code: str, expression: str, diagnostics: str) -> Problem:
    return Problem("error", code, expression, diagnostics, False)
