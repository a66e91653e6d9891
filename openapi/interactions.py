"""THE table of interactions for the document: what each takes, answers and refuses. https://hl7.org/fhir/R4/http.html#summary

A row of THE route table without an entry here is left out of the document, and tests/openapi says so.
"""

from typing import NamedTuple

from fhir_profiles.catalog import TypeEntry
from service.api.fhir import Row
from service.errors import Category as C


class Interaction(NamedTuple):
    """scope: letters of the SMART v2 scopes on the type; "" where they depend on what is sent.

    answers: status -> (sentence, schema); schema: "" for no body, "{type}" for the resource itself.
    body: "", "resource", "form", "patch", "bundle", "match" or "nothing" (parameters may stand in it, none must).
    """

    verb: str
    scope: str
    answers: dict[int, tuple[str, str]]
    refused: tuple[C, ...] = ()
    parameters: tuple[str, ...] = ()
    body: str = ""
    anchor: str = ""


_SAME = "Not changed since the version in If-None-Match, or the time in If-Modified-Since."
_WRITTEN = (C.CONFLICT, C.STALE, C.UNSUPPORTED_MEDIA, C.RULE)
_FOUND = {200: ("A Bundle of type searchset; its links lead to further pages.", "Bundle")}
_VERSIONS = {200: ("A Bundle of type history, newest first.", "Bundle")}
_CHANGED = "The new version, or the same where nothing changed."
_CREATED = "Created under the id of the URL, or of the body."
_SHOWN = ("_format", "_pretty")
_PAGED = ("_count", "_page", *_SHOWN)
_SEARCHED = (*_PAGED, "_elements", "_sort", "_summary", "_total", "Prefer-handling")
_TIMES = (*_PAGED, "_at", "_since")
_EVERYTHING = ("start", "end", "_since", "_type")
OPERATIONS = "https://hl7.org/fhir/R4/"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/"
OURS = "https://enlace.example.org/fhir/OperationDefinition/"
_RANGE = ("eventsSinceNumber", "eventsUntilNumber")

INTERACTIONS: dict[str, Interaction] = {
    "read": Interaction(
        "Read", "r", {200: ("The current version.", "{type}"), 304: (_SAME, "")}, (C.NOT_FOUND, C.GONE),
        ("If-Modified-Since", "If-None-Match", "_elements", "_summary-one", *_SHOWN),
    ),
    "vread": Interaction(
        "Read one version of", "r", {200: ("That version.", "{type}"), 304: (_SAME, "")}, (C.NOT_FOUND, C.GONE),
        ("If-Modified-Since", "If-None-Match", "_elements", "_summary-one", *_SHOWN),
    ),
    "history-instance": Interaction(
        "List the versions of one", "r", _VERSIONS, (C.NOT_FOUND, C.GONE), _TIMES, anchor="history"
    ),
    "history-type": Interaction("List the versions of all", "s", _VERSIONS, (), _TIMES, anchor="history"),
    "history-system": Interaction("List all versions", "", _VERSIONS, (), _TIMES, anchor="history"),
    "search-type": Interaction("Search", "s", _FOUND, (), _SEARCHED, anchor="search"),
    "search-system": Interaction("Search several types", "", _FOUND, (), (*_SEARCHED, "_type"), anchor="search"),
    "search-compartment": Interaction(
        "Search in the record of one", "", _FOUND, (C.NOT_FOUND,), (*_SEARCHED, "compartment", "_type"), anchor="search"
    ),
    "create": Interaction(
        "Create", "c",
        {201: ("Created; the server chose the id.", "{type}"), 200: ("If-None-Exist matched this one.", "{type}")},
        _WRITTEN, ("If-None-Exist", "Prefer-return", *_SHOWN), "resource",
    ),
    "update": Interaction(
        "Update", "u", {200: (_CHANGED, "{type}"), 201: (_CREATED, "{type}")}, (C.NOT_FOUND, C.GONE, *_WRITTEN),
        ("If-Match", "Prefer-return", *_SHOWN), "resource",
    ),
    "update-where": Interaction(
        "Update the one that fits, or create", "us", {200: (_CHANGED, "{type}"), 201: (_CREATED, "{type}")},
        (C.NOT_FOUND, C.GONE, *_WRITTEN), ("criteria", "If-Match-any", "Prefer-return"), "resource", "cond-update",
    ),
    "patch": Interaction(
        "Patch", "u", {200: (_CHANGED, "{type}")}, (C.NOT_FOUND, C.GONE, *_WRITTEN),
        ("If-Match", "Prefer-return", *_SHOWN), "patch",
    ),
    "patch-where": Interaction(
        "Patch the one that fits", "us", {200: (_CHANGED, "{type}")}, (C.NOT_FOUND, C.GONE, *_WRITTEN),
        ("criteria", "If-Match-any", "Prefer-return"), "patch", "patch",
    ),
    "delete": Interaction(
        "Delete", "d", {204: ("Deleted.", "")}, (C.NOT_FOUND, C.GONE, C.CONFLICT, C.STALE, C.RULE), ("If-Match",)
    ),
    "delete-where": Interaction(
        "Delete the one that fits", "ds", {204: ("Deleted, or nothing fitted.", "")},
        (C.NOT_FOUND, C.CONFLICT, C.STALE, C.RULE), ("criteria", "If-Match-any"), anchor="cdelete",
    ),
    "transaction": Interaction(
        "Do several things, together or each for itself", "",
        {200: ("A Bundle of type transaction-response or batch-response, an entry for each.", "Bundle")},
        (C.NOT_FOUND, C.METHOD_NOT_ALLOWED, C.GONE, C.PRECONDITION_REQUIRED, *_WRITTEN), ("Prefer-return", *_SHOWN),
        "bundle",
    ),
    "$validate": Interaction(
        "Check", "c", {200: ("What is wrong with the resource, or that nothing is.", "OperationOutcome")},
        (C.NOT_FOUND, C.GONE, C.UNSUPPORTED_MEDIA), _SHOWN, "resource", f"{OPERATIONS}resource-operation-validate.html",
    ),
    "$everything": Interaction(
        "Read the whole record of one", "r", _FOUND, (C.NOT_FOUND, C.GONE), (*_PAGED, *_EVERYTHING), "nothing",
        f"{OPERATIONS}patient-operation-everything.html",
    ),
    "$disclosures": Interaction(
        "Account for the disclosures of one", "r", _FOUND, (C.NOT_FOUND, C.GONE), (*_SHOWN, "start", "end"), "nothing",
        "https://enlace.example.org/fhir/OperationDefinition/patient-disclosures",
    ),
    "$explain-access": Interaction(
        "Explain who may read a resource, and why", "", {200: ("Decision and steps, for each client.", "Parameters")},
        (C.NOT_FOUND, C.FORBIDDEN, C.RULE), ("resource", "actor"), "nothing",
        "https://enlace.example.org/fhir/OperationDefinition/explain-access",
    ),
    "$process-message": Interaction(
        "Take a hospital's notification", "", {202: ("In safe storage.", "OperationOutcome")},
        (C.FORBIDDEN, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "notification",
        f"{OPERATIONS}messageheader-operation-process-message.html",
    ),
    "$match": Interaction(
        "Say who might be this", "s", {200: ("A Bundle of type searchset, the surest first.", "Bundle")},
        (C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "match", f"{OPERATIONS}patient-operation-match.html",
    ),
    "$evaluate-measure": Interaction(
        "Compute", "r", {200: ("The report, as of an instant.", "MeasureReport")}, (C.NOT_FOUND,),
        ("asOf", "measure", "months", "periodEnd", "periodStart", "reportType", "stratifier", *_SHOWN), "nothing",
        f"{OURS}measure-evaluate-measure",
    ),
    "$status": Interaction(
        "Say how delivery stands of", "r", {200: ("A searchset of status Parameters.", "Bundle")},
        (C.NOT_FOUND, C.GONE), ("id-listed", "status-listed", *_SHOWN), "nothing",
        f"{BACKPORT}backport-subscription-status",
    ),
    "$events": Interaction(
        "Tell events once more of", "r", {200: ("A Bundle of type history, oldest first.", "Bundle")},
        (C.NOT_FOUND, C.GONE), ("content", *_RANGE, *_SHOWN), "nothing",
        f"{BACKPORT}backport-subscription-events",
    ),
    "$deliveries": Interaction(
        "List attempts at delivery of", "r", {200: ("Attempts, newest first.", "Parameters")},
        (C.NOT_FOUND, C.GONE), ("_count", "before", "number", "outcome", *_SHOWN), "nothing",
        f"{OURS}subscription-deliveries",
    ),
    "$get-ws-binding-token": Interaction(
        "Get a token for a websocket of", "r", {200: ("The token, for once and 5 minutes.", "Parameters")},
        (C.NOT_FOUND, C.GONE, C.RULE), ("id-listed", *_SHOWN), "nothing",
        f"{BACKPORT}backport-subscription-get-ws-binding-token",
    ),
    "$resend": Interaction(
        "Send events once more of", "u", {200: ("How many are sent again.", "Parameters")},
        (C.NOT_FOUND, C.GONE, C.RULE), _SHOWN, "resend",
        f"{OURS}subscription-resend",
    ),
    "$test-event": Interaction(
        "Send a test event of", "u", {200: ("It is on its way.", "Parameters")},
        (C.NOT_FOUND, C.GONE, C.RULE), _SHOWN, "nothing",
        f"{OURS}subscription-test-event",
    ),
    "$pause": Interaction(
        "Pause the deliveries of", "u", {200: ("It is paused.", "Parameters")},
        (C.NOT_FOUND, C.GONE), _SHOWN, "nothing",
        f"{OURS}subscription-pause",
    ),
    "$resume": Interaction(
        "Resume the deliveries of", "u", {200: ("It is not paused.", "Parameters")},
        (C.NOT_FOUND, C.GONE), _SHOWN, "nothing",
        f"{OURS}subscription-resume",
    ),
    "$rotate-secret": Interaction(
        "Replace the secret of", "u", {200: ("The new secret, this once.", "Parameters")},
        (C.NOT_FOUND, C.GONE, C.RULE), _SHOWN, "nothing",
        f"{OURS}subscription-rotate-secret",
    ),
    "$notification-preferences": Interaction(
        "Show how to tell one", "r", {200: ("All rows.", "Parameters")}, (C.NOT_FOUND,), _SHOWN, "nothing",
        f"{OURS}practitioner-notification-preferences",
    ),
    "$notification-preferences-posted": Interaction(
        "Set how to tell one", "u", {200: ("All rows, as they are now.", "Parameters")},
        (C.NOT_FOUND, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "preferences",
        f"{OURS}practitioner-notification-preferences",
    ),
    "$notices": Interaction(
        "List what was told to one", "r", {200: ("Newest first.", "Parameters")}, (),
        ("_count", "before-instant", "unread", *_SHOWN), "nothing", f"{OURS}practitioner-notices",
    ),
    "$notices-posted": Interaction(
        "Mark as read what was told to one", "r", {200: ("They are marked.", "Parameters")},
        (C.UNSUPPORTED_MEDIA,), _SHOWN, "notices-read", f"{OURS}practitioner-notices",
    ),
    "$in-hospital": Interaction(
        "List own members in hospital of", "r", {200: ("The longest stay first.", "Parameters")}, (), _SHOWN, "nothing",
        f"{OURS}practitioner-in-hospital",
    ),
    "$acknowledge": Interaction(
        "Acknowledge the alert", "u", {200: ("The alert as it stands then.", "Communication")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "alert-reason",
        f"{OURS}communication-acknowledge",
    ),
    "$snooze": Interaction(
        "Put off the alert", "u", {200: ("The alert as it stands then.", "Communication")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "alert-snooze",
        f"{OURS}communication-snooze",
    ),
    "$reassign": Interaction(
        "Hand on the alert", "u", {200: ("The alert as it stands then.", "Communication")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "alert-reassign",
        f"{OURS}communication-reassign",
    ),
    "$not-my-member": Interaction(
        "Say that it is not about the member, of", "u", {200: ("The alert as it stands then.", "Communication")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "alert-reason",
        f"{OURS}communication-not-my-member",
    ),
    "$outcome": Interaction(
        "Say what came of", "u", {200: ("The alert as it stands then.", "Communication")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "alert-outcome",
        f"{OURS}communication-outcome",
    ),
    "$refer": Interaction(
        "Send the referral of", "r", {
            200: ("What is asked is open already: its Tasks.", "Parameters"),
            201: ("The Tasks that were opened, and warnings.", "Parameters"),
        },
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "refer",
        f"{OURS}servicerequest-refer",
    ),
    "$forward": Interaction(
        "Hand on the referral of", "r", {201: ("What was written for others, and warnings.", "Parameters")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "forward",
        f"{OURS}task-forward",
    ),
    "$hand-off": Interaction(
        "Record a warm hand-off in", "u", {200: ("What was written.", "Parameters")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "hand-off",
        f"{OURS}task-hand-off",
    ),
    "$authorize": Interaction(
        "Decide as the plan on the request of", "u", {200: ("The Task with the decision.", "Task")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "authorize",
        f"{OURS}task-authorize",
    ),
    "$check-eligibility": Interaction(
        "See which criteria are met for", "r", {200: ("Criteria, caps, programs and codes.", "Parameters")},
        (C.NOT_FOUND, C.UNSUPPORTED_MEDIA), ("at", *_SHOWN), "nothing",
        f"{OURS}servicerequest-check-eligibility",
    ),
    "$no-service": Interaction(
        "Say that no service was found for", "u", {200: ("The request as it stands then.", "ServiceRequest")},
        (C.NOT_FOUND, C.CONFLICT, C.UNSUPPORTED_MEDIA, C.RULE), _SHOWN, "no-service",
        f"{OURS}servicerequest-no-service",
    ),
    "$break-glass": Interaction(
        "Open the record in an emergency of one", "r", {200: ("Until when it is open.", "Parameters")},
        (C.NOT_FOUND, C.UNSUPPORTED_MEDIA), _SHOWN, "break-glass",
        "https://enlace.example.org/fhir/OperationDefinition/patient-break-glass",
    ),
}  # fmt: skip


def key_of(row: Row) -> str:
    """The entry of a row: a conditional write stands on the type, a plain one on the resource.

    An operation whose POST does something else than its GET has an entry for each.
    """
    if row.method == "POST" and f"{row.interaction}-posted" in INTERACTIONS:
        return f"{row.interaction}-posted"
    conditional = row.path == "/{type}" and row.method in ("PUT", "PATCH", "DELETE")
    return f"{row.interaction}-where" if conditional else row.interaction


def path_of(row: Row, entry: TypeEntry | None) -> str:
    """Below /fhir, as the document names it."""
    path = row.path.replace("_history/{part}", "_history/{vid}").replace("{part}", "{compartment}")
    return path.replace("{type}", entry.name) if entry else path
