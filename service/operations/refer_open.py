"""Referrals of a request that are open when $refer is asked: the same question is answered by them, another is refused.

What goes to one party only is not to wait with two: ../shared/facts/closed-loop.md 1.3 (a new Task after the one before
has ended). Several at once are asked for as several, in one call ($refer) or by Tasks of the requester's own (POST).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from service.access import tripwire
from service.access.context import Context, parse
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.store import tasks
from service.store.read import Found
from service.workflow.parties import acts_for, organization_of, reference_of
from service.workflow.referral_law import OPEN

_WAITS = (
    "This request was referred already, by {names}, which is open. Wait for its outcome, or cancel it and refer "
    "anew; who has it can hand it on ($forward). Several at once: name them all in one call."
)
_DRAFTED = "{name} has this request already, by the draft {names}: send that (status requested), or delete it."
_NOT_YOURS = (
    "Only the requester of a ServiceRequest refers it: forward the Task that you own ($forward), or create a "
    "ServiceRequest of your own, basedOn this one."
)


class Asked(Protocol):
    """name: which parameter it is, for sentences. service: the HealthcareService that was named, or ""."""

    @property
    def name(self) -> str: ...
    @property
    def organization(self) -> str: ...
    @property
    def service(self) -> str: ...


P = TypeVar("P", bound=Asked)


@dataclass(frozen=True)
class OpenOne:
    """owner: its organization, "" of one that is open to candidates. offered: those. services: that were named.
    found: None where the caller may not see the Task."""

    reference: str
    status: str
    owner: str
    offered: frozenset[str]
    services: frozenset[str]
    found: Found | None

    def is_for(self, party: Asked) -> bool:
        """Sent to this party; of two services of one organization each has its own."""
        fits = not party.service or not self.services or party.service in self.services
        return bool(self.owner) and self.owner == party.organization and fits

    @property
    def name(self) -> str:
        return self.reference if self.found is not None else "a Task that you may not see"


async def open_ones(ctx: Context, request: str) -> list[OpenOne]:
    """Tasks about the request that are open, or a draft, in a fixed order."""
    made = []
    for _, body in await tasks.focused(ctx.store, request):
        task = parse(body)
        if task.get("status") not in (*OPEN, "draft"):
            continue
        owner, reference = await organization_of(ctx, reference_of(task, "owner")), f"Task/{task['id']}"
        offered = _relative(ctx, (task.get("restriction") or {}).get("recipient") or ())
        named = [one["valueReference"] for one in task.get("input") or () if one.get("valueReference")]
        services = frozenset(one for one in _relative(ctx, named) if one.startswith("HealthcareService/"))
        made.append(OpenOne(reference, str(task["status"]), owner, offered, services, await ctx.head(reference)))
    return made


def _relative(ctx: Context, references: Sequence[Any]) -> frozenset[str]:
    written = [str(one.get("reference")) for one in references]
    return frozenset(normal_reference(one, ctx.settings.base_url) or one for one in written)


async def check_own(ctx: Context, request: Found) -> None:
    """403 for who does not refer it: what is open is told to its requester only."""
    if ctx.restriction.unrestricted or await acts_for(ctx, reference_of(parse(request.body), "requester")):
        return
    if request.source_org not in ctx.restriction.own:
        raise FhirError(Category.FORBIDDEN, [Issue(_NOT_YOURS, "Task.focus", "forbidden")], reason="party")


async def answering(
    ctx: Context, waiting: Sequence[OpenOne], asked: Sequence[P], *, offer: bool
) -> tuple[list[Found], list[P]]:
    """(the open Tasks that are what is asked for, whom none of them is for: for those one is to be opened)

    offer: they are candidates of one open Task. Raises RULE where another is open, and one Task alone is asked.
    """
    issues = [
        Issue(_DRAFTED.format(name=party.name, names=one.name), "ServiceRequest", "duplicate")
        for party in asked
        for one in waiting
        if one.status == "draft" and not offer and one.is_for(party)
    ]
    sent = [one for one in waiting if one.status != "draft"]
    if offer:
        offered = frozenset(party.organization for party in asked)
        same = [one for one in sent if not one.owner and one.offered == offered]
    else:
        same = [one for one in sent if any(one.is_for(party) for party in asked)]
    hidden = any(one.found is None for one in same)
    if not issues and sent and (hidden or (not same and (offer or len(asked) == 1))):
        names = ", ".join(dict.fromkeys(one.name for one in sent))
        issues.append(Issue(_WAITS.format(names=names), "ServiceRequest", "duplicate"))
    if issues:
        raise FhirError(Category.RULE, issues, reason="refer")
    shown = [one.found for one in same if one.found is not None]
    await tripwire.check_found(ctx, shown)
    new = [] if offer and same else [party for party in asked if offer or not any(one.is_for(party) for one in same)]
    return shown, new
