"""The one error of the service and the one table that gives it an HTTP status.

Source: https://hl7.org/fhir/R4/http.html#Status-Codes and https://hl7.org/fhir/R4/operationoutcome.html
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Category(Enum):
    """What went wrong, in words of the HTTP API; the value is (HTTP status, default issue code)."""

    MALFORMED = (400, "structure")
    UNAUTHENTICATED = (401, "login")
    FORBIDDEN = (403, "forbidden")
    NOT_FOUND = (404, "not-found")
    METHOD_NOT_ALLOWED = (405, "not-supported")
    NOT_ACCEPTABLE = (406, "not-supported")
    CONFLICT = (409, "conflict")
    GONE = (410, "deleted")
    STALE = (412, "conflict")
    TOO_LARGE = (413, "too-long")
    UNSUPPORTED_MEDIA = (415, "not-supported")
    RULE = (422, "business-rule")
    PRECONDITION_REQUIRED = (428, "required")
    TOO_MANY = (429, "throttled")
    INTERNAL = (500, "exception")
    UNAVAILABLE = (503, "transient")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class Issue:
    """One OperationOutcome.issue: `expression` names the element, `diagnostics` the rule and the remedy.

    `diagnostics` is read by people outside and lands in logs: it never carries a value from a resource.
    """

    diagnostics: str
    expression: str | None = None
    code: str = ""
    severity: str = "error"

    def to_fhir(self, category: "Category | None" = None) -> dict[str, object]:
        code = self.code or (category.code if category else "processing")
        out: dict[str, object] = {"severity": self.severity, "code": code, "diagnostics": self.diagnostics}
        if self.expression:
            out["expression"] = [self.expression]
        return out


class FhirError(Exception):
    """A refusal that the caller gets as OperationOutcome: all its issues at once."""

    def __init__(
        self,
        category: Category,
        issues: Iterable[Issue] | str,
        headers: dict[str, str] | None = None,
        reason: str = "",
    ):
        self.category = category
        self.issues = (Issue(issues),) if isinstance(issues, str) else tuple(issues)
        self.headers = headers or {}
        self.reason = reason or category.name.lower()
        """A short code for the audit row and the log, never shown to the caller."""
        super().__init__(f"{category.name}: {len(self.issues)} issue(s)")

    def outcome(self) -> dict[str, object]:
        return {
            "resourceType": "OperationOutcome",
            "issue": [issue.to_fhir(self.category) for issue in self.issues],
        }


def not_found(rtype: str, fhir_id: str) -> FhirError:
    """The one answer for absent and for foreign: the same body, so that neither can be told from the other."""
    return FhirError(Category.NOT_FOUND, [Issue(f"{rtype}/{fhir_id} is not known.", code="not-found")])
