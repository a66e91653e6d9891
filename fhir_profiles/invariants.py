"""The invariants of R4 that stand inside one resource, as a table: https://hl7.org/fhir/R4/conformance-rules.html#constraints

A row names the structure, the key that R4 gives the rule, the rule in plain words with its remedy, and how it is
decided. Rows of the form `needs`, `never` and `one_of` also give the fast schema its fragment; the others (`check`)
are decided by a function. A resource's own `check` rows always run; on an inner structure such a row carries the
elements without which it holds trivially, and the schema lets pass only nodes that lack one of them (or fit `fast`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_profiles.dates import before
from fhir_profiles.r4_types import elements

Node = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


@dataclass(frozen=True, slots=True)
class Rule:
    """`kind` needs: the first element requires the others; never: not all together; one_of: at least one;
    check: `holds` decides, trivially true unless all `names` are present."""

    structure: str
    key: str
    kind: str
    names: tuple[str, ...]
    text: str
    holds: Callable[[Node], bool] | None = None
    element: str = ""
    """The element that the report points to, where it is not the structure itself."""
    fast: dict[str, Any] | None = None
    """For common elements: a JSON schema fragment that is enough for the rule to hold."""

    def broken(self, node: Node) -> bool:
        found = [present(self.structure, node, name) for name in self.names]
        if self.kind == "needs":
            return found[0] and not all(found[1:])
        if self.kind == "never":
            return all(found)
        if self.kind == "one_of":
            return not any(found)
        return all(found) and self.holds is not None and not self.holds(node)


@cache
def spellings(structure: str, name: str) -> list[str]:
    """The JSON properties by which an element may be present: `value` of Observation is valueQuantity, ..."""
    for element in elements(structure):
        if element.name in (name, name + "[x]"):
            return [spelled for spelled, _ in element.json_names()]
    raise KeyError(f"{structure}.{name}")


def present(structure: str, node: Node, name: str) -> bool:
    if name in node or "_" + name in node:
        return True
    return any(n in node or "_" + n in node for n in spellings(structure, name))


def _codings(concept: Any) -> list[Node]:
    found = concept.get("coding", []) if isinstance(concept, dict) else []
    return [c for c in found if isinstance(c, dict)]


def _has_code(concept: Any, system: str, *wanted: str) -> bool:
    return any(c.get("system") == TERMINOLOGY + system and c.get("code") in wanted for c in _codings(concept))


def _abatement_fits(node: Node) -> bool:
    return _has_code(node.get("clinicalStatus"), "condition-clinical", "resolved", "remission", "inactive")


def _not_entered_in_error(node: Node) -> bool:
    return not _has_code(node["verificationStatus"], "condition-ver-status", "entered-in-error")


def _whole(coding: Node) -> frozenset[tuple[str, str]]:
    """All of a coding as one value that can be looked up: thousands of them must not be compared in pairs."""
    return frozenset((name, str(value)) for name, value in coding.items())


def _component_codes_differ(node: Node) -> bool:
    """obs-7 on coding equality: no component repeats a coding of Observation.code when both carry a value."""
    own = {_whole(coding) for coding in _codings(node.get("code"))}
    return not any(_whole(coding) in own for part in node["component"] for coding in _codings(part.get("code")))


def _not_home(name: str) -> Callable[[Node], bool]:
    return lambda node: not any(isinstance(x, dict) and x.get("use") == "home" for x in node[name])


def _items(node: Node) -> Iterator[Node]:
    for item in node.get("item", []):
        if isinstance(item, dict):
            yield item
            yield from _items(item)


def _link_ids_distinct(node: Node) -> bool:
    ids = [item["linkId"] for item in _items(node) if "linkId" in item]
    return len(ids) == len(set(ids))


def _type_in(*types: str) -> Callable[[Node], bool]:
    return lambda node: node.get("type") in types


def _type_not_in(*types: str) -> Callable[[Node], bool]:
    return lambda node: node.get("type") not in types


def _group_shape(node: Node) -> bool:
    kind = node.get("type")
    return not (kind == "group" and "item" not in node) and not (kind == "display" and "item" in node)


def _positive(node: Node) -> bool:
    return bool(node["value"] > 0) if "value" in node else True


def _ucum(node: Node) -> bool:
    return node.get("system", UCUM) == UCUM and ("code" in node or "value" not in node)


def _ratio(node: Node) -> bool:
    return ("numerator" in node) == ("denominator" in node) and ("numerator" in node or "extension" in node)


def _range(node: Node) -> bool:
    low, high = node["low"], node["high"]
    if low.get("code") != high.get("code") or "value" not in low or "value" not in high:
        return True
    return bool(low["value"] <= high["value"])


def _when_not_meal(node: Node) -> bool:
    return "when" in node and not {"C", "CM", "CD", "CV"} & set(node["when"])


def _not_before(later: str, earlier: str) -> Callable[[Node], bool]:
    return lambda node: not before(node.get(later), node.get(earlier))


def _member_is_practitioner(node: Node) -> bool:
    reference = node.get("member", {}).get("reference", "")
    kind = reference.partition("/")[0]
    return kind == "Practitioner" or not kind.isalpha() or not kind[:1].isupper()


def _exists_is_boolean(node: Node) -> bool:
    return node.get("operator") != "exists" or "answerBoolean" in node


def _unless(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"not": {"required": [name]}}, schema]}


CHOICES = ("choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity")
LENGTHS = ("boolean", "decimal", "integer", "string", "text", "url", "open-choice")
ITEM = "Questionnaire.item"
REPEAT = "Timing.repeat"

# fmt: off
RULES: tuple[Rule, ...] = (
    # Resources
    Rule("Patient.contact", "pat-1", "one_of", ("name", "telecom", "address", "organization"),
         "A contact needs a name, telecom, address or organization: give one of them."),
    Rule("Organization", "org-1", "one_of", ("identifier", "name"), "An Organization needs an identifier or a name."),
    Rule("Organization", "org-3", "check", ("telecom",), "An organization has no `home` telecom: use `work`.",
         _not_home("telecom"), "telecom"),
    Rule("Organization", "org-2", "check", ("address",), "An organization has no `home` address: use `work`.",
         _not_home("address"), "address"),
    Rule("CareTeam.participant", "ctm-1", "check", ("onBehalfOf",),
         "onBehalfOf is only allowed where member is a Practitioner: leave it out or refer to a Practitioner.",
         _member_is_practitioner, "onBehalfOf",
         _unless("onBehalfOf", {"properties": {"member": {"properties": {"reference": {"pattern": "^Practitioner/"}},
                                                          "required": ["reference"]}}, "required": ["member"]})),
    Rule("Condition", "con-4", "check", ("abatement",),
         "A condition that has abated has the clinicalStatus inactive, remission or resolved.",
         _abatement_fits, "clinicalStatus"),
    Rule("Condition", "con-5", "check", ("verificationStatus", "clinicalStatus"),
         "A condition entered in error has no clinicalStatus: leave it out.", _not_entered_in_error, "clinicalStatus"),
    Rule("Condition.stage", "con-1", "one_of", ("summary", "assessment"), "A stage needs a summary or an assessment."),
    Rule("Condition.evidence", "con-2", "one_of", ("code", "detail"), "Evidence needs a code or a detail."),
    Rule("Observation", "obs-6", "never", ("dataAbsentReason", "value"),
         "dataAbsentReason is only allowed where value[x] is absent: leave one of them out."),
    Rule("Observation", "obs-7", "check", ("value", "component"),
         "A component repeats Observation.code although Observation.value[x] is present: leave one of them out.",
         _component_codes_differ, "component"),
    Rule("Observation.referenceRange", "obs-3", "one_of", ("low", "high", "text"),
         "A reference range needs low, high or text."),
    Rule("Goal.target", "gol-1", "needs", ("detail", "measure"), "A target with detail[x] needs a measure."),
    Rule("CarePlan.activity", "cpl-3", "never", ("detail", "reference"),
         "An activity gives a detail or a reference, not both."),
    Rule("ServiceRequest", "prr-1", "needs", ("orderDetail", "code"), "orderDetail is only allowed with a code."),
    Rule("Task", "inv-1", "check", ("lastModified", "authoredOn"),
         "lastModified lies before authoredOn: correct one of them.",
         _not_before("lastModified", "authoredOn"), "lastModified"),
    Rule("Consent", "ppc-1", "one_of", ("policy", "policyRule"), "A Consent needs a policy or a policyRule."),
    Rule("Group", "grp-1", "check", ("member",), "A Group with members has `actual` true.",
         lambda node: node.get("actual") is True, "actual"),
    Rule("Questionnaire", "que-2", "check", ("item",), "A linkId is used once: rename the copies.",
         _link_ids_distinct, "item"),
    Rule(ITEM, "que-1", "check", ("type",), "A group has items inside it, a display has none.", _group_shape),
    Rule(ITEM, "que-3", "check", ("code",), "A display item has no code.", _type_not_in("display"), "code"),
    Rule(ITEM, "que-4", "never", ("answerOption", "answerValueSet"), "Give answerOption or answerValueSet, not both."),
    Rule(ITEM, "que-5", "check", ("answerOption",), "answerOption does not fit this type of item.", _type_in(*CHOICES)),
    Rule(ITEM, "que-5", "check", ("answerValueSet",), "answerValueSet does not fit this type of item.",
         _type_in(*CHOICES)),
    Rule(ITEM, "que-6", "check", ("required",), "A display item is not `required`.", _type_not_in("display")),
    Rule(ITEM, "que-6", "check", ("repeats",), "A display item does not repeat.", _type_not_in("display")),
    Rule(ITEM, "que-8", "check", ("initial",), "A group or display item has no initial answer.",
         _type_not_in("group", "display")),
    Rule(ITEM, "que-9", "check", ("readOnly",), "A display item is not `readOnly`.", _type_not_in("display")),
    Rule(ITEM, "que-10", "check", ("maxLength",), "maxLength is for simple question types.", _type_in(*LENGTHS)),
    Rule(ITEM, "que-11", "never", ("answerOption", "initial"),
         "With answerOption, mark the default by initialSelected instead of `initial`."),
    Rule(ITEM, "que-12", "check", ("enableWhen",), "More than two enableWhen need an enableBehavior.",
         lambda node: len(node["enableWhen"]) <= 2 or "enableBehavior" in node),
    Rule(ITEM, "que-13", "check", ("initial",), "Only a repeating item has more than one initial answer.",
         lambda node: node.get("repeats") is True or len(node["initial"]) <= 1),
    Rule("Questionnaire.item.enableWhen", "que-7", "check", ("operator",),
         "The operator `exists` needs answerBoolean.", _exists_is_boolean),
    Rule("QuestionnaireResponse.item", "qrs-1", "never", ("answer", "item"),
         "An item has answers or items, not both: nest the items under the answer."),
    Rule("AuditEvent.entity", "sev-1", "never", ("name", "query"), "An entity has a name or a query, not both."),
    # Datatypes
    Rule("Extension", "ext-1", "never", ("extension", "value"), "An extension has a value[x] or extensions, not both."),
    Rule("Extension", "ext-1", "one_of", ("extension", "value"), "An extension needs a value[x] or extensions."),
    Rule("Attachment", "att-1", "needs", ("data", "contentType"), "An attachment with data needs a contentType."),
    Rule("ContactPoint", "cpt-2", "needs", ("value", "system"), "A ContactPoint with a value needs a system."),
    *(Rule(q, "qty-3", "needs", ("code", "system"), "A coded unit needs its system.")
      for q in ("Quantity", "SimpleQuantity", "MoneyQuantity", "Age", "Count", "Distance", "Duration")),
    Rule("Age", "age-1", "check", (), "An Age has a UCUM code and a positive value.",
         lambda node: _ucum(node) and _positive(node),
         fast={"required": ["value", "code", "system"],
               "properties": {"value": {"minimum": 0, "exclusiveMinimum": True}, "system": {"enum": [UCUM]}}}),
    Rule("Count", "cnt-3", "check", (), "A Count is a whole number with the UCUM code 1.",
         lambda node: _ucum(node) and node.get("code", "1") == "1" and "." not in str(node.get("value", ""))),
    Rule("Distance", "dis-1", "check", (), "A Distance has a UCUM code.", _ucum),
    Rule("Duration", "drt-1", "check", ("code",), "A Duration with a code has a value and the UCUM system.",
         lambda node: node.get("system") == UCUM and "value" in node,
         fast=_unless("code", {"required": ["value", "system"], "properties": {"system": {"enum": [UCUM]}}})),
    Rule("Expression", "exp-1", "one_of", ("expression", "reference"), "An Expression needs expression or reference."),
    Rule("Period", "per-1", "check", ("start", "end"), "A period ends before it starts: correct start or end.",
         _not_before("end", "start")),
    Rule("Range", "rng-2", "check", ("low", "high"), "A range has a low that is not above its high.", _range),
    Rule("Ratio", "rat-1", "check", (), "A ratio needs numerator and denominator.", _ratio),
    Rule("TriggerDefinition", "trd-1", "never", ("data", "timing"), "A trigger has data or timing[x], not both."),
    Rule("TriggerDefinition", "trd-2", "needs", ("condition", "data"), "A trigger with a condition needs data."),
    Rule(REPEAT, "tim-1", "needs", ("duration", "durationUnit"), "A duration needs a durationUnit."),
    Rule(REPEAT, "tim-2", "needs", ("period", "periodUnit"), "A period needs a periodUnit."),
    Rule(REPEAT, "tim-4", "check", ("duration",), "A duration is not negative.",
         lambda node: node.get("duration", 0) >= 0, fast={"properties": {"duration": {"minimum": 0}}}),
    Rule(REPEAT, "tim-5", "check", ("period",), "A period is not negative.", lambda node: node.get("period", 0) >= 0,
         fast={"properties": {"period": {"minimum": 0}}}),
    Rule(REPEAT, "tim-6", "needs", ("periodMax", "period"), "periodMax needs a period."),
    Rule(REPEAT, "tim-7", "needs", ("durationMax", "duration"), "durationMax needs a duration."),
    Rule(REPEAT, "tim-8", "needs", ("countMax", "count"), "countMax needs a count."),
    Rule(REPEAT, "tim-9", "check", ("offset",), "offset needs a `when` that is not a meal itself.", _when_not_meal),
    Rule(REPEAT, "tim-10", "never", ("timeOfDay", "when"), "Give timeOfDay or when, not both."),
)
# fmt: on

BY_STRUCTURE: dict[str, tuple[Rule, ...]] = {
    name: tuple(rule for rule in RULES if rule.structure == name) for name in {rule.structure for rule in RULES}
}


def rules_of(structure: str) -> tuple[Rule, ...]:
    return BY_STRUCTURE.get(structure, ())
