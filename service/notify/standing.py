"""What the service itself says of a Subscription, in a new version of it: active after the handshake, error, off.

http://hl7.org/fhir/uv/subscriptions-backport/workflow.html; what the client may say: subscription_status.py. Relies on
the version that was read: a client that writes at the same moment wins, and all is decided again.
"""

from service.access.context import Context, Settings, parse
from service.caller import system_caller
from service.notify.model import NEVER_US, State
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.change import Change
from service.store.deliveries import unanchored
from service.store.engine import Store
from service.store.subscriptions import changed

MOST_WORDS = 400
AUDITED = {"active": "subscription-active", "error": "subscription-error", "off": "subscription-off"}
"""Status that the service sets -> kind of its audit row."""


async def moved(store: Store, state: State, behaviour: Settings, now_us: int, status: str, words: str = "") -> Change:
    """The Change: the resource (its author stays), the row, an audit row. Nothing where the resource is gone.

    words: why, for Subscription.error; they name no address and no person.
    """
    ctx = Context(store, system_caller(), now_us, behaviour, request_id=state.reference)
    found = await read.head(store, "Subscription", state.fhir_id, EVERYTHING)
    if found is None or found.deleted:
        return Change()
    resource = parse(found.body)
    resource["status"] = status
    resource.pop("error", None)
    if words:
        resource["error"] = words[:MOST_WORDS]
    columns: dict[str, object] = {"status": status, "error": words[:MOST_WORDS], "failures": 0, "failing_since_us": 0}
    if status != "active":
        # In error what waits is still numbered; it goes out when the client has reactivated the subscription.
        columns |= {"due_us": now_us if status == "error" else NEVER_US, "lease_until_us": 0}
    return Change(
        writes=[ctx.write(resource, found.version, source_org=found.source_org)],
        statements=[changed(state.key, **columns), *([unanchored(state.key)] if status == "off" else [])],
        audit=[ctx.audit("U", AUDITED[status], state.reference, reason=words[:MOST_WORDS])],
    )
