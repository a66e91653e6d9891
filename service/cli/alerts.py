"""`enlace alerts`: alerts to lead care managers, who has each, how far it went on, and when each person was told.

No text of an alert is shown: it names the member. The page and the API show it to those who may see it.
"""

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from service.cli.client import Json, with_store
from service.cli.listing import table
from service.store import alert_work, notices
from service.store.alert_work import Work
from service.store.notices import Notice

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store

app = typer.Typer(no_args_is_help=True, help="Alerts to lead care managers: list, show.")
STATES = ("open", "snoozed", "acknowledged", "ended")
LEVELS = ("lead care manager", "cover", "provider", "supervisor")
MOST = 1000


@app.command("list")
def list_alerts(
    state: Annotated[str, typer.Option(help=f"One of {', '.join(STATES)}.")] = "",
    patient: Annotated[str, typer.Option(help="Only about this member, such as Patient/123.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """List alerts that somebody has to answer, newest first.

    Example: enlace alerts list --state open
    """
    if state and state not in STATES:
        typer.echo(f"--state is one of {', '.join(STATES)}.", err=True)
        raise typer.Exit(2)

    async def work(store: "Store", settings: "Settings") -> tuple[list[Work], str]:
        return await alert_work.listed(store, state=state, patient=patient, limit=limit), settings.time_zone

    found, zone = with_store(work)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
        return
    rows = [
        (_moment(one.sent_us, zone), one.state, LEVELS[one.level], _due(one, zone), one.outcome or "-", one.alert)
        for one in found
    ]
    typer.echo(table(("SENT", "STATE", "WITH", "GOES ON", "OUTCOME", "ALERT"), rows) if rows else "No alerts.")


@app.command("show")
def show(
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="From `enlace alerts list`.")],
    as_json: Json = False,
) -> None:
    """Show one alert: when it happened, came and was told, to whom, and what they did.

    Example: enlace alerts show Communication/al-...
    """
    reference = alert if alert.startswith("Communication/") else f"Communication/{alert}"
    facts, told, zone = with_store(lambda store, settings: _facts(store, settings, reference))
    if not facts:
        typer.echo("There is no alert with this id: see `enlace alerts list`.", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(facts | {"told": [asdict(one) for one in told]}))
        return
    typer.echo("\n".join(f"{name}: {value}" for name, value in facts.items() if value != ""))
    for one in told:
        at = _moment(one.settled_us, zone) if one.settled_us and one.state != "waiting" else "-"
        typer.echo(f"told: {one.recipient} {one.channel} {one.state} {at} {one.reason}".rstrip())


async def _facts(store: "Store", settings: "Settings", reference: str) -> tuple[dict[str, Any], list[Notice], str]:
    from service.access.context import parse
    from service.search.restriction import EVERYTHING
    from service.store import read

    zone = settings.time_zone
    found = (await read.heads(store, [reference], EVERYTHING)).get(reference)
    if found is None or found.body is None:
        return {}, [], zone
    alert = parse(found.body)
    work = await alert_work.of_alert(store, reference)
    times = {
        str(one.get("url")): next((value for name, value in one.items() if name.startswith("value")), "")
        for extension in alert.get("extension") or ()
        for one in extension.get("extension") or ()
    }
    facts: dict[str, Any] = {
        "alert": reference,
        "status": alert.get("status"),
        "priority": alert.get("priority"),
        "stay": (alert.get("encounter") or {}).get("reference", ""),
        "happened": times.get("event", ""),
        "came": times.get("received", ""),
        "sent": alert.get("sent", ""),
        "acknowledged": alert.get("received", ""),
        "recipients": ", ".join(str(one.get("reference")) for one in alert.get("recipient") or ()),
        "flags": ", ".join(
            str(c.get("code")) for one in alert.get("reasonCode") or () for c in one.get("coding") or ()
        ),
    }
    if work is not None:
        facts |= {"state": work.state, "with": LEVELS[work.level], "goes on": _due(work, zone)}
        facts |= {"by": work.by, "outcome": work.outcome}
    return facts, await notices.listed(store, target=reference, limit=MOST), zone


def _due(work: Work, zone: str) -> str:
    return _moment(work.due_us, zone) if work.state in ("open", "snoozed") else "-"


def _moment(us: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S %Z}"
