"""`enlace audit`: verifies the audit against its seals and receipts; a member's accounting of disclosures."""

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.clock import instant
from service.settings import SettingsError, load

if TYPE_CHECKING:
    from service.store.seal_check import Report

SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="The audit: verify it, account for disclosures.")


@app.command("verify")
def verify(
    receipts: Annotated[
        Path | None, typer.Option(help="File of receipts; default ENLACE_AUDIT_RECEIPTS, where it is there.")
    ] = None,
    former_key: Annotated[list[Path] | None, typer.Option(help="File of an earlier audit key.")] = None,
    as_json: Json = False,
) -> None:
    """Check every chain, seal and receipt; each broken place is named, exit code 1.

    Example: enlace audit verify --receipts /mnt/elsewhere/audit-receipts.jsonl
    """
    settings = load(os.environ)
    told: Path | None = receipts or settings.audit_receipts
    if receipts is None and not settings.audit_receipts.exists():
        told = None
    try:
        keys = [settings.audit_key(), *(path.read_bytes().strip() for path in former_key or ())]
        report = asyncio.run(_check(settings.database_url.get_secret_value(), keys, told))
    except OSError as error:
        typer.echo(f"{error.filename}: {error.strerror}.", err=True)
        raise typer.Exit(1) from None
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    _tell(report, told, as_json)
    if not report.whole:
        raise typer.Exit(1)


async def _check(url: str, keys: list[bytes], told: Path | None) -> "Report":
    from service.store.backup_places import open_place
    from service.store.seal_check import check

    place = await open_place(url)
    try:
        return await check(place, keys, told)
    finally:
        await place.close()


def _tell(report: "Report", told: Path | None, as_json: bool) -> None:
    since = instant(report.unsealed_since_us) if report.unsealed_since_us else None
    if as_json:
        facts: dict[str, Any] = {name: getattr(report, name) for name in ("rows", "seals", "receipts", "given_up")}
        broken = [{"kind": b.kind, "place": b.place, "sentence": b.sentence} for b in report.broken]
        facts |= {"unsealed_since": since, "receipts_file": str(told) if told else None, "broken": broken}
        typer.echo(json.dumps(facts))
        return
    for one in report.broken[:SHOWN]:
        typer.echo(f"Broken: {one.kind}, {one.place}: {one.sentence}.")
    if len(report.broken) > SHOWN:
        typer.echo(f"{len(report.broken) - SHOWN} more broken places: --json lists them.")
    against = f"{report.receipts} receipts of {told}" if told else "no receipts: a database put back whole goes unseen"
    state = "whole" if report.whole else "broken"
    typer.echo(f"The audit is {state}: {report.rows} rows, {report.seals} seals, {against}.")
    if report.given_up:
        typer.echo(f"A restore gave up {report.given_up} seals, as its mark says.")
    if since:
        typer.echo(f"What was written since {since} is not sealed yet.")


@app.command("disclosures")
def disclosures(
    patient: Annotated[str, typer.Argument(help="Patient/ID.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")] = False,
    required: Annotated[bool, typer.Option("--required", help="Only what the law wants accounted for.")] = False,
    as_json: Json = False,
) -> None:
    """What left to organizations other than its author, for six years: when, to whom, what, why, by which consent.

    Example: enlace audit disclosures Patient/3 --csv
    """
    from service.cli.acts import act, recorded
    from service.store.inbox_find import has_resource
    from service.workflow.disclosures import Accounting, account, as_rows, to_csv

    async def run(store: Any, _settings: Any) -> Accounting | None:
        if not patient.startswith("Patient/") or not await has_resource(store, patient):
            return None
        found = await account(store, patient, store.clock.now_us())
        await recorded(store, act("disclosures", patient, (patient,)))
        return found

    found = with_store(run)
    if found is None:
        typer.echo(f"There is no {patient[:80]}: write Patient/ID as the service knows it.", err=True)
        raise typer.Exit(1)
    kept = [one for one in found.disclosures if one.required or not required]
    if as_csv:
        typer.echo(to_csv(kept), nl=False)
        return
    if as_json:
        typer.echo(json.dumps(as_rows(kept)))
        return
    for one in kept:
        typer.echo(f"{instant(one.at_us)[:19]}Z  {one.recipient_name}  {one.what}  {one.purpose}  {one.basis}")
    typer.echo(f"{len(kept)} disclosures since {instant(found.since_us)[:10]}.")
    if found.cut:
        typer.echo(f"Only the newest {len(found.disclosures)} are shown.", err=True)
