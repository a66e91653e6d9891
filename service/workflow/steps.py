"""THE table of workflow: (interaction, type) -> functions before and after the write of a resource.

before: may refuse (FhirError) or complete `step.new`. after: may add writes and jobs to `step.change`.
Both serve REST, pages, plan files and messages alike.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.change import Change


@dataclass
class Step:
    """One write on its way: `old` is None for a create."""

    ctx: Context
    interaction: str
    new: Resource
    old: Resource | None
    change: Change
    found: dict[str, Resource | None] = field(default_factory=dict)
    """What stored() has read, so that all functions of a write read a resource once."""

    async def stored(self, reference: str) -> Resource | None:
        """A resource as it will stand, whatever the caller may see: it decides, and is not shown."""
        if (own := self.ctx.pending.get(reference)) is not None:
            return own.resource
        if reference not in self.found:
            rtype, _, fhir_id = reference.partition("/")
            named = bool(fhir_id) and "/" not in fhir_id
            one = await read.head(self.ctx.store, rtype, fhir_id, EVERYTHING) if named else None
            self.found[reference] = None if one is None or one.deleted else parse(one.body)
        return self.found[reference]


StepFunction = Callable[[Step], Awaitable[None]]


def _table() -> dict[tuple[str, str], tuple[tuple[StepFunction, ...], tuple[StepFunction, ...]]]:
    from service.workflow import (
        alert_catch_up,
        alerts,
        calaim_authorizations,
        calaim_overlap,
        calaim_reroute,
        care_plan_outcomes,
        care_teams,
        chain_followed,
        closed_loop,
        consents,
        emergency_reviews,
        follow_ups,
        measure_definitions,
        partner_arrivals,
        partner_hooks,
        referral_chains,
        referral_clocks,
        referral_coupling,
        referral_facts,
        referral_notices,
        referral_outputs,
        referral_requests,
        referrals,
        rematching,
        reply_links,
        subscriptions,
        tcs_definition,
        timers,
        transitional_care,
        unmet_needs,
        warm_handoff,
    )

    return {
        ("create", "Patient"): ((), (rematching.roster_changed,)),
        ("update", "Patient"): ((), (rematching.roster_changed, transitional_care.member_changed)),
        ("create", "ServiceRequest"): (
            (referral_requests.check_request,),
            (referral_facts.recorded, calaim_overlap.watched),
        ),
        ("update", "ServiceRequest"): (
            (referral_requests.check_request_update,),
            (
                referral_facts.recorded,
                referral_coupling.request_moved,
                chain_followed.moved,
                calaim_reroute.request_ended,
                calaim_overlap.watched,
            ),
        ),
        ("create", "Task"): (
            (
                partner_arrivals.arriving,
                referral_clocks.keep_overdue,
                referrals.check_new_task,
                referral_chains.check_new,
                calaim_authorizations.check,
                closed_loop.completed,
            ),
            (
                unmet_needs.task_opened,
                referral_facts.recorded,
                referral_chains.moved,
                referral_clocks.moved,
                follow_ups.changed,
                referral_notices.moved,
                care_plan_outcomes.moved,
                reply_links.task_changed,
                partner_hooks.task_changed,
                calaim_authorizations.followed,
            ),
        ),
        ("update", "Task"): (
            (
                emergency_reviews.check_untouched,
                partner_arrivals.check_waiting,
                partner_arrivals.say_what_was_done,
                referral_outputs.keep,
                referral_clocks.keep_overdue,
                referrals.check_transition,
                referral_chains.check_update,
                calaim_authorizations.check,
                closed_loop.completed,
                follow_ups.check_answers,
                warm_handoff.check_done,
            ),
            (
                timers.observed,
                transitional_care.task_changed,
                referral_coupling.task_moved,
                referral_facts.recorded,
                referral_chains.moved,
                referral_clocks.moved,
                follow_ups.changed,
                referral_notices.moved,
                care_plan_outcomes.moved,
                reply_links.task_changed,
                partner_hooks.task_changed,
                calaim_authorizations.followed,
            ),
        ),
        ("update", "Communication"): ((alerts.check_acknowledge,), (alerts.acknowledged, timers.observed)),
        ("delete", "Task"): ((emergency_reviews.check_untouched, referrals.check_task_deletion, timers.observed), ()),
        ("create", "CareTeam"): ((), (transitional_care.member_changed,)),
        ("update", "CareTeam"): ((care_teams.check_members,), (transitional_care.member_changed,)),
        ("create", "EpisodeOfCare"): (
            (),
            (alert_catch_up.assigned, transitional_care.member_changed, calaim_overlap.watched),
        ),
        ("update", "EpisodeOfCare"): (
            (),
            (alert_catch_up.assigned, transitional_care.member_changed, calaim_overlap.watched),
        ),
        **{
            (interaction, rtype): ((), (calaim_overlap.watched, *more))
            for interaction in ("create", "update")
            for rtype, more in (("Observation", ()), ("Coverage", (transitional_care.cover_changed,)))
        },
        ("create", "Measure"): ((measure_definitions.check_fixed,), ()),
        ("update", "Measure"): ((measure_definitions.check_fixed,), ()),
        ("delete", "Measure"): ((measure_definitions.check_fixed,), ()),
        ("update", "PlanDefinition"): ((tcs_definition.check_definition,), ()),
        ("create", "Consent"): ((consents.check_party,), (consents.written,)),
        ("update", "Consent"): ((consents.check_party,), (consents.written,)),
        ("delete", "Consent"): ((consents.check_party, consents.deleted), ()),
        ("create", "Subscription"): ((subscriptions.created,), ()),
        ("update", "Subscription"): ((subscriptions.altered,), ()),
        ("delete", "Subscription"): ((subscriptions.ended,), ()),
    }


async def run_before(step: Step) -> None:
    for function in _steps(step)[0]:
        await function(step)


async def run_after(step: Step) -> None:
    for function in _steps(step)[1]:
        await function(step)


def _steps(step: Step) -> tuple[tuple[StepFunction, ...], tuple[StepFunction, ...]]:
    if not _TABLE:
        _TABLE.update(_table())
    return _TABLE.get((step.interaction, step.new["resourceType"]), ((), ()))


_TABLE: dict[tuple[str, str], tuple[tuple[StepFunction, ...], tuple[StepFunction, ...]]] = {}
