"""`enlace partners`: the FHIR servers of other organizations over which referrals go. docs/partners.md"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import operator
from service.cli.acts import act
from service.cli.client import Json
from service.cli.listing import table
from service.cli.partner_words import of_notices, sentence
from service.clock import instant

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.change import AuditRow
    from service.store.engine import Store
    from service.store.partner_notices import Notices
    from service.store.partners import Partner

STATES = ("to-send", "sent", "refused", "failed", "closed", "to-fetch", "fetched")
Name = Annotated[str, typer.Argument(help="From `enlace partners list`.")]
app = typer.Typer(
    no_args_is_help=True, help="Servers of other organizations for referrals: add, list, show, try again."
)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Such as food-bank; the same name again describes it anew.")],
    organization: Annotated[str, typer.Option(help="Its Organization here.")],
    base_url: Annotated[str, typer.Option(help="Its FHIR base, https.")],
    direction: Annotated[str, typer.Option(help="push: we refer to it; pull: it refers to us; both.")] = "push",
    client_id: Annotated[str, typer.Option(help="Under which it has registered us.")] = "",
    token_url: Annotated[str, typer.Option(help="Its token endpoint; none: it asks for no token.")] = "",
    notices: Annotated[
        str, typer.Option(help="auto: it is asked to tell of changes, if it can; poll: it is only asked.")
    ] = "auto",
    scope: Annotated[str, typer.Option(help="Scopes to ask for.")] = "system/Task.cruds system/Procedure.rs",
    every: Annotated[int, typer.Option(help="Minutes between looks at what became of referrals, 15 to 60.")] = 60,
    owner_there: Annotated[str, typer.Option(help="Task.owner of what we send, as its server knows it.")] = "",
) -> None:
    """Describe a partner's server. It must know our keys: our key set is at /auth/jwks.

    Example: enlace partners add food-bank --organization Organization/food-bank --base-url https://fhir.food-bank.example/r4
    """
    from service.store.partners import Partner

    one = Partner(
        name=name, organization=organization, base_url=base_url, client_id=client_id, token_url=token_url,
        scopes=scope, direction=direction, every_s=every * 60, owner_there=owner_there,
        notices=notices,
    )  # fmt: skip

    async def work(store: "Store", settings: "Settings") -> list[str]:
        from service.store import partners
        from service.workflow.partner_rules import BadPartner, check

        try:
            await check(store, one, f"{settings.base_url}/fhir", settings.egress_allow)
        except BadPartner as error:
            return list(error.problems)
        await _commit(store, act("partner-add", f"partner/{name}", action="C"), partners.put(one))
        return []

    problems = operator.run(work)
    if problems:
        typer.echo("\n".join(problems), err=True)
        raise typer.Exit(1)
    typer.echo(f"{name} is known: try it with `enlace partners test {name}`.")


@app.command("list")
def list_partners(as_json: Json = False) -> None:
    """List the partners: how they stand, and how many referrals wait, are there, or need somebody.

    Example: enlace partners list
    """

    async def work(store: "Store", _settings: "Settings") -> list[dict[str, Any]]:
        from service.store import partner_notices, partners

        counts, told = await partners.counts(store), await partner_notices.of_all(store)
        found = await partners.partners(store)
        return [_described(one, counts.get(one.name, {}), told.get(one.name)) for one in found]

    rows = operator.run(work)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    heading = ("NAME", "ORGANIZATION", "DIRECTION", "STATE", "NOTICES", "WAITING", "THERE", "FOR A PERSON",
               "LAST ANSWER", "ERROR")  # fmt: skip
    names = ("name", "organization", "direction", "state", "told", "waiting", "there", "for_a_person", "last_answer",
             "error")  # fmt: skip
    cells = [tuple(str({**row, "told": row["notices"]["status"]}[name]) or "-" for name in names) for row in rows]
    typer.echo(table(heading, cells) if rows else "No partners.")


def _described(one: "Partner", counts: dict[str, int], told: "Notices | None") -> dict[str, Any]:
    return {
        "name": one.name,
        "organization": one.organization,
        "base_url": one.base_url,
        "direction": one.direction,
        "state": one.state,
        "waiting": counts.get("to-send", 0) + counts.get("to-fetch", 0),
        "there": counts.get("sent", 0),
        "for_a_person": counts.get("refused", 0) + counts.get("failed", 0),
        "last_answer": instant(one.last_us) if one.last_us else "",
        "failing_since": instant(one.failing_since_us) if one.failing_since_us else "",
        "error": one.error,
        "notices": of_notices(one, told),
    }


@app.command("show")
def show(
    name: Name,
    state: Annotated[str, typer.Option(help=f"Only those that are {', '.join(STATES)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show whether a partner's server tells us of changes, and the referrals with it, those that need somebody first.

    Example: enlace partners show food-bank --state refused
    """
    if state and state not in STATES:
        typer.echo(f"--state is one of {', '.join(STATES)}.", err=True)
        raise typer.Exit(2)

    async def work(store: "Store", _settings: "Settings") -> tuple[str, list[dict[str, Any]]] | None:
        from service.store import partner_notices, partners

        known = await partners.partner(store, name)
        if known is None:
            return None
        told = sentence(known, await partner_notices.of_partner(store, name))
        return told, [
            {
                "task": f"Task/{one.task}",
                "way": one.way,
                "there": one.remote,
                "state": one.state,
                "status_there": one.remote_status,
                "tries": one.tries,
                "next": instant(one.due_us) if one.due_us else "",
                "error": one.error,
            }
            for one in await partners.listed(store, name, state, limit)
        ]

    told, rows = _known(name, operator.run(work))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if told:
        typer.echo(told)
    heading = ("TASK", "WAY", "THERE", "STATE", "STATUS THERE", "TRIES", "NEXT TRY", "ERROR")
    cells = [tuple(str(value) or "-" for value in row.values()) for row in rows]
    typer.echo(table(heading, cells) if rows else "No referrals.")


def _known(name: str, found: "Any") -> "Any":
    if found is None:
        typer.echo(f"There is no partner {name}: see `enlace partners list`.", err=True)
        raise typer.Exit(1)
    return found


@app.command("pause")
def pause(name: Name) -> None:
    """Send nothing to a partner and ask nothing of it until it is resumed; referrals wait.

    Example: enlace partners pause food-bank
    """
    _set(name, "paused")
    typer.echo(f"{name} is paused: what is for it waits.")


@app.command("resume")
def resume(name: Name) -> None:
    """Go on with a partner, at once.

    Example: enlace partners resume food-bank
    """
    _set(name, "active")
    typer.echo(f"{name} is active.")


@app.command("retry")
def retry(
    name: Name,
    task: Annotated[str, typer.Option(help="This referral only: the id of its Task.")] = "",
) -> None:
    """Try again now what was refused or failed, and look what became of the rest.

    Example: enlace partners retry food-bank
    """
    from service.store import partners

    _set(name, "active", partners.again(name, task.removeprefix("Task/")))
    typer.echo(f"{name} is tried again now.")


def _set(name: str, state: str, *more: Any) -> None:
    async def work(store: "Store", _settings: "Settings") -> bool | None:
        from service.store import partners

        if await partners.partner(store, name) is None:
            return None
        audit = act("partner-state", f"partner/{name}", action="U")
        await _commit(store, audit, partners.stands(name, state), *more)
        return True

    _known(name, operator.run(work))


async def _commit(store: "Store", audit: "AuditRow", *statements: Any) -> None:
    from service.store.change import Change

    await store.commit(Change(statements=list(statements), audit=[audit]))


@app.command("test")
def test(name: Name) -> None:
    """Sign in at a partner's server and read what it says it can do; nothing is sent.

    Example: enlace partners test food-bank
    """

    async def work(store: "Store", settings: "Settings") -> tuple[bool, str] | None:
        from service.auth.signing_keys import KeysRefused, SigningKeys
        from service.notify.channels.table import egress_of
        from service.store import partners
        from service.workflow.partner_client import Exchange, Server, Sessions, task_served
        from service.workflow.partner_notice_shapes import subscriptions

        one = await partners.partner(store, name)
        if one is None:
            return None
        egress = egress_of(settings)
        try:
            server = Server(store, one, Sessions(egress, SigningKeys(settings.secret_key())))
            statement = (await server.get("metadata")).resource
            told = subscriptions(statement, one, settings.base_url)
            more = "It can be asked to tell of changes." if told else "It does not tell of changes: it is asked."
            return True, f"{task_served(statement)} {more}"
        except Exchange as error:
            keys = f"It must know our keys: {settings.base_url}/auth/jwks."
            return False, f"{name} cannot be used: {error.reason}. {keys}"
        except KeysRefused as error:
            return False, str(error)
        finally:
            await egress.close()

    good, words = _known(name, operator.run(work))
    typer.echo(words, err=not good)
    if not good:
        raise typer.Exit(1)
