"""THE table of workflow: (interaction, type) -> functions before and after the write of a resource.

before: may refuse (FhirError) or complete `step.new`. after: may add writes and jobs to `step.change`.
Both serve REST, pages, plan files and messages alike.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fhir_profiles import Resource
from service.access.context import Context
from service.store.change import Change


@dataclass
class Step:
    """One write on its way: `old` is None for a create."""

    ctx: Context
    interaction: str
    new: Resource
    old: Resource | None
    change: Change


StepFunction = Callable[[Step], Awaitable[None]]


def _table() -> dict[tuple[str, str], tuple[tuple[StepFunction, ...], tuple[StepFunction, ...]]]:
    from service.workflow import (
        alert_catch_up,
        alerts,
        care_teams,
        consents,
        emergency_reviews,
        follow_ups,
        partner_hooks,
        referral_clocks,
        referral_coupling,
        referral_facts,
        referral_requests,
        referrals,
        rematching,
        reply_links,
        subscriptions,
        tcs_definition,
        timers,
        transitional_care,
    )

    return {
        ("create", "Patient"): ((), (rematching.roster_changed,)),
        ("update", "Patient"): ((), (rematching.roster_changed, transitional_care.member_changed)),
        ("create", "ServiceRequest"): ((referral_requests.check_request,), (referral_facts.recorded,)),
        ("update", "ServiceRequest"): (
            (referral_requests.check_request_update,),
            (referral_facts.recorded, referral_coupling.request_moved),
        ),
        ("create", "Task"): (
            (referral_clocks.keep_overdue, referrals.check_new_task),
            (
                referral_facts.recorded,
                referral_clocks.moved,
                follow_ups.changed,
                reply_links.task_changed,
                partner_hooks.task_changed,
            ),
        ),
        ("update", "Task"): (
            (
                emergency_reviews.check_untouched,
                referral_clocks.keep_overdue,
                referrals.check_transition,
                follow_ups.check_answers,
            ),
            (
                timers.observed,
                transitional_care.task_changed,
                referral_facts.recorded,
                referral_clocks.moved,
                follow_ups.changed,
                reply_links.task_changed,
                partner_hooks.task_changed,
            ),
        ),
        ("update", "Communication"): ((alerts.check_acknowledge,), (alerts.acknowledged, timers.observed)),
        ("delete", "Task"): ((emergency_reviews.check_untouched, referrals.check_task_deletion, timers.observed), ()),
        ("create", "CareTeam"): ((), (transitional_care.member_changed,)),
        ("update", "CareTeam"): ((care_teams.check_members,), (transitional_care.member_changed,)),
        ("create", "EpisodeOfCare"): ((), (alert_catch_up.assigned, transitional_care.member_changed)),
        ("update", "EpisodeOfCare"): ((), (alert_catch_up.assigned, transitional_care.member_changed)),
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
