"""The resources that the parties of a story write about its member, in the shapes of US Core 6.1 and SDOHCC 3.0.0.

Each function gives a Make: the member and the references are known when the step is played.
"""

from collections.abc import Callable
from typing import Any

from fhir_profiles import Resource
from service.access.consent.ascmi import Form, consent_of
from service.cli.seed.consents import POLICY
from service.cli.seed.forms import ASSESSMENT, answers
from service.cli.seed.outreach import CATEGORY as OUTREACH
from service.cli.seed.outreach import REACHED
from service.cli.seed.parts import BASE, ICD10, LOINC, TERMINOLOGY, coded, filled, own, ref
from service.cli.stories.stage import Stage

Make = Callable[[Stage], Resource]
SUBSTANCE_USE = [{"system": f"{TERMINOLOGY}/v3-ActCode", "code": "OPIOIDUD", "display": "opioid use disorder"}]
"""A label of HL7 Data Segmentation for Privacy; service/access/labels.py lists the group it belongs to."""


def attempt(medium: str, outcome: str, text: str, *, days_ago: int = 0) -> Make:
    """One attempt to reach the member; codes: outreach-medium, outreach-outcome."""

    def make(s: Stage) -> Resource:
        return filled(
            resourceType="Communication",
            status="completed" if outcome in REACHED else "not-done",
            statusReason=own("outreach-outcome", outcome),
            category=[OUTREACH],
            medium=[own("outreach-medium", medium)],
            subject=s.patient,
            sent=s.now(days=days_ago),
            recipient=[s.patient],
            sender=ref(s.story.manager.reference, s.story.manager.name),
            payload=[{"contentString": text}],
        )

    return make


def message(recipient: str, text: str) -> Make:
    """From the lead care manager about the member, to an organization or a professional."""

    def make(s: Stage) -> Resource:
        return filled(
            resourceType="Communication",
            status="completed",
            category=[own("communication-category", "care-coordination")],
            subject=s.patient,
            sent=s.now(),
            recipient=[ref(recipient)],
            sender=ref(s.story.manager.reference, s.story.manager.name),
            payload=[{"contentString": text}],
        )

    return make


def consent(*, to: str = "") -> Make:
    """A year's permission to share; `to`: the name of the RelatedPerson who may be told."""

    def make(s: Stage) -> Resource:
        provision: Resource = {"type": "permit", "period": {"start": s.day(), "end": s.day(364)}}
        if to:
            role = coded(f"{TERMINOLOGY}/v3-ParticipationType", "IRCP", "information recipient")
            provision["actor"] = [{"role": role, "reference": s.to(to)}]
        return filled(
            resourceType="Consent",
            status="active",
            scope=coded(f"{TERMINOLOGY}/consentscope", "patient-privacy"),
            category=[coded(LOINC, "59284-0", "Patient Consent")],
            patient=s.patient,
            dateTime=s.now(),
            performer=[s.patient],
            organization=[s.provider],
            policy=[{"uri": POLICY}],
            verification=[{"verified": True, "verificationDate": s.now()}],
            provision=provision,
        )

    return make


def form(*boxes: str, partners: tuple[str, ...]) -> Make:
    """The ASCMI form with these boxes ticked, signed now for a year, to these organizations."""

    def make(s: Stage) -> Resource:
        member, keeper = s.patient["reference"], s.provider["reference"]
        asked = Form("ab-133", member, s.now(), member, keeper, True, dict.fromkeys(boxes, True), partners, s.day(364))
        return consent_of(asked) | {"verification": [{"verified": True, "verifiedWith": s.patient}]}

    return make


def related(given: str, family: str, code: str, relation: str) -> Make:
    """code: of v3-RoleCode. family: "" for the member's own."""

    def make(s: Stage) -> Resource:
        return filled(
            resourceType="RelatedPerson",
            active=True,
            patient=s.patient,
            relationship=[coded(f"{TERMINOLOGY}/v3-RoleCode", code, relation)],
            name=[{"family": family or s.row.last_name, "given": [given]}],
            telecom=[{"system": "phone", "value": "209-555-0199", "use": "mobile"}],
        )

    return make


def condition(code: str, words: str, *, security: list[Resource] | None = None) -> Make:
    """code: of ICD-10-CM; Z codes are health concerns. security: labels."""

    def make(s: Stage) -> Resource:
        kind = ("health-concern", "Health Concern") if code[0] == "Z" else ("problem-list-item", "Problem List Item")
        return filled(
            resourceType="Condition",
            meta={"security": security} if security else None,
            clinicalStatus=coded(f"{TERMINOLOGY}/condition-clinical", "active"),
            verificationStatus=coded(f"{TERMINOLOGY}/condition-ver-status", "confirmed"),
            category=[coded(f"{TERMINOLOGY}/condition-category", *kind)],
            code=coded(ICD10, code, words, words),
            subject=s.patient,
            recordedDate=s.day(),
            recorder=ref(s.story.manager.reference, s.story.manager.name),
        )

    return make


def a1c(value: float) -> Make:
    def make(s: Stage) -> Resource:
        quantity = {"value": value, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
        return filled(
            resourceType="Observation",
            status="final",
            category=[coded(f"{TERMINOLOGY}/observation-category", "laboratory")],
            code=coded(LOINC, "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
            subject=s.patient,
            effectiveDateTime=s.now(),
            performer=[s.provider],
            valueQuantity=quantity,
        )

    return make


def assessment(**given: Any) -> Make:
    """Answers to the county's form; names: linkIds of service/cli/seed/forms.py."""

    def make(s: Stage) -> Resource:
        author = ref(s.story.manager.reference, s.story.manager.name)
        return answers("new", ASSESSMENT, s.patient, author, s.now(), given)

    return make


def goal(words: str, addresses: str, *, security: list[Resource] | None = None) -> Make:
    """addresses: name of a Condition of the story."""

    def make(s: Stage) -> Resource:
        return filled(
            resourceType="Goal",
            meta={"security": security} if security else None,
            lifecycleStatus="active",
            achievementStatus=coded(f"{TERMINOLOGY}/goal-achievement", "in-progress"),
            description={"text": words},
            subject=s.patient,
            startDate=s.day(),
            expressedBy=s.patient,
            addresses=[s.to(addresses)],
        )

    return make


def care_plan(goals: tuple[str, ...], conditions: tuple[str, ...]) -> Make:
    """Names of Goals and Conditions of the story."""

    def make(s: Stage) -> Resource:
        return filled(
            resourceType="CarePlan",
            status="active",
            intent="plan",
            category=[
                coded("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan"),
                coded(f"{BASE}/CodeSystem/care-plan-category", "ecm"),
            ],
            title="ECM care plan",
            subject=s.patient,
            period={"start": s.day(), "end": s.day(180)},
            created=s.day(),
            author=ref(s.story.manager.reference, s.story.manager.name),
            addresses=[s.to(name) for name in conditions],
            goal=[s.to(name) for name in goals],
        )

    return make


ACHIEVED: dict[str, Any] = {
    "lifecycleStatus": "completed",
    "achievementStatus": coded(f"{TERMINOLOGY}/goal-achievement", "achieved"),
}
