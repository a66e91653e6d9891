"""What a partner's server is sent of a Task of ours, and whether what it shows is that Task. Pure.

References to our resources become absolute: the partner reads them here, as its client's rights allow.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.labels import bit_of
from service.search.references import normal_reference
from service.store.partners import Partner
from service.workflow.parties import reference_of
from service.workflow.partner_client import Odd
from service.workflow.partner_paths import agreed, mapped

URL_SYSTEM = "urn:ietf:rfc:3986"
"""identifier.system of an identifier that is a URL: where the resource stands that this one is the same as."""
ID = re.compile(r"[A-Za-z0-9.-]{1,64}\Z")
SENT = ("status", "intent", "priority", "code", "description", "focus", "for", "authoredOn", "reasonCode", "note",
        "restriction", "input", "partOf")  # fmt: skip
"""Elements of a Task that leave; what others wrote into ours (outputs, owner) does not."""
MOST_LABELS = 20
TAKEN_BACK = "Withdrawn by the organization that referred."
WITHDRAWN = ("cancelled", "entered-in-error")
"""Statuses that the requester's side sets."""


def own_url(base_url: str, task_id: str) -> str:
    return f"{base_url}/Task/{task_id}"


def outgoing(task: Resource, base_url: str, partner: Partner) -> Resource:
    """The Task as it is created on the partner's server."""
    made: Resource = {"resourceType": "Task"}
    if profiles := (task.get("meta") or {}).get("profile"):
        made["meta"] = {"profile": profiles}
    made["identifier"] = [identifier(base_url, str(task["id"]))]
    made |= {name: absolute(task[name], base_url) for name in SENT if name in task}
    made["requester"] = absolute(task.get("requester") or {}, base_url)
    owner = partner.owner_there or absolute({"reference": partner.organization}, base_url)["reference"]
    made["owner"] = {"reference": owner}
    return made


def identifier(base_url: str, task_id: str) -> Resource:
    return {"system": URL_SYSTEM, "value": own_url(base_url, task_id)}


def unseen(task: Resource) -> Resource:
    """What a partner that may not see the Task any more still has to hear of it: that it was withdrawn, and no word."""
    kept = {name: task[name] for name in ("resourceType", "id", "status", "focus", "for") if name in task}
    return kept | ({"statusReason": {"text": TAKEN_BACK}} if task.get("status") in WITHDRAWN else {})


def labels_of(found: Resource) -> list[Resource]:
    """The sensitivity labels that another server put on a resource: they go with each copy."""
    meta = found.get("meta")
    listed = meta.get("security") if isinstance(meta, dict) else None
    plain = [one for one in (listed if isinstance(listed, list) else ())[:MOST_LABELS] if isinstance(one, dict)]
    codings = [{name: one[name] for name in ("system", "code") if isinstance(one.get(name), str)} for one in plain]
    return [one for one in codings if len(one) == 2 and bit_of(one)]


def labelled_as(copy: Resource, found: Resource) -> Resource:
    labels = labels_of(found)
    return {**copy, "meta": {**(copy.get("meta") or {}), "security": labels}} if labels else copy


def without_words(remote: Resource, labels: int) -> Resource:
    """A partner's Task as it may stand in ours, which bears these labels: where it bears more, what moved and no word.

    What was done comes as Procedures of their own, with labels of their own.
    """
    if all(bit_of(one) & ~labels == 0 for one in labels_of(remote)):
        return remote
    names = ("resourceType", "id", "identifier", "status", "focus", "for")
    outputs = [one for one in remote.get("output") or () if isinstance(one, dict) and one.get("valueReference")]
    made = {name: remote[name] for name in names if name in remote} | {"meta": {"versionId": version_of(remote)}}
    return made | {"output": [{"valueReference": one["valueReference"]} for one in outputs]}


def absolute(value: Any, base_url: str) -> Any:
    """The value with each relative reference made absolute."""
    if isinstance(value, list):
        return [absolute(one, base_url) for one in value]
    if not isinstance(value, Mapping):
        return value
    made = {name: absolute(inner, base_url) for name, inner in value.items()}
    written = made.get("reference")
    if isinstance(written, str) and ":" not in written and "/" in written and written[:1] != "#":
        made["reference"] = f"{base_url}/{written}"
    return made


def wish(task: Resource) -> Resource:
    """What the requester's side says of its Task now, as far as it may be said to the owner."""
    status = str(task.get("status"))
    said: Resource = {"status": status, "statusReason": task.get("statusReason")} if status in WITHDRAWN else {}
    for name in ("priority", "restriction", "description"):
        if name in task:
            said[name] = task[name]
    said["note"] = [note for note in task.get("note") or () if note.get("text")]
    return said


def digest(value: Resource) -> str:
    return hashlib.sha256(write_json(value)).hexdigest()[:32]


def amended(remote: Resource, task: Resource) -> Resource:
    """The partner's Task with what the requester's side says; the same object's copy where nothing differs."""
    said, made = wish(task), dict(remote)
    notes = said.pop("note")
    if agreed(str(task.get("status")), mapped(remote.get("status"))):
        said = {name: value for name, value in said.items() if name not in ("status", "statusReason")}
    made |= {name: value for name, value in said.items() if value is not None}
    known = {note.get("text") for note in remote.get("note") or () if isinstance(note, dict)}
    missing = [note for note in notes if note["text"] not in known]
    if missing:
        made["note"] = [*(remote.get("note") or ()), *missing]
    return made


def check_same(remote: Resource, task: Resource, base_url: str, there: str) -> None:
    """Raises Odd where the Task on the partner's server (id `there`) is not ours, or about another member."""
    if remote.get("resourceType") != "Task" or remote.get("id") != there:
        raise Odd("other-id")
    ours = own_url(base_url, str(task["id"]))
    stated = [one.get("value") for one in remote.get("identifier") or () if isinstance(one, dict)]
    focus = normal_reference(reference_of(remote, "focus"), base_url)
    if ours not in stated and focus != normal_reference(reference_of(task, "focus"), base_url):
        raise Odd("other-task")
    member = normal_reference(reference_of(remote, "for"), base_url) or ""
    here = member.startswith("Patient/") and reference_of(remote, "for").startswith(f"{base_url}/")
    if here and member != normal_reference(reference_of(task, "for"), base_url):
        raise Odd("other-patient")


def version_of(resource: Resource) -> str:
    """meta.versionId, or where a server keeps none a digest of the whole."""
    version = (resource.get("meta") or {}).get("versionId")
    return version if isinstance(version, str) and 0 < len(version) <= 64 else digest(resource)


def id_there(partner: Partner, reference: str, rtype: str) -> str:
    """The id of a resource on the partner's server, relative or absolute below its base; Odd where it is no such."""
    relative = reference.removeprefix(f"{partner.base_url}/").split("/_history/")[0]
    named, _, fhir_id = relative.partition("/")
    if named != rtype or not ID.match(fhir_id):
        raise Odd("other-reference")
    return fhir_id


def text_of(value: Any) -> str:
    """JSON of a row's column `work`."""
    return json.dumps(value, separators=(",", ":"))
