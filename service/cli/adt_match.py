"""`enlace adt match`: stays of which a person must say whose they are: list, look side by side, decide, agree."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.cli.listing import table
from service.clock import instant
from service.store import reviews

if TYPE_CHECKING:
    from service.access.context import Context
    from service.store.change import Change
    from service.store.engine import Store

app = typer.Typer(no_args_is_help=True, help="Whose stay is it: list what waits, look, link, nobody, unlink, agree.")

Target = Annotated[str, typer.Argument(metavar="REVIEW", help="Number of a review, or the id of a stay (stay-...).")]
By = Annotated[str, typer.Option("--by", help="Who decides: name or login, for the audit.")]
Note = Annotated[str, typer.Option(help="Why, for the next who looks. No personal data.")]
TRIES = 5


@app.command("list")
def list_reviews(
    state: Annotated[str, typer.Option(help=f"One of: {', '.join(reviews.STATES)}.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: Json = False,
) -> None:
    """List reviews, those that are due first. Without a value of any message.

    Example: enlace adt match list
    """
    if state not in reviews.STATES:
        typer.echo(f"--state is one of: {', '.join(reviews.STATES)}.", err=True)
        raise typer.Exit(2)
    found = with_store(lambda store, _settings: reviews.listed(store, state, limit))
    if as_json:
        typer.echo(json.dumps([_facts(one) for one in found]))
        return
    rows = [
        (str(one.id), f"{instant(one.due_us)[:16]}Z", one.source, one.reason, _best(one), _proposed(one), one.stay)
        for one in found
    ]
    heading = ("REVIEW", "DUE", "SOURCE", "REASON", "LIKELIEST", "PROPOSED", "STAY")
    typer.echo(table(heading, rows) if rows else "No reviews.")


@app.command("show")
def show(target: Target, as_json: Json = False) -> None:
    """Look at a review: what the messages say, beside each member who might be meant (personal data!).

    Example: enlace adt match show 1234
    """

    async def run(ctx: "Context") -> dict[str, Any] | None:
        from service.cli.acts import act, recorded
        from service.workflow.match_comparison import compared

        review = await _review(ctx.store, target)
        if review is None:
            return None
        rows, people = await compared(ctx, review)
        await recorded(ctx.store, act("match-read", f"Encounter/{review.stay}", people, review=review.id))
        return _facts(review) | {"compared": rows}

    facts = _with_context(run)
    if facts is None:
        typer.echo(f"There is no review {target}: see `enlace adt match list`.", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    rows = facts.pop("compared")
    for name, value in facts.items():
        typer.echo(f"{name:<12}{_text(value)}".rstrip())
    if rows:
        typer.echo(table(tuple(rows[0]), [tuple(row.values()) for row in rows]))


@app.command("link")
def link(
    target: Target,
    patient: Annotated[str, typer.Argument(help="The member: Patient/ID.")],
    by: By,
    note: Note = "",
) -> None:
    """Say that a stay is this member's. On a conflict it is a proposal, to which another person agrees.

    Example: enlace adt match link 1234 Patient/0b6f --by "P. Officer"
    """
    _decide(target, "link", patient if "/" in patient else f"Patient/{patient}", by, note)


@app.command("nobody")
def nobody(target: Target, by: By, note: Note = "") -> None:
    """Say that a stay is no member's. A member who is added later may still be found.

    Example: enlace adt match nobody 1234 --by "P. Officer"
    """
    _decide(target, "nobody", "", by, note)


@app.command("unlink")
def unlink(
    target: Target,
    by: By,
    patient: Annotated[str, typer.Option(help="From whom: Patient/ID; without it whoever has the stay.")] = "",
    note: Note = "",
) -> None:
    """Say that a stay is not the member's who has it. Another person must agree; then its alerts are taken back.

    Example: enlace adt match unlink stay-abc234 --by "P. Officer"
    """
    _decide(target, "unlink", patient, by, note)


@app.command("second")
def second(target: Target, by: By) -> None:
    """Agree, as the second person, with what is proposed.

    Example: enlace adt match second 1234 --by "S. Visor"
    """

    async def work(ctx: "Context") -> "Change":
        from service.workflow import match_reviews

        review = await _review(ctx.store, target)
        if review is None:
            raise match_reviews.NotDecided(f"There is no review {target}: see `enlace adt match list`.")
        return await match_reviews.second(ctx, review.id, by)

    _settle(target, work)


def _decide(target: str, verdict: str, patient: str, by: str, note: str) -> None:
    async def work(ctx: "Context") -> "Change":
        from service.workflow import match_reviews

        if target.isdigit():
            return await match_reviews.decide(ctx, int(target), verdict, patient, by, note)
        return await match_reviews.decide_stay(ctx, target, verdict, patient, by, note)

    _settle(target, work)


def _settle(target: str, work: "Callable[[Context], Awaitable[Change]]") -> None:
    """Commits, anew where a message of the stay was applied meanwhile; a refusal is a sentence."""

    async def run(ctx: "Context") -> str:
        from service.store.change import Stale
        from service.workflow.match_reviews import NotDecided

        for _ in range(TRIES):
            try:
                await ctx.store.commit(await work(ctx))
                review = await _review(ctx.store, target)
                return "" if review is None else review.state
            except Stale:
                continue
            except NotDecided as error:
                typer.echo(str(error), err=True)
                raise typer.Exit(1) from None
        typer.echo("Messages of this stay keep coming: try again.", err=True)
        raise typer.Exit(1)

    state = _with_context(run)
    if state == "open":
        typer.echo(f"Proposed. Another person must agree: enlace adt match second {target} --by NAME")
    else:
        typer.echo(f"Decided: {state}.")


def _with_context(work: "Callable[[Context], Awaitable[Any]]") -> Any:
    async def run(store: "Store", settings: Any) -> Any:
        from service.cli.operator import context

        return await work(context(store, settings))

    return with_store(run)


async def _review(store: "Store", target: str) -> reviews.Review | None:
    """By number; of a stay the newest."""
    if target.isdigit():
        return await reviews.by_id(store, int(target))
    return next(iter(await reviews.of_stay(store, target)), None)


def _facts(one: reviews.Review) -> dict[str, Any]:
    return {
        "review": one.id,
        "stay": one.stay,
        "source": one.source,
        "message": one.inbox_id,
        "reason": one.reason,
        "state": one.state,
        "opened": instant(one.opened_us),
        "due": instant(one.due_us),
        "decided": instant(one.decided_us) if one.decided_us else None,
        "verdict": one.verdict,
        "patient": one.patient,
        "by": one.decided_by,
        "second": one.second_by,
        "note": one.note,
        "evidence": one.evidence,
    }


def _best(one: reviews.Review) -> str:
    found = one.evidence.get("candidates") or []
    return f"{found[0]['patient']} ({found[0]['score']:+.0f})" if found else ""


def _proposed(one: reviews.Review) -> str:
    return one.verdict if one.state == "open" else ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        told = [" ".join(value.get("words", ()))]
        told += [f"{c['patient']} {c['score']:+.1f} {' '.join(c['words'])}" for c in value.get("candidates", ())]
        return ("\n" + " " * 12).join(told)
    return "" if value is None else str(value)
