"""A member's accounting of disclosures, for the lead care manager in whose panel the member is; also as CSV.

The same question, the same rights and the same audit row as of $disclosures (service/operations/disclosures.py).
"""

from starlette.requests import Request
from starlette.responses import Response

from service.access.context import Context
from service.clock import instant
from service.interactions.decision import Answer, Decision, fixed
from service.operations.disclosures import Wanted, accounting, recorded
from service.store.change import Change
from service.web.alert_card import moment
from service.web.navigation import nav
from service.web.pages import settled
from service.web.rendering import render
from service.web.sees import named
from service.web.session import SignedIn, require_person, shared_of
from service.workflow.disclosures import Accounting, to_csv

MOST = 500
"""Rows of the page; the CSV holds up to MOST_CSV."""
MOST_CSV = 20_000


async def show(request: Request) -> Response:
    who = await require_person(request)
    found = await _asked(request, who, MOST)
    zone = shared_of(request).settings.time_zone
    rows = [(moment(instant(one.at_us), zone), one) for one in found.disclosures]
    return render(
        "disclosures.html",
        rows=rows,
        found=found,
        csrf=who.session.csrf,
        name=await named(who),
        address=f"/members/{request.path_params['id']}/disclosures.csv",
        nav=nav(shared_of(request), ""),
    )


async def as_csv(request: Request) -> Response:
    who = await require_person(request)
    found = await _asked(request, who, MOST_CSV)
    headers = {"Content-Disposition": 'attachment; filename="disclosures.csv"', "Cache-Control": "no-store"}
    return Response(to_csv(found.disclosures), media_type="text/csv; charset=utf-8", headers=headers)


async def _asked(request: Request, who: SignedIn, most: int) -> Accounting:
    """Answered once its audit row is durable."""
    held: list[Accounting] = []

    async def decide(ctx: Context) -> Decision:
        held[:] = [await accounting(ctx, request.path_params["id"], Wanted(), most)]
        return Decision(Change(audit=[recorded(ctx, held[0].patient)]), fixed(Answer(200)))

    await settled(who, decide)
    return held[0]
