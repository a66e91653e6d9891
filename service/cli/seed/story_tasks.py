"""Tasks of the told stories that are no referral: the plan's decision on Community Supports, a step, a promise kept.

https://hl7.org/fhir/R4/task.html; their focus is a CarePlan or a Communication, so that the rules of referrals
(service/workflow/referrals.py) leave them alone.
"""

from collections.abc import Sequence

from fhir_profiles import Resource
from service.cli.seed.parts import BASE, Days, filled, note, own, ref
from service.cli.seed.people import Member

When = tuple[int, str]
"""(days ago, clock)"""


def task(
    who: Member,
    days: Days,
    role: str,
    what: str,
    *,
    focus: str,
    asked: When,
    done: When,
    owner: Resource,
    began: When | None = None,
    **more: object,
) -> Resource:
    """A Task that was done, asked for by the ECM provider. what: its code in words. more: further elements."""
    return filled(
        resourceType="Task",
        id=who.id(role),
        status="completed",
        intent="order",
        code={"text": what},
        focus=ref(focus),
        **{"for": ref(who.reference, who.name)},
        executionPeriod={"start": days.at(*(began or asked)), "end": days.at(*done)},
        authoredOn=days.at(*asked),
        lastModified=days.at(*done),
        requester=ref(who.ecm.reference, who.ecm.name),
        owner=owner,
        **more,
    )


def authorization(who: Member, days: Days, roles: Sequence[str], *, asked: When, decided: When, until: int) -> Resource:
    """The plan approves the Community Supports of these referrals: one number for all, from the day of the decision.

    until: days ago (negative: ahead) of its last day.
    """
    plan = ref(who.plan.reference, who.plan.name)
    number = {
        "system": f"{BASE}/NamingSystem/authorization-number-{who.plan.slug}",
        "value": f"CS-{who.row.plan_member_id}",
        "period": {"start": days.on(decided[0]), "end": days.on(until)},
        "assigner": plan,
    }
    requests = [f"ServiceRequest/{who.id(role, 'request')}" for role in roles]
    return task(
        *(who, days, "cs-authorization", "Authorize Community Supports"),
        focus=f"CarePlan/{who.id('care-plan')}",
        asked=asked,
        done=decided,
        owner=plan,
        businessStatus=own("authorization-outcome", "approved", "Approved"),
        note=[note("Approved as asked; the providers were told on the same day.", days.at(*decided), plan)],
        input=[{"type": {"text": "Community Support"}, "valueReference": ref(one)} for one in requests],
        output=[{"type": {"text": "Authorization"}, "valueIdentifier": number}],
    )
