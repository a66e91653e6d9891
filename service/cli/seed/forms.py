"""Two short forms of the county: the ECM assessment and a screening for social needs. Questions of our own.

https://hl7.org/fhir/R4/questionnaire.html; answers are made by care_plans.py and sonja.py.
"""

from fhir_profiles import Resource
from service.cli.seed.parts import BASE, filled, ref

ASSESSMENT = f"{BASE}/Questionnaire/ecm-assessment"
SCREENING = f"{BASE}/Questionnaire/social-needs"

_ASSESSMENT = (
    ("important", "What matters most to you?", "text"),
    ("living", "With whom do you live?", "string"),
    ("adl", "Do you need help with washing, dressing or walking?", "boolean"),
    ("falls", "How often did you fall in the last year?", "integer"),
    ("medicines", "How many medicines do you take?", "integer"),
    ("helper", "May somebody else be told about your care?", "string"),
)
_SCREENING = (
    ("food", "Did you worry in the last year that food would run out?", "boolean"),
    ("housing", "Do you have a safe place to sleep?", "boolean"),
    ("rides", "Do you have a way to get to your appointments?", "boolean"),
    ("notes", "Is there anything else that we should know?", "text"),
)
_VALUE = {"boolean": "valueBoolean", "integer": "valueInteger", "text": "valueString", "string": "valueString"}


def questionnaires() -> list[Resource]:
    return [
        _form("ecm-assessment", ASSESSMENT, "EcmAssessment", "ECM assessment", _ASSESSMENT),
        _form("social-needs", SCREENING, "SocialNeeds", "Social needs", _SCREENING),
    ]


def _form(fhir_id: str, url: str, name: str, title: str, rows: tuple[tuple[str, str, str], ...]) -> Resource:
    return {
        "resourceType": "Questionnaire",
        "id": fhir_id,
        "url": url,
        "version": "1",
        "name": name,
        "title": title,
        "status": "active",
        "experimental": True,
        "subjectType": ["Patient"],
        "item": [{"linkId": link, "text": text, "type": kind} for link, text, kind in rows],
    }


def answers(
    fhir_id: str, form: str, patient: Resource, author: Resource, authored: str, given: dict[str, object]
) -> Resource:
    """A QuestionnaireResponse; given: {linkId: value}, questions without one are left out."""
    rows = _ASSESSMENT if form == ASSESSMENT else _SCREENING
    items = [
        {"linkId": link, "text": text, "answer": [{_VALUE[kind]: given[link]}]}
        for link, text, kind in rows
        if link in given
    ]
    return filled(
        resourceType="QuestionnaireResponse",
        id=fhir_id,
        questionnaire=f"{form}|1",
        status="completed",
        subject=patient,
        authored=authored,
        author=author,
        source=ref(patient["reference"]),
        item=items,
    )
