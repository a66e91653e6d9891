"""$validate on a type: create's own checks without the write. https://hl7.org/fhir/R4/resource-operation-validate.html"""

from typing import Any

from fhir_profiles.json_text import write_json
from fhir_profiles.validate import validate as problems_of
from service.access.context import Context
from service.access.roles import check_scope
from service.errors import FhirError, Issue
from service.interactions.checks import check_references, check_structure
from service.interactions.decision import Answer, Decision, fixed
from service.store.change import Change


async def validate(ctx: Context, rtype: str, body: Any) -> Decision:
    """200 with an OperationOutcome, whether the resource is valid or not; a Parameters body holds it as `resource`."""
    check_scope(ctx.caller, "c", rtype)
    issues = await _issues(ctx, rtype, _resource(body))
    if not issues:
        issues = [Issue("No problems were found.", code="informational", severity="information")]
    outcome = {"resourceType": "OperationOutcome", "issue": [issue.to_fhir() for issue in issues]}
    audit = ctx.audit("E", "validate", rtype)
    return Decision(Change(audit=[audit]), fixed(Answer(200, write_json(outcome))))


def _resource(body: Any) -> Any:
    if isinstance(body, dict) and body.get("resourceType") == "Parameters":
        for parameter in body.get("parameter") or ():
            if isinstance(parameter, dict) and parameter.get("name") == "resource":
                return parameter.get("resource")
    return body


async def _issues(ctx: Context, rtype: str, resource: Any) -> list[Issue]:
    try:
        checked = check_structure(resource, rtype)
        await check_references(ctx, checked, None)
    except FhirError as refusal:
        return [Issue(i.diagnostics, i.expression, i.code or refusal.category.code, i.severity) for i in refusal.issues]
    warnings = [p for p in problems_of(checked, rtype) if p.severity == "warning"]
    return [Issue(p.diagnostics, p.expression, p.code, "warning") for p in warnings]
