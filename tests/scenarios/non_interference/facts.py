"""What a caller may not see, as slots of a world: each slot is absent or holds one of its variants, caller by caller.

A slot is a list of operations on the store behind the API. The rows are written from the access matrix
(../shared/facts/california.md C.6, security.md 2.1), not from the code that is tested.
"""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from tests.service.world import CBO1, CBO2, ECM1, ECM2, LCM2, PLAN2, SUD, episode, make, ref, request, task, team

Resource = dict[str, Any]


class Op(NamedTuple):
    """put: the first version, or the next one (version = that it replaces). delete, ask: over the API, by `source`."""

    verb: str
    what: Any
    source: str
    version: int = 0


Made = Callable[[Random], tuple[Op, ...]]


class Slot(NamedTuple):
    """always: in both worlds, in variants (a hidden former version of something that is seen)."""

    name: str
    made: Made
    always: bool = False


SHAPES: dict[str, Callable[[str], Resource]] = {
    "Condition": lambda who: {"subject": ref(who), "code": {"text": "c"}},
    "Observation": lambda who: {"status": "final", "code": {"text": "weight"}, "subject": ref(who)},
    "Goal": lambda who: {"lifecycleStatus": "active", "description": {"text": "x"}, "subject": ref(who)},
    "CarePlan": lambda who: {"status": "active", "intent": "plan", "subject": ref(who)},
    "Procedure": lambda who: {"status": "completed", "subject": ref(who)},
    "Encounter": lambda who: {"status": "finished", "class": {"code": "IMP"}, "subject": ref(who)},
    "Communication": lambda who: {
        "status": "completed", "subject": ref(who), "sender": ref(ECM2), "recipient": [ref(CBO2)],
    },
    "DocumentReference": lambda who: {
        "status": "current", "subject": ref(who), "content": [{"attachment": {"title": "x"}}],
    },
    "QuestionnaireResponse": lambda who: {"status": "completed", "subject": ref(who)},
    "RelatedPerson": lambda who: {"patient": ref(who), "name": [{"family": "Kin"}]},
    "RiskAssessment": lambda who: {"status": "final", "subject": ref(who)},
    "Consent": lambda who: {
        "status": "active", "patient": ref(who), "dateTime": "2026-03-01",
        "scope": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "provision": {"type": "permit", "actor": [{
            "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                                 "code": "IRCP"}]},
            "reference": ref(ECM2)}]},
    },
    "ServiceRequest": lambda who: request("ServiceRequest/x", who, ECM2),
    "Task": lambda who: task("Task/x", who, "ServiceRequest/a", ECM2, CBO2),
    "CareTeam": lambda who: team("CareTeam/x", who, LCM2, ECM2),
    "EpisodeOfCare": lambda who: episode("EpisodeOfCare/x", who, ECM2, LCM2),
    "List": lambda who: {
        "status": "current", "mode": "working", "subject": ref(who),
        "entry": [{"item": ref("Patient/a")}, {"item": ref("Observation/a")}],
    },
    "Coverage": lambda who: {"status": "active", "beneficiary": ref(who), "payor": [ref(PLAN2)]},
}  # fmt: skip
"""Of each type a body about a patient that leads to nobody of ours."""

LINKS: dict[str, Callable[[Random], Resource]] = {
    "Condition": lambda r: {
        "evidence": [{"detail": [ref(r.choice(("Observation/a", "Observation/o1", "Observation/h1")))]}],
    },
    "Observation": lambda r: {
        "hasMember": [ref(r.choice(("Observation/a", "Observation/hid", "Observation/to-h1")))],
        "performer": [ref(r.choice((ECM1, ECM2, CBO1)))],
        "valueQuantity": {"value": r.randint(1, 9), "unit": "kg"},
        "effectiveDateTime": f"2026-0{r.randint(1, 3)}-0{r.randint(1, 9)}",
    },
    "Goal": lambda r: {"addresses": [ref(r.choice(("Condition/a", "Condition/hid")))]},
    "CarePlan": lambda r: {"goal": [ref(r.choice(("Goal/a", "Goal/h1")))], "careTeam": [ref("CareTeam/a")]},
    "Procedure": lambda r: {"reasonReference": [ref("Condition/a")], "basedOn": [ref("ServiceRequest/a")]},
    "Encounter": lambda r: {
        "reasonReference": [ref(r.choice(("Condition/a", "Condition/to-hid")))], "basedOn": [ref("ServiceRequest/a")],
        "period": {"start": f"2026-0{r.randint(1, 3)}-02"},
    },
    "Communication": lambda r: {"about": [ref(r.choice(("Task/a", "Encounter/a", "Observation/a")))],
                                "basedOn": [ref("ServiceRequest/a")], "partOf": [ref("Communication/a")]},
    "DocumentReference": lambda r: {"context": {"related": [ref("Observation/a")]}},
    "QuestionnaireResponse": lambda r: {"partOf": [ref("Observation/a")], "author": ref(LCM2)},
    "Task": lambda r: {"focus": ref(r.choice(("ServiceRequest/a", "ServiceRequest/h1", "ServiceRequest/hid"))),
                       "partOf": [ref(r.choice(("Task/a", "Task/h1", "Task/to-hid")))],
                       "status": r.choice(("requested", "accepted", "completed"))},
    "ServiceRequest": lambda r: {"supportingInfo": [ref(r.choice(("Condition/a", "Condition/hid")))]},
}  # fmt: skip


def varied(rtype: str, name: str, who: str, r: Random, **more: Any) -> Resource:
    """A body whose identifier, words, dates and references are of this variant."""
    body = {**SHAPES[rtype](who), **more}
    body |= {"resourceType": rtype, "id": name}
    if rtype in LINKS and r.random() < 0.7:
        body |= LINKS[rtype](r)
    if rtype not in ("DocumentReference", "QuestionnaireResponse", "Consent"):
        body["identifier"] = [{"system": "http://example.org/c", "value": f"c-{r.choice(('hid', 'h1', 'h2'))}"}]
    if rtype in ("Condition", "Observation", "Goal", "Procedure"):
        body["note"] = [{"text": f"spy {r.random()}"}]
    if rtype in ("Condition", "Procedure", "Observation", "Encounter"):
        key = "type" if rtype == "Encounter" else "code"
        body[key] = [{"text": r.choice(("c", "spy"))}] if rtype == "Encounter" else {"text": r.choice(("c", "spy"))}
    return body


def _written(rtype: str, name: str, who: str, source: str, *, meta: Resource | None = None) -> Slot:
    def made(r: Random) -> tuple[Op, ...]:
        labelled = {"meta": meta} if meta else {}
        ops = [Op("put", varied(rtype, name, who, r, **labelled), source)]
        if r.random() < 0.3:
            ops.append(Op("put", varied(rtype, name, who, r, **labelled), source, 1))
        if r.random() < 0.2 and rtype in ("Condition", "Goal", "Observation") and source == ECM2:
            ops.append(Op("delete", f"{rtype}/{name}", source))
        return tuple(ops)

    return Slot(f"{rtype}/{name}", made)


def _stranger(number: str) -> Slot:
    def made(r: Random) -> tuple[Op, ...]:
        body = make(
            f"Patient/{number}",
            identifier=[{"system": "http://example.org/mrn", "value": f"mrn-{r.choice((number, 'made'))}"}],
            name=[{"family": r.choice(("Made", "Spy")), "given": ["Up"]}],
            gender=r.choice(("female", "male")),
            birthDate=f"19{r.randint(70, 79)}-03-04",
        )
        if r.random() < 0.4:
            body["link"] = [{"other": ref("Patient/a"), "type": "seealso"}]
        if r.random() < 0.3:
            body["meta"] = SUD
        return (Op("put", body, PLAN2),)

    return Slot(f"Patient/{number}", made)


def _once_labelled(rtype: str) -> Slot:
    """Seen by who has the patient; the version before was labelled, and is not."""

    def made(r: Random) -> tuple[Op, ...]:
        first = varied(rtype, "ver", "Patient/a", r, meta=SUD)
        then = {**SHAPES[rtype]("Patient/a"), "resourceType": rtype, "id": "ver"}
        return Op("put", first, ECM2), Op("put", then, ECM2, 1)

    return Slot(f"{rtype}/ver", made, always=True)


def _since_labelled(rtype: str) -> Slot:
    """Once without a label, so seen for a while; labelled now, and gone with all its versions."""

    def made(r: Random) -> tuple[Op, ...]:
        ops = (
            Op("put", varied(rtype, "was", "Patient/a", r), ECM2),
            Op("put", varied(rtype, "was", "Patient/a", r, meta=SUD), ECM2, 1),
        )
        return ops

    return Slot(f"{rtype}/was", made)


def _asked(number: int, source: str) -> Slot:
    """Audit rows of others."""
    urls = ("Patient/b", "Patient/a", "Task?patient=b", "Patient?_id=a", "Observation/h1", "Patient/h1/$everything")
    return Slot(f"ask-{number}", lambda r: tuple(Op("ask", r.choice(urls), source) for _ in range(r.randint(1, 3))))


def _consent_for_us(name: str) -> Slot:
    """Names us, and gives nothing: nobody assigned that patient to us."""

    def made(r: Random) -> tuple[Op, ...]:
        body = varied("Consent", name, "Patient/b", r)
        body["provision"]["actor"][0]["reference"] = ref(r.choice((ECM1, CBO1)))
        return (Op("put", body, ECM2),)

    return Slot(f"Consent/{name}", made)


def _group(name: str) -> Slot:
    def made(r: Random) -> tuple[Op, ...]:
        members = [{"entity": ref(one)} for one in r.sample(("Patient/a", "Patient/a2", "Patient/b", "Patient/h1"), 2)]
        return (Op("put", make(f"Group/{name}", type="person", actual=True, member=members), ECM2),)

    return Slot(f"Group/{name}", made)


def offered(name: str) -> Resource:
    """An open referral about somebody else's patient: its candidates see it, and nothing of the patient."""
    candidates = {"recipient": [ref(CBO1), ref(CBO2)]}
    return task(f"Task/{name}", f"Patient/{name}", f"ServiceRequest/{name}", ECM2, None, restriction=candidates)


def taken() -> Resource:
    """One that was offered, and that another has now."""
    return offered("lost") | {"owner": ref(CBO2), "status": "accepted"}


def _since_lost() -> Slot:
    """What becomes of it after that."""

    def made(r: Random) -> tuple[Op, ...]:
        moved = {"status": r.choice(("in-progress", "on-hold", "completed")), "note": [{"text": f"spy {r.random()}"}]}
        moved["lastModified"] = f"2026-03-0{r.randint(2, 8)}T10:00:00Z"
        return (Op("put", taken() | moved, ECM2, 2),)

    return Slot("Task/lost", made, always=True)


ABOUT_US = tuple(t for t in SHAPES if t not in ("CareTeam", "Coverage", "List"))
FOREIGN = (
    _stranger("h1"),
    _stranger("h2"),
    *(_written(rtype, "h1", "Patient/h1", ECM2) for rtype in SHAPES),
    *(_written(rtype, "h2", "Patient/b", CBO2) for rtype in ("Procedure", "Observation", "Communication", "Task")),
    *(_written(rtype, "hid", "Patient/a", ECM2, meta=SUD) for rtype in SHAPES),
    *(_written(rtype, "hid2", "Patient/a2", CBO2, meta=SUD) for rtype in ("Condition", "Observation", "Task")),
    _since_labelled("Condition"),
    _since_labelled("Observation"),
    _group("h1"),
    _consent_for_us("us"),
    _asked(1, ECM2),
    _asked(2, CBO2),
)
"""Hidden from every caller of this world's first organizations: other patients, labelled by others, audit of others."""

HALF_SEEN = (_once_labelled("Condition"), _once_labelled("Observation"), _once_labelled("Goal"))


def _not_for(types: tuple[str, ...], source: str) -> tuple[Slot, ...]:
    return tuple(_written(rtype, "own", "Patient/a", source) for rtype in types)


HIDDEN: dict[str, tuple[Slot, ...]] = {
    "ecm-provider": FOREIGN + HALF_SEEN,
    "lcm": FOREIGN + HALF_SEEN,
    "mcp": FOREIGN + _not_for(("Condition", "Observation", "Procedure", "DocumentReference"), ECM1),
    "cbo": FOREIGN
    + _not_for(("Condition", "Goal", "Encounter", "CarePlan", "Task", "Communication"), ECM1)
    + (_stranger("off"), _since_lost())
    + tuple(_written(rtype, "off", "Patient/off", ECM2) for rtype in ("Condition", "Coverage", "Consent", "Procedure")),
    "referrer": FOREIGN + _not_for(("Condition", "Goal", "Encounter", "CarePlan", "Observation"), ECM2),
    "hospital": FOREIGN + _not_for(("Condition", "Goal", "Encounter", "Task", "Communication", "Observation"), ECM2),
}
"""Role -> what its clients may not see."""
