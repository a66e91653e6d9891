"""PyPI `fhirclient` (SMART Python): Backend Services token by its own oauth code, strict R4 models. Run by the test.

It has no patch of its own: it goes as FHIRPath Patch in a transaction.
"""

from typing import Any

import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.patient import Patient
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.server import FHIRNotFoundException
from steps import FACTS, SYSTEM, bundle, order, posted, step, task


def signed_in_as(system: dict[str, str]) -> dict[str, str]:
    return {"app_id": system["client_id"], "jwt_token": system["assertion"]}


settings = {"api_base": FACTS["base"], "scope": "system/*.cruds"}
own = {**signed_in_as(FACTS), "patient_id": FACTS["patient"].split("/")[1]}
smart = FHIRClient(settings={**settings, **own})
kept: dict[str, Any] = {}


def send(made: dict[str, Any]) -> Bundle:
    return Bundle(Bundle(made).create(smart.server))


def authorize() -> None:
    """The token endpoint comes from the oauth-uris extension of /metadata, which its strict model has read."""
    assert not smart.prepare()
    assert smart.server.capabilityStatement.fhirVersion == "4.0.1"
    smart.authorize()
    assert smart.ready
    assert smart.patient is not None and smart.human_name(smart.patient.name[0])


def create() -> None:
    kept["order"] = ServiceRequest(ServiceRequest(order(1)).create(smart.server))
    assert kept["order"].id and kept["order"].meta.versionId == "1"


def read() -> None:
    kept["order"] = ServiceRequest.read(kept["order"].id, smart.server)
    assert kept["order"].subject.resolved(Patient).id == FACTS["patient"].split("/")[1]


def update() -> None:
    kept["order"].priority = "urgent"
    kept["order"] = ServiceRequest(kept["order"].update(smart.server))
    assert (kept["order"].meta.versionId, kept["order"].priority) == ("2", "urgent")


def search() -> None:
    found = list(
        ServiceRequest.where({"identifier": f"{SYSTEM}|1", "status": {"$or": ["active", "completed"]}})
        .perform_resources_iter(smart.server)
    )  # fmt: skip
    assert [one.id for one in found] == [kept["order"].id]


def unknown_parameter() -> None:
    """The outcome entry of a lenient search is read by the strict model too."""
    found = Bundle.read_from(f"ServiceRequest?identifier={SYSTEM}|1&favourite=blue", smart.server)
    assert [entry.search.mode for entry in found.entry] == ["match", "outcome"]


def batch() -> None:
    answer = send(bundle("batch", *(posted(order(f"batch-{n}")) for n in range(3))))
    assert [entry.response.status[:3] for entry in answer.entry] == ["201"] * 3


def paging() -> None:
    for n in range(5):
        ServiceRequest(order(f"page-{n}")).create(smart.server)
    any_page = ",".join(f"{SYSTEM}|page-{n}" for n in range(5))
    pages = list(ServiceRequest.where({"identifier": any_page, "_count": "2"}).perform_iter(smart.server))
    assert [len(page.entry) for page in pages] == [2, 2, 1]
    assert len({entry.resource.id for page in pages for entry in page.entry}) == 5


def include() -> None:
    asked = ServiceRequest.where({"identifier": f"{SYSTEM}|1"}).include("subject")
    assert [one.resource_type for one in asked.perform_resources_iter(smart.server)] == ["ServiceRequest", "Patient"]
    whose = Patient.where({"_id": FACTS["patient"].split("/")[1]}).include("subject", ServiceRequest, reverse=True)
    found = [one.id for one in whose.perform_resources_iter(smart.server)]
    assert kept["order"].id in found


def transaction() -> None:
    name = "urn:uuid:0d5f0a52-6b0e-4a2a-8d21-3c6a7b1e9c02"
    answer = send(bundle("transaction", posted(order("both"), name), posted(task(name))))
    assert answer.type == "transaction-response"
    assert [entry.response.status[:3] for entry in answer.entry] == ["201", "201"]
    assert all(
        entry.response.etag and entry.response.lastModified and entry.response.location for entry in answer.entry
    )


def patch() -> None:
    parts = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "ServiceRequest.priority"},
             {"name": "value", "valueCode": "stat"}]  # fmt: skip
    change = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    entry = {"resource": change, "request": {"method": "PATCH", "url": f"ServiceRequest/{kept['order'].id}"}}
    assert send(bundle("transaction", entry)).entry[0].response.status[:3] == "200"
    assert ServiceRequest.read(kept["order"].id, smart.server).priority == "stat"


def refusal() -> None:
    try:
        ServiceRequest(order("bad", status="open")).create(smart.server)
    except requests.HTTPError as error:
        outcome = OperationOutcome(error.response.json())
        assert "ServiceRequest.status" in outcome.issue[0].expression
        return
    raise AssertionError("stored")


def delete() -> None:
    place = ServiceRequest.read(kept["order"].id, smart.server)
    place.delete(smart.server)
    try:
        ServiceRequest.read(place.id, smart.server)
    except requests.HTTPError as error:
        assert error.response.status_code == 410
        OperationOutcome(error.response.json())
        return
    raise AssertionError("still there")


def history() -> None:
    """After the delete: the entry of the deletion must pass the strict model."""
    answer = Bundle.read_from(f"ServiceRequest/{kept['order'].id}/_history", smart.server)
    methods = [entry.request.method for entry in answer.entry]
    assert (methods[0], methods[-1], len(methods)) == ("DELETE", "POST", 4), methods
    assert answer.entry[0].resource is None and answer.entry[0].response.status[:3] == "204"
    assert Bundle.read_from("ServiceRequest/_history?_count=4", smart.server).entry


def not_found() -> None:
    try:
        ServiceRequest.read("nobody", smart.server)
    except FHIRNotFoundException as error:
        OperationOutcome(error.response.json())
        return
    raise AssertionError("found")


def everything() -> None:
    answer = Bundle.read_from(f"{FACTS['patient']}/$everything?_count=50", smart.server)
    assert {"Patient", "ServiceRequest", "Task"} <= {entry.resource.resource_type for entry in answer.entry}


def every_type() -> None:
    """The operator reads an example of each type: no answer holds an element that R4 does not know."""
    operator = FHIRClient(settings={**settings, **signed_in_as(FACTS["operator"])})
    assert not operator.prepare()
    operator.authorize()
    types = [one.type for one in smart.server.capabilityStatement.rest[0].resource]
    for rtype in types:
        found = Bundle.read_from(f"{rtype}?_count=20", operator.server).entry or ()
        matches = [entry.resource for entry in found if entry.search.mode == "match"]
        assert matches and {one.resource_type for one in matches} == {rtype}, rtype
    assert len(types) > 20


for work in (authorize, create, read, update, search, unknown_parameter, batch, paging, include, transaction, patch,
             refusal, delete, history, not_found, everything, every_type):  # fmt: skip
    step(work.__name__, work)
