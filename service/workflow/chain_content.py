"""The parent of forwarded referrals as its children make it: status, reason, results, businessStatus. Pure.

Source: ../shared/facts/closed-loop.md 1.3 (what a coordination platform mirrors). What a child holds under a label that
its parent does not bear stays below: the parent then says only that something happened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.workflow import referral_business
from service.workflow.chain_states import GAVE_UP, Piece, leading, next_step, wish
from service.workflow.referral_law import EITHER, OPEN

MIRRORED_STATUS = "https://enlace.example.org/fhir/StructureDefinition/enlace-mirrored-status"
"""On a parent: what its children said last. What a person sets beside it stays, until they say something else."""
SDOH_CODES = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
RESULT = {"coding": [{"system": SDOH_CODES, "code": "resulting-activity"}]}
MOST_TEXT = 500
PAUSED = "The organization that this was forwarded to has paused it."
NOBODY = "Nobody that this was forwarded to provides it now: its owner is looking further."
CONFIRMED = "Cancelled as its requester asked."
DONE = "Done by the organization that this was forwarded to."


@dataclass(frozen=True)
class Below:
    """A child as it stands. plain: its content bears no label that its parent lacks, so it may stand there too."""

    task: Resource
    plain: bool = True


def mirrored_status(parent: Resource) -> str:
    """What its children said last; "" before they said anything."""
    found = (one for one in parent.get("extension") or () if one.get("url") == MIRRORED_STATUS)
    return next((str(one.get("valueCode", "")) for one in found), "")


def followed(
    parent: Resource, parts: Sequence[Piece], below: Mapping[str, Below], now: str, *, waits: bool = False
) -> Resource:
    """The next version of an open parent, one edge of the law at most; itself where nothing is to be written.

    waits: its ServiceRequest is not active, so that nobody goes on. What a person set stays until the children say
    something else than before.
    """
    status = str(parent.get("status"))
    asked = referral_business.code_of(parent) == referral_business.ASKED
    wished = wish(parts, status, cancel_asked=asked)
    if wished in OPEN and (wished == mirrored_status(parent) != status or (waits and wished != "on-hold")):
        wished = ""
    return moved(parent, next_step(status, wished) or status, wished, parts, below, now)


def moved(
    parent: Resource, step: str, wished: str, parts: Sequence[Piece], below: Mapping[str, Below], now: str
) -> Resource:
    """The parent after this step (its own status: only what it holds is renewed). below: Task.id -> child.

    wished: the status at the end of the way; only there the parent shows its children's reason and businessStatus.
    """
    new = {**parent, "status": step}
    if step != parent.get("status"):
        new.pop("statusReason", None)
    if step == wished:
        new = _said(new, wished)
        reason = _reason(wished, parts, below)
        if reason:
            new["statusReason"] = {**(new.get("statusReason") or {}), "text": reason}
        new = _business(parent, new, wished, parts, below)
    outputs = _outputs(parent, step, parts, below)
    if outputs:
        new["output"] = outputs
    return new if new == parent else {**new, "lastModified": now}


def _said(parent: Resource, wished: str) -> Resource:
    rest = [one for one in parent.get("extension") or () if one.get("url") != MIRRORED_STATUS]
    return {**parent, "extension": [*rest, {"url": MIRRORED_STATUS, "valueCode": wished}]}


def _reason(wished: str, parts: Sequence[Piece], below: Mapping[str, Below]) -> str:
    """In the children's own words, each once, in a fixed order."""
    children = [child for part in parts if not part.done and not part.dropped for child in part.children]
    if wished == "on-hold":
        paused = [child for child in children if child.status == "on-hold"]
        asked, else_ = (paused, PAUSED) if paused else ([c for c in children if c.status in GAVE_UP], NOBODY)
    elif wished == "cancelled":
        asked, else_ = [child for child in children if child.status in GAVE_UP], CONFIRMED
    else:
        return ""
    said = [below[child.id] for child in asked if child.id in below]
    texts = [str((one.task.get("statusReason") or {}).get("text") or "").strip() for one in said if one.plain]
    return "; ".join(sorted({text for text in texts if text}))[:MOST_TEXT].strip() or else_


def _outputs(parent: Resource, step: str, parts: Sequence[Piece], below: Mapping[str, Below]) -> list[Any]:
    """Those of the parent itself, then what ended children left, by id: what was linked before is not linked twice.

    Only of what ended, since a child that is open may still take something back.
    """
    theirs = {write_json(one) for found in below.values() for one in _passed(found)}
    own = [one for one in parent.get("output") or () if write_json(one) not in theirs]
    ended = [child.id for part in parts for child in part.children if child.status not in OPEN]
    linked = {write_json(one): one for fhir_id in sorted(ended) for one in _passed(below[fhir_id])}
    outputs = [*own, *linked.values()]
    if step == "completed" and not outputs:
        return [{"type": RESULT, "valueString": DONE}]
    return outputs


def passed_up(child: Resource, *, plain: bool) -> list[Any]:
    """What a part that ended leaves in its parent's outputs."""
    return _passed(Below(child, plain))


def _passed(child: Below) -> list[Any]:
    """Its outputs; of one with a label of its own only references, which each reader's rights open or not."""
    found = child.task.get("output") or []
    if child.plain:
        return list(found)
    return [
        {"type": RESULT, "valueReference": {"reference": one["valueReference"]["reference"]}}
        for one in found
        if (one.get("valueReference") or {}).get("reference")
    ]


def _business(
    old: Resource, new: Resource, wished: str, parts: Sequence[Piece], below: Mapping[str, Below]
) -> Resource:
    """With the businessStatus of the child that got furthest; what its requester asked stands until it is answered.

    Where that child says none, a BSeR code of the parent is one that nobody says any more.
    """
    if wished in OPEN and referral_business.code_of(old) == referral_business.ASKED:
        return new
    found = below.get(leading(parts, wished))
    said = (found.task.get("businessStatus") if found is not None and found.plain else None) or {}
    status = _joined(old.get("businessStatus") or {}, said)
    rest = {name: value for name, value in new.items() if name != "businessStatus"}
    return {**rest, "businessStatus": status} if status else rest


def _joined(own: Resource, said: Resource) -> Resource:
    """What the child says, beside the parent's codings of other systems: such as what the plan authorized."""
    theirs = said.get("coding") or []
    systems = {one.get("system") for one in theirs} | {referral_business.SYSTEM}
    codings = [*(one for one in own.get("coding") or () if one.get("system") not in systems), *theirs]
    rest = {name: value for name, value in (said or own).items() if name != "coding"}
    return {**({"coding": codings} if codings else {}), **rest}


def cleared(old: Resource, new: Resource, now: str) -> Resource | None:
    """The parent without its BSeR code, where the next one follows from none but not from it: a version of its own."""
    if not referral_business.code_of(old) or not referral_business.issues(old, new, EITHER):
        return None
    bare = {name: value for name, value in old.items() if name != "businessStatus"}
    return None if referral_business.issues(bare, new, EITHER) else {**bare, "lastModified": now}
