"""Who may add members to a CareTeam that a Consent names as recipient: its author, who alone answers for it.

A team is shared, and whoever has the member may add others to it. Once a Consent opens data to the team, that would be
a way to open labelled data to oneself.
"""

from service.access.panels import panel_rows
from service.errors import Category, FhirError, Issue
from service.search.values import patient_of
from service.store import clearance, read
from service.store.change import PanelRow
from service.workflow.steps import Step

_NAMED = (
    "A Consent of the member opens data to this CareTeam: only the organization that wrote the team adds members to "
    "it, or makes them members for longer."
)


async def check_members(step: Step) -> None:
    """Before an update: 403 where another than the author adds members to a team that a Consent names."""
    ctx = step.ctx
    patient = patient_of(step.new, "CareTeam", ctx.settings.base_url)
    if ctx.restriction.unrestricted or step.old is None or patient is None:
        return
    team = ctx.store.keys.resource(f"CareTeam/{step.new['id']}")
    if await read.source_org(ctx.store, team) == ctx.organization_key:
        return
    was, now = (
        panel_rows(one, patient, ctx.store.keys, ctx.now_us, ctx.settings.base_url) for one in (step.old, step.new)
    )
    if all(_held(row, was) for row in now):
        return
    if await clearance.opens_to(ctx.store, ctx.store.keys.resource(patient), team):
        raise FhirError(Category.FORBIDDEN, [Issue(_NAMED, "CareTeam.participant", "forbidden")], reason="consent-team")


def _held(row: PanelRow, former: tuple[PanelRow, ...]) -> bool:
    return any(
        had.subject == row.subject and had.start_us <= row.start_us and had.end_us >= row.end_us for had in former
    )
