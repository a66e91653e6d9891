"""`enlace links`: by which organizations without software answer referrals: list, make, end. docs/reply-links.md"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import operator
from service.cli.client import Json
from service.cli.listing import table
from service.clock import instant

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store

STATES = ("open", "used", "revoked")
app = typer.Typer(no_args_is_help=True, help="Reply links of organizations without software: list, make, revoke.")
Task = Annotated[str, typer.Argument(metavar="TASK", help="The referral: id of its Task.")]
Whose = Annotated[str, typer.Option(help="Organization/ID, where a referral has several candidates.")]


@app.command("list")
def list_links(
    task: Annotated[str, typer.Option(help="Only those of this referral: id of its Task.")] = "",
    state: Annotated[str, typer.Option(help=f"One of {', '.join(STATES)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List links, newest first: for which referral and organization, how they are told, whether they were used.

    The link itself is not shown: make a new one.

    Example: enlace links list --state open
    """
    if state and state not in STATES:
        typer.echo(f"--state is one of {', '.join(STATES)}.", err=True)
        raise typer.Exit(2)

    async def work(store: "Store", _settings: "Settings") -> list[dict[str, Any]]:
        from service.cli.acts import act, recorded
        from service.store import reply_links

        found = await reply_links.listed(store, task=task.removeprefix("Task/"), state=state, limit=limit)
        await recorded(store, act("reply-link", f"Task/{task.removeprefix('Task/')}" if task else ""))
        now_us = store.clock.now_us()
        return [
            {
                "task": one.task,
                "organization": one.organization,
                "by": one.channel,
                "state": "ended" if one.state in reply_links.LIVE and one.expires_us <= now_us else one.state,
                "made": instant(one.made_us),
                "used": instant(one.used_us) if one.used_us is not None else "",
                "wrong codes": one.tries,
            }
            for one in found
        ]

    rows = operator.run(work)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    heading = ("TASK", "ORGANIZATION", "BY", "STATE", "MADE", "USED", "WRONG CODES")
    typer.echo(table(heading, [tuple(str(v) for v in row.values()) for row in rows]) if rows else "No links.")


@app.command("make")
def make(task: Task, organization: Whose = "", as_json: Json = False) -> None:
    """Make a new link in place of the former one and send it to the organization's listed contact.

    It prints the address, to read it out on the telephone; the one-time code goes to the listed contact all the same.

    Example: enlace links make 5d1f...
    """

    async def work(store: "Store", settings: "Settings") -> dict[str, str] | str:
        from service.store.change import Change, Stale
        from service.workflow import reply_links

        ctx, change = operator.context(store, settings), Change()
        try:
            link = await reply_links.make(ctx, change, task.removeprefix("Task/"), organization, most=None)
            await store.commit(change)
        except reply_links.NotMade as why:
            return str(why)
        except Stale:
            return "Somebody moved the referral, or made a link for it, at this moment: look at it, and try again."
        return {"link": reply_links.address(ctx, link), "organization": link.organization, "by": link.channel}

    _say(operator.run(work), as_json, "{link}\nIt is sent to {organization} by {by} as well.")


@app.command("revoke")
def revoke(task: Task, organization: Whose = "", as_json: Json = False) -> None:
    """End the links of a referral at once: nobody opens it by them any more.

    Example: enlace links revoke 5d1f...
    """

    async def work(store: "Store", settings: "Settings") -> dict[str, str] | str:
        from service.store import reply_links as stored
        from service.store.change import Change
        from service.workflow import reply_links
        from service.workflow.parties import reference_of

        fhir_id, ctx, change = task.removeprefix("Task/"), operator.context(store, settings), Change()
        live = [one for one in await stored.of_task(store, fhir_id) if one.state in stored.LIVE]
        whose = {one.organization for one in live if organization in ("", one.organization)}
        if not whose:
            return "There is no link to end: see `enlace links list`."
        found = await ctx.resource(f"Task/{fhir_id}")
        patient = reference_of(found[0], "for") if found else ""
        for one in sorted(whose):
            reply_links.unmake(ctx, change, fhir_id, one, patient)
        await store.commit(change)
        return {"ended": ", ".join(sorted(whose))}

    _say(operator.run(work), as_json, "The link of {ended} has ended.")


def _say(found: dict[str, str] | str, as_json: bool, sentence: str) -> None:
    if isinstance(found, str):
        typer.echo(found, err=True)
        raise typer.Exit(1)
    typer.echo(json.dumps(found) if as_json else sentence.format(**found))
