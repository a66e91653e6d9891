"""Whose Subscription an operation may work on: its own organization's, and the operator; for all others it is absent.

The SQL says so (See.OWN in service/access/roles.py), for one and for the list of them.
"""

from dataclasses import dataclass

from service.access.context import Context
from service.access.roles import check_scope, check_write
from service.caller import Role
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.read import gone
from service.notify.model import Spec, State, spec_of
from service.search.syntax import shown
from service.store import read as store_read
from service.store import subscriptions
from service.store.change import AuditRow, Change
from service.store.read import Found

RTYPE = "Subscription"
_MAKER = "Only the client that made this Subscription steers its deliveries: make one of your own."


@dataclass(frozen=True)
class Asked:
    """The resource as it stands, and the service's own row of it."""

    found: Found
    state: State

    @property
    def spec(self) -> Spec:
        return spec_of(self.state.spec)

    def change(self, audit: AuditRow) -> Change:
        """Relies on the version read: nothing is done for a Subscription that was deleted or changed meanwhile."""
        return Change(relied={self.found.reference: self.found.version}, audit=[audit])


async def reading(ctx: Context, fhir_id: str) -> Asked:
    """404 for absent and foreign, 410 for deleted, as a read says it."""
    check_scope(ctx.caller, "r", RTYPE)
    return await _asked(ctx, fhir_id, "r")


async def changing(ctx: Context, fhir_id: str) -> Asked:
    """As `reading`; for the client that made it and for operators, as an update is."""
    check_scope(ctx.caller, "u", RTYPE)
    check_write(ctx.caller, RTYPE)
    asked = await _asked(ctx, fhir_id, "u")
    if ctx.caller.client_id != asked.state.client_id and ctx.caller.role not in (Role.ADMIN, Role.SYSTEM):
        raise FhirError(Category.FORBIDDEN, [Issue(_MAKER, RTYPE, "forbidden")], reason="subscription-client")
    return asked


async def _asked(ctx: Context, fhir_id: str, letter: str) -> Asked:
    found = await store_read.head(ctx.store, RTYPE, fhir_id, ctx.scoped(letter))
    if found is None:
        raise not_found(RTYPE, fhir_id)
    if found.deleted:
        raise gone(found)
    state = await subscriptions.get(ctx.store, found.key)
    if state is None:
        raise not_found(RTYPE, fhir_id)
    return Asked(found, state)


def require_active(state: State, what: str) -> None:
    """422 where nothing would be sent."""
    if state.status == "active":
        return
    way = {
        "requested": "wait for its handshake",
        "error": "see $deliveries why, then write it again with status requested",
    }.get(state.status, "write it again with status requested")
    text = f"{what} needs a Subscription that is active; this one is {state.status}: {way}."
    raise FhirError(Category.RULE, [Issue(text, "Subscription.status", "business-rule")], reason="subscription-status")


def whole(name: str, text: str, issues: list[Issue], *, least: int = 1) -> int:
    """A whole number of a parameter; 0 and an issue where it is none."""
    if text.isascii() and text.isdigit() and len(text) <= 15 and int(text) >= least:
        return int(text)
    issues.append(Issue(f"Parameter {shown(name)} takes a whole number from {least}.", code="value"))
    return 0
