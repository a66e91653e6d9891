"""THE route table of the FHIR base: one row per interaction and operation. https://hl7.org/fhir/R4/http.html

Flat Starlette routes under /fhir (no Mount: it would answer POST /fhir with a redirect); `$` rows before `{id}` rows.
"""

from functools import cache
from typing import NamedTuple

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fhir_profiles.catalog import TypeEntry, catalog
from service.access.context import Context
from service.api.body import HttpBody
from service.api.exchange import exchange
from service.api.handlers import (
    alerts,
    bundles,
    calaim,
    directory,
    histories,
    operations,
    people,
    reads,
    searches,
    subscriptions,
    writes,
)
from service.api.headers import preconditions, prefers
from service.api.metadata import metadata
from service.errors import Category, FhirError
from service.interactions.call import Call, Handler, Params
from service.interactions.settle import Decide


class Row(NamedTuple):
    """interaction: the code in the CapabilityStatement that a type must list, or the operation's name with its $.

    path: of an operation, of a resource ({id}), of a type, or of the whole service.
    """

    method: str
    path: str
    interaction: str
    handler: Handler


COMPARTMENT = "search-compartment"
"""Not an interaction of a type: rest.compartment of the CapabilityStatement says in whose compartment is searched."""

ROWS = (
    Row("POST", "/{type}/$validate", "$validate", operations.validate_type),
    Row("POST", "/{type}/{id}/$validate", "$validate", operations.validate_one),
    Row("GET", "/{type}/{id}/$everything", "$everything", operations.everything_of_one),
    Row("POST", "/{type}/{id}/$everything", "$everything", operations.everything_of_one),
    Row("POST", "/{type}/{id}/$break-glass", "$break-glass", operations.break_glass_of_one),
    Row("POST", "/{type}/{id}/$refer", "$refer", operations.refer_one),
    Row("POST", "/{type}/{id}/$forward", "$forward", operations.forward_one),
    Row("POST", "/{type}/{id}/$hand-off", "$hand-off", operations.hand_off_one),
    Row("GET", "/{type}/{id}/$disclosures", "$disclosures", operations.disclosures_of_one),
    Row("POST", "/{type}/{id}/$disclosures", "$disclosures", operations.disclosures_of_one),
    Row("POST", "/{type}/{id}/$authorize", "$authorize", calaim.authorize_one),
    Row("POST", "/{type}/{id}/$no-service", "$no-service", directory.no_service_for),
    Row("GET", "/{type}/{id}/$check-eligibility", "$check-eligibility", calaim.check_eligibility_of_one),
    Row("POST", "/{type}/{id}/$check-eligibility", "$check-eligibility", calaim.check_eligibility_of_one),
    Row("GET", "/$explain-access", "$explain-access", operations.explain_access_to),
    Row("POST", "/$process-message", "$process-message", operations.process_message_to),
    Row("POST", "/{type}/$match", "$match", operations.match_type),
    Row("GET", "/{type}/$evaluate-measure", "$evaluate-measure", operations.evaluate_measure_named),
    Row("POST", "/{type}/$evaluate-measure", "$evaluate-measure", operations.evaluate_measure_named),
    Row("GET", "/{type}/{id}/$evaluate-measure", "$evaluate-measure", operations.evaluate_measure_of_one),
    Row("POST", "/{type}/{id}/$evaluate-measure", "$evaluate-measure", operations.evaluate_measure_of_one),
    Row("GET", "/{type}/$status", "$status", subscriptions.status_of_type),
    Row("POST", "/{type}/$status", "$status", subscriptions.status_of_type),
    Row("GET", "/{type}/{id}/$status", "$status", subscriptions.status_of_one),
    Row("POST", "/{type}/{id}/$status", "$status", subscriptions.status_of_one),
    Row("GET", "/{type}/{id}/$events", "$events", subscriptions.events_of_one),
    Row("POST", "/{type}/{id}/$events", "$events", subscriptions.events_of_one),
    Row("GET", "/{type}/{id}/$deliveries", "$deliveries", subscriptions.deliveries_of_one),
    Row("POST", "/{type}/{id}/$deliveries", "$deliveries", subscriptions.deliveries_of_one),
    Row("GET", "/{type}/$get-ws-binding-token", "$get-ws-binding-token", subscriptions.ws_token_of_type),
    Row("POST", "/{type}/$get-ws-binding-token", "$get-ws-binding-token", subscriptions.ws_token_of_type),
    Row("GET", "/{type}/{id}/$get-ws-binding-token", "$get-ws-binding-token", subscriptions.ws_token_of_one),
    Row("POST", "/{type}/{id}/$get-ws-binding-token", "$get-ws-binding-token", subscriptions.ws_token_of_one),
    Row("POST", "/{type}/{id}/$resend", "$resend", subscriptions.resend_one),
    Row("POST", "/{type}/{id}/$test-event", "$test-event", subscriptions.test_one),
    Row("POST", "/{type}/{id}/$pause", "$pause", subscriptions.pause_one),
    Row("POST", "/{type}/{id}/$resume", "$resume", subscriptions.resume_one),
    Row("POST", "/{type}/{id}/$rotate-secret", "$rotate-secret", subscriptions.rotate_secret_of_one),
    Row("GET", "/{type}/{id}/$notification-preferences", "$notification-preferences", people.preferences_shown),
    Row("POST", "/{type}/{id}/$notification-preferences", "$notification-preferences", people.preferences_set),
    Row("POST", "/{type}/{id}/$acknowledge", "$acknowledge", alerts.posted("acknowledge")),
    Row("POST", "/{type}/{id}/$snooze", "$snooze", alerts.posted("snooze")),
    Row("POST", "/{type}/{id}/$reassign", "$reassign", alerts.posted("reassign")),
    Row("POST", "/{type}/{id}/$not-my-member", "$not-my-member", alerts.posted("not-my-member")),
    Row("POST", "/{type}/{id}/$outcome", "$outcome", alerts.posted("outcome")),
    Row("GET", "/{type}/{id}/$in-hospital", "$in-hospital", people.in_hospital),
    Row("GET", "/{type}/{id}/$notices", "$notices", people.notices_listed),
    Row("POST", "/{type}/{id}/$notices", "$notices", people.notices_read),
    Row("POST", "/{type}/_search", "search-type", searches.search_type),
    Row("GET", "/{type}", "search-type", searches.search_type),
    Row("GET", "", "search-system", searches.search_system),
    Row("POST", "/_search", "search-system", searches.search_system),
    Row("GET", "/{type}/{id}/{part}", COMPARTMENT, searches.search_compartment),
    Row("POST", "/{type}/{id}/{part}/_search", COMPARTMENT, searches.search_compartment),
    Row("POST", "/{type}", "create", writes.create_one),
    Row("GET", "/{type}/{id}/_history/{part}", "vread", reads.read_version),
    Row("GET", "/{type}/{id}/_history", "history-instance", histories.history_of_one),
    Row("GET", "/{type}/_history", "history-type", histories.history_of_type),
    Row("GET", "/_history", "history-system", histories.history_of_all),
    Row("GET", "/{type}/{id}", "read", reads.read_one),
    Row("PUT", "/{type}/{id}", "update", writes.update_one),
    Row("PATCH", "/{type}/{id}", "patch", writes.patch_one),
    Row("DELETE", "/{type}/{id}", "delete", writes.delete_one),
    Row("PUT", "/{type}", "update", writes.update_matching),
    Row("PATCH", "/{type}", "patch", writes.patch_matching),
    Row("DELETE", "/{type}", "delete", writes.delete_matching),
    Row("POST", "", "transaction", bundles.posted(lambda method, path, rtype: _handler_of(method, path, rtype))),
)


def endpoints() -> dict[str, "_Endpoint"]:
    """Path below /fhir -> the endpoint of all its methods."""
    return {path: _Endpoint(rows) for path, rows in _by_path().items()}


@cache
def _by_path() -> dict[str, dict[str, Row]]:
    by_path: dict[str, dict[str, Row]] = {}
    for row in ROWS:
        by_path.setdefault(row.path, {})[row.method] = row
        if row.method == "GET":
            by_path[row.path]["HEAD"] = row
    return by_path


def _handler_of(method: str, path: str, rtype: str) -> tuple[Handler, str]:
    """For the entry of a Bundle: the row that a request of its own would have met."""
    row = row_of(method, rtype, _by_path().get(path, {}))
    return row.handler, row.interaction


def in_order() -> list[tuple[str, "_Endpoint"]]:
    """As Starlette must try them: a fixed word before a `{part}` in the same place."""
    return sorted(endpoints().items(), key=lambda item: [part.startswith("{") for part in item[0].split("/")])


def routes() -> list[Route]:
    fixed = [Route(f"/fhir/metadata{slash}", metadata, methods=["GET"]) for slash in ("", "/")]
    placed = [Route(f"/fhir{path}{slash}", at) for path, at in in_order() for slash in ("", "/")]
    rest = [Route("/fhir/{path:anything}", _Endpoint({}))]
    return [*fixed, *placed, *rest]


class _Anything(PathConvertor):
    """Starlette's `path` stops at a line end, and what it leaves would be refused as plain JSON."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


class _Endpoint:
    """An ASGI application, so that every method arrives here and is refused as OperationOutcome."""

    def __init__(self, rows: dict[str, Row]):
        self._rows = rows
        self._interactions = {method: row.interaction for method, row in rows.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)

        async def prepare(ctx: Context, params: Params) -> Decide:
            path = request.path_params
            row = row_of(request.method, path.get("type", ""), self._rows)
            call = Call(
                "GET" if request.method == "HEAD" else request.method,
                path.get("type", ""),
                path.get("id", ""),
                path.get("part", ""),
                params,
                preconditions(request),
                prefers(request),
                HttpBody(request),
            )
            return await row.handler(ctx, call)

        response: Response = await exchange(request, prepare, self._interactions.get(request.method, "none"))
        await response(scope, receive, send)


def served(row: Row, entry: TypeEntry | None) -> bool:
    """Whether the CapabilityStatement lists the row's interaction: for the type, or for the whole service (None)."""
    if entry is None:
        stated = catalog().operations if row.interaction.startswith("$") else catalog().interactions
        return "{type}" not in row.path and row.interaction.removeprefix("$") in stated
    if row.interaction.startswith("$"):
        return row.interaction[1:] in entry.operations
    if row.interaction == COMPARTMENT:
        return entry.name in _compartments()
    if row.path == "/{type}" and row.method in ("PUT", "PATCH", "DELETE") and row.interaction not in entry.conditional:
        return False
    return row.interaction in entry.interactions


@cache
def _compartments() -> frozenset[str]:
    """Types in whose compartments is searched, such as Patient."""
    listed = catalog().statement["rest"][0].get("compartment", [])
    return frozenset(url.rpartition("/")[2].capitalize() for url in listed)


def row_of(method: str, rtype: str, rows: dict[str, Row]) -> Row:
    """The row of a method at one path; 404 for a type that is not served, 405 for what is not served there."""
    entry = catalog().types.get(rtype)
    nowhere = all(row.interaction == COMPARTMENT and not served(row, entry) for row in rows.values())
    if nowhere or (entry is None and rtype):
        raise FhirError(Category.NOT_FOUND, "This is not a resource type or path that is served: see /fhir/metadata.")
    row = rows.get(method)
    if row is None or not served(row, entry):
        allowed = sorted(name for name, other in rows.items() if served(other, entry))
        where = rtype or "the whole service"
        text = (
            f"{method} is not served here for {where}; served: {', '.join(allowed) or 'nothing'}. See /fhir/metadata."
        )
        raise FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})
    return row
