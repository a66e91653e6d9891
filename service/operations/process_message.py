"""$process-message: a Da Vinci notification of an admission, discharge or transfer, into the inbox of hospital feeds.

https://hl7.org/fhir/R4/messageheader-operation-process-message.html, https://hl7.org/fhir/us/davinci-alerts/ 1.1.0.
202: it is in safe storage; what it means is worked out afterwards, as of an HL7 v2 message. Nothing is told of whether
the patient is known here. A Bundle that comes again has no effect and the same answer.
"""

import time
from hashlib import sha256
from typing import Any

from fhir_profiles.json_text import write_json
from mappers.davinci.notification import envelope, problems
from service.access.context import Context
from service.caller import Role
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.inbox_keeping import Letter, keep
from service.log_events import REQUEST_ID
from service.store.change import AuditRow, Change
from service.workflow.sending_systems import Senders, client_peer

_RECEIVED: dict[str, Any] = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "severity": "information",
            "code": "informational",
            "diagnostics": "The message is in safe storage; it need not be sent again.",
        }
    ],
}


def check_caller(ctx: Context) -> None:
    if ctx.caller.role not in (Role.HOSPITAL, Role.ADMIN):
        raise FhirError(Category.FORBIDDEN, "Only a hospital's client sends notifications.", reason="role")


def read(resource: Any) -> dict[str, Any]:
    """Raises RULE with all that keeps the body from being a notification."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Bundle":
        raise FhirError(Category.MALFORMED, "The body is a Bundle of type message.", reason="notification")
    found = problems(resource)
    if found:
        raise FhirError(Category.RULE, [Issue(one, code="invalid") for one in found], reason="notification")
    return resource


async def process(ctx: Context, bundle: dict[str, Any]) -> Decision:
    """Commits by itself: a message that comes twice at once is decided by its claim."""
    store, caller, now_us = ctx.store, ctx.caller, ctx.store.clock.now_us()
    told, raw = envelope(bundle), write_json(bundle)
    peer = client_peer(caller.client_id, caller.organization) if caller.role is Role.HOSPITAL else None
    config, unproven = await Senders(store).notifying(told.sender, peer)
    letter = Letter(
        id=store.next_id(now_us),
        raw=raw,
        sender=told.sender,
        config=config,
        unproven=unproven,
        unreadable="",
        control_id=told.control_id,
        event=told.event,
        digest=sha256(raw).hexdigest(),
        stay=told.stay.encode(),
        answer=None,
        received_us=now_us,
        started=time.perf_counter(),
    )
    actor = caller.person or caller.client_id
    row = AuditRow(
        "E",
        "process-message",
        0,
        actor,
        caller.organization,
        "$process-message",
        request_id=REQUEST_ID.get(),
        purpose=caller.purpose,
    )
    await keep(store, letter, row)
    return Decision(Change(), fixed(Answer(202, write_json(_RECEIVED))), durable=True)
