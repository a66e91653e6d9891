"""`enlace labels`: which sources and places make a resource sensitive, and giving what is stored its labels anew."""

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.access.labels import BITS, GROUPS, bits_of, group_names
from service.auth.registration import OPERATOR
from service.cli.client import Json, with_store
from service.cli.listing import table
from service.log_events import LABELS_APPLIED, log
from service.store import label_rules
from service.store.change import AuditRow, Change
from service.store.label_rules import KINDS, REFERRED, Rule

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store
    from service.workflow.relabelling import Report

app = typer.Typer(no_args_is_help=True, help="Sensitivity by source and place: add, list, remove, apply.")

Kind = Annotated[str, typer.Argument(help="source: what it writes; reference: what refers to it.")]
Ref = Annotated[str, typer.Argument(help="Organization/ID; for reference also places, services, people.")]
_RULED = tuple(group for group, codes in GROUPS.items() if codes)
_REFERENCE = re.compile(r"[A-Za-z]+/[A-Za-z0-9.-]{1,64}", re.ASCII)
APPLY = "Then give what is stored its labels: enlace labels apply"
PLACES = ("Location", "HealthcareService", "PractitionerRole")
"""Entries of the directory that belong to an organization."""


@app.command("add")
def add(
    kind: Kind,
    reference: Ref,
    group: Annotated[list[str], typer.Argument(help=f"One or more of {', '.join(_RULED)}.")],
    note: Annotated[str, typer.Option(help="Why, for those who read the list later.")] = "",
) -> None:
    """Add a rule, or change one. New writes follow it at once.

    Example: enlace labels add source Organization/o1 part2 sud --note "Opioid treatment program"
    """
    problem = _problem(kind, reference, group)
    if problem:
        typer.echo(problem, err=True)
        raise typer.Exit(2)
    rule = Rule(kind, reference, bits_of(group), note)
    missing = with_store(lambda store, _s: _put(store, rule))
    if missing:
        typer.echo(f"There is no {reference}: write it first.", err=True)
        raise typer.Exit(1)
    places = with_store(lambda store, _s: _places(store, reference)) if kind == "reference" else []
    for place in places:
        typer.echo(f"It has {place}: what refers to that only needs a rule of its own.", err=True)
    typer.echo(f"Added. {APPLY}")


@app.command("list")
def list_rules(as_json: Json = False) -> None:
    """List the rules.

    Example: enlace labels list
    """
    found = with_store(lambda store, _s: label_rules.rules(store))
    if as_json:
        typer.echo(json.dumps([one._asdict() | {"labels": group_names(one.labels)} for one in found]))
        return
    rows = [(one.kind, one.value, " ".join(group_names(one.labels)), one.note) for one in found]
    typer.echo(table(("KIND", "REFERENCE", "GROUPS", "NOTE"), rows) if rows else "No rules.")


@app.command("remove")
def remove(kind: Kind, reference: Ref) -> None:
    """Remove a rule. What is stored keeps its labels until they are applied.

    Example: enlace labels remove source Organization/o1
    """
    if not with_store(lambda store, _s: _remove(store, kind, reference)):
        typer.echo("There is no such rule: see `enlace labels list`.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Removed. {APPLY}")


@app.command("apply")
def apply() -> None:
    """Label every stored version by the rules and code lists of now, beside the service; goes on where it was stopped.

    Example: enlace labels apply
    """
    from service.workflow.relabelling import StillWriting

    try:
        report = with_store(_apply)
    except StillWriting:
        typer.echo("A transaction does not end: look at pg_stat_activity, then run this again.", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{report.seen} versions looked at.")
    rows = [(group, str(report.raised[group]), str(report.lowered[group])) for group in (*BITS, "restricted")]
    rows = [row for row in rows if row[1:] != ("0", "0")]
    if rows:
        typer.echo(table(("GROUP", "LABELLED", "NO LONGER"), rows))


def _problem(kind: str, reference: str, groups: list[str]) -> str:
    if kind not in KINDS:
        return f"The kind is one of {', '.join(KINDS)}."
    allowed = REFERRED if kind == "reference" else ("Organization/",)
    if not _REFERENCE.fullmatch(reference) or not reference.startswith(allowed):
        return f"A rule of the kind {kind} names one of {', '.join(f'{one}ID' for one in allowed)}."
    unknown = [group for group in groups if group not in _RULED]
    return f"Not a group: {', '.join(unknown)}; known are {', '.join(_RULED)}." if unknown else ""


async def _put(store: "Store", rule: Rule) -> bool:
    """Whether what the rule names is missing."""
    from service.store.inbox_find import has_resource

    if not await has_resource(store, rule.value):
        return True
    audit = _row("C", "label-rule-add", rule.value, " ".join(group_names(rule.labels)))
    await store.commit(Change(statements=[label_rules.put(store.keys, rule)], audit=[audit]))
    return False


async def _places(store: "Store", organization: str) -> list[str]:
    from service.search.keys import edge

    edges = [edge(rtype, "organization") for rtype in PLACES]
    return await label_rules.places_of(store, organization, edges)


async def _remove(store: "Store", kind: str, reference: str) -> bool:
    known = [one for one in await label_rules.rules(store) if (one.kind, one.value) == (kind, reference)]
    if known:
        audit = _row("D", "label-rule-remove", reference, kind)
        await store.commit(Change(statements=[label_rules.remove(store.keys, kind, reference)], audit=[audit]))
    return bool(known)


def _row(action: str, kind: str, target: str, reason: str) -> AuditRow:
    return AuditRow(action, kind, 0, OPERATOR, "", target, reason=reason)


async def _apply(store: "Store", settings: "Settings") -> "Report":
    from service.workflow.relabelling import Report, relabelled

    began, report = time.monotonic(), Report()
    async for grown in relabelled(store, f"{settings.base_url}/fhir"):
        report = grown
        if report.seen % 10_000 < 200:
            await asyncio.sleep(0)
            typer.echo(f"{report.seen} versions ...", err=True)
    counts: dict[str, Any] = {"raised": report.raised.total(), "lowered": report.lowered.total()}
    log(LABELS_APPLIED, count=report.seen, ms=int((time.monotonic() - began) * 1000), **counts)
    return report
