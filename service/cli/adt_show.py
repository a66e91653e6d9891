"""`enlace adt show`: one message, from its answer to the alert it made. Values of the message only with --raw."""

import json
from typing import Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.clock import instant
from service.store import inbox as inbox_rows


def show(
    id: Annotated[int, typer.Argument(help="Number from `enlace adt inbox`.")],
    raw: Annotated[bool, typer.Option("--raw", help="Print the message as it came (personal data!).")] = False,
    as_json: Json = False,
) -> None:
    """One message: state, answer, what the mapper read and did not, stay, alerts, failed work; --raw prints its text.

    Example: enlace adt show 1234
    """

    async def run(store: Any, _settings: Any) -> dict[str, Any] | None:
        from service.cli.acts import act, recorded

        found = await gather(store, id)
        if found is not None:
            about = (found["patient"],) if found["patient"] else ()
            await recorded(store, act("message-read", f"inbox/{id}", about, raw=raw))
        return found

    facts = with_store(run)
    if facts is None:
        typer.echo(f"There is no message {id}: see `enlace adt inbox`.", err=True)
        raise typer.Exit(1)
    text = facts.pop("raw")
    if as_json:
        typer.echo(json.dumps(facts | ({"raw": text} if raw else {})))
        return
    for line in lines(facts):
        typer.echo(line)
    if raw:
        typer.echo(text.replace("\r", "\n"))


async def gather(store: Any, id: int) -> dict[str, Any] | None:
    """All that is known of a message, `raw` among it; None where there is none. Reads only."""
    from dataclasses import asdict

    from mappers.hl7v2.source import SourceConfig
    from service.cli.adt_reading import read_again
    from service.workflow.sending_systems import source_of

    row, message = await inbox_rows.one(store, id), await inbox_rows.message(store, id)
    if row is None or message is None:
        return None
    source = await source_of(store, row.source)
    reading = read_again(message[0], source or SourceConfig(row.source), row.received_us)
    ack = (await inbox_rows.ack_of(store, id) or b"").decode(errors="replace")
    jobs = await inbox_rows.unfinished_jobs(store, id)
    return {
        **{name: getattr(row, name) for name in ("id", "source", "control_id", "event", "state", "reason")},
        **{name: getattr(row, name) or None for name in ("patient", "stay")},
        "received": instant(row.received_us),
        "handled": instant(row.handled_us) if row.handled_us else None,
        "size": len(message[0]),
        "answer": next((line for line in ack.splitlines() if line.startswith("MSA")), None),
        "registered": source is not None,
        **asdict(reading),
        **(await _made(store, row)),
        "jobs": [{"id": j[0], "state": j[1], "attempts": j[2], "last_error": j[3]} for j in jobs],
        "raw": message[0].decode(errors="replace"),
    }


async def _made(store: Any, row: inbox_rows.Received) -> dict[str, Any]:
    """The Encounter of its stay and what was told about it: references and states, no texts."""
    from service.access.context import parse
    from service.store import inbox_find, stays

    encounter = f"Encounter/{row.stay}"
    if not (row.patient and row.stay) or not await inbox_find.has_resource(store, encounter):
        return {"encounter": None, "alerts": [], "tasks": []}
    told: dict[str, list[dict[str, Any]]] = {"Communication": [], "Task": []}
    for rtype, fhir_id, _version, body in await stays.told(store, encounter):
        resource = parse(body)
        when = resource.get("sent") or resource.get("authoredOn")
        told[rtype].append({"reference": f"{rtype}/{fhir_id}", "status": resource.get("status"), "when": when})
    ordered = {kind: sorted(rows, key=lambda r: str(r["when"])) for kind, rows in told.items()}
    return {"encounter": encounter, "alerts": ordered["Communication"], "tasks": ordered["Task"]}


def lines(facts: dict[str, Any]) -> list[str]:
    out = [
        f"{name:<11}{facts[name] if facts[name] is not None else ''}".rstrip()
        for name in ("id", "source", "control_id", "event", "state", "reason", "patient", "stay", "received", "handled")
    ]
    out += [f"size       {facts['size']} bytes", f"answer     {facts['answer'] or 'none'}"]
    if not facts["registered"]:
        out.append("note       the sender is not registered: read as if it had no settings")
    out += [f"understood {_understood(facts['understood']) or 'nothing'}"]
    if facts["encounter"]:
        out.append(f"encounter  {facts['encounter']}")
    out += [f"alert      {a['reference']} {a['status']} {a['when']} (of this stay)" for a in facts["alerts"]]
    out += [f"task       {t['reference']} {t['status']} {t['when']} (of this stay)" for t in facts["tasks"]]
    out += [
        f"job        {j['id']} {j['state']} after {j['attempts']} attempts{': ' if j['last_error'] else ''}"
        f"{j['last_error']}"
        for j in facts["jobs"]
    ]
    out += [f"remark     {r['severity']} {r['at']} {r['code']}: {r['text']}" for r in facts["remarks"]]
    for segment in facts["segments"]:
        out.append(f"segment    {segment['segment']}: {_fields(segment['read'])}")
        if segment["not_read"]:
            out.append(f"  not read {_fields(segment['not_read'])}")
    return out


def _fields(fields: dict[str, str]) -> str:
    return ", ".join(f"{place.partition('-')[2]} {name}".strip() for place, name in fields.items()) or "nothing read"


def _understood(said: dict[str, Any]) -> str:
    if not said:
        return ""
    parts = [said["effect"]]
    if "class" in said:
        parts.append(f"class {said['class']}" + (f" ({said['class_from']})" if said["class_from"] else ""))
    parts.append(f"occurred {said['occurred']} ({said['occurred_from']})")
    if said.get("disposition"):
        parts.append(f"disposition {said['disposition']}")
    if "stay_by" in said:
        parts.append(f"stay by {said['stay_by']}")
    parts.append(f"identifiers {', '.join(said['identifiers']) or 'none'}")
    return "; ".join(parts)
