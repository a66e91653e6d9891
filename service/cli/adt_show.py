"""`enlace adt show`: one message, from its answer to the alert it made. Values of the message only with --raw."""

import json
from typing import Annotated, Any

import typer

from service.cli.client import Json, with_store

NAMES = "id source control_id event state reason words remedy patient stay received handled".split()


def show(
    id: Annotated[int, typer.Argument(help="Number from `enlace adt inbox`.")],
    raw: Annotated[bool, typer.Option("--raw", help="Print the message as it came (personal data!).")] = False,
    fhir: Annotated[bool, typer.Option("--fhir", help="Print the message as FHIR (personal data!).")] = False,
    as_json: Json = False,
) -> None:
    """One message from its text to its alerts, with words for what became of it; --raw and --fhir print its values.

    Example: enlace adt show 1234
    """

    async def run(store: Any, _settings: Any) -> dict[str, Any] | None:
        from service.cli.acts import act, recorded
        from service.workflow.feed_view import view

        found = await view(store, id, content=True)
        if found is not None:
            about = (found["patient"],) if found["patient"] else ()
            await recorded(store, act("message-read", f"inbox/{id}", about, raw=raw or fhir))
        return found

    facts = with_store(run)
    if facts is None:
        typer.echo(f"There is no message {id}: see `enlace adt inbox`.", err=True)
        raise typer.Exit(1)
    text, bundle = facts.pop("raw"), (facts["fhir"] or {}).pop("bundle", None)
    values = ({"raw": text} if raw else {}) | ({"bundle": bundle} if fhir else {})
    if as_json:
        typer.echo(json.dumps(facts | values))
        return
    for line in lines(facts):
        typer.echo(line)
    if raw:
        typer.echo(text.replace("\r", "\n"))
    if fhir:
        typer.echo(json.dumps(bundle, indent=2, ensure_ascii=False))


def lines(facts: dict[str, Any]) -> list[str]:
    out = [f"{name:<11}{facts[name] if facts[name] is not None else ''}".rstrip() for name in NAMES]
    out += [f"size       {facts['size']} bytes", f"answer     {facts['answer'] or 'none'}"]
    if facts["same_control_id"]:
        out.append("note       the sender used this control id for another message too: both count")
    if not facts["registered"]:
        out.append("note       the sender is not registered: read as if it had no settings")
    out += [f"understood {_understood(one)}" for one in facts["understood"]] or ["understood nothing"]
    if facts["fhir"]:
        out.append(f"fhir       {', '.join(f'{n} {rtype}' for rtype, n in facts['fhir']['types'].items())}")
    if facts["encounter"]:
        out.append(f"encounter  {facts['encounter']}")
    if facts["transition"] and len(facts["transition"]["stays"]) > 1:
        out.append(f"transition {', '.join(facts['transition']['stays'])}")
    out += [
        f"message    {m['id']} {m['event']} {m['state']} {m['reason']} (of this stay)" for m in facts["stay_messages"]
    ]
    out += [f"review     {r['id']} {r['state']}: {r['reason']}" for r in facts["reviews"]]
    for alert in facts["alerts"]:
        out.append(f"{alert['kind']:<10} {alert['reference']} {alert['status']} {alert['when']} (of this stay)")
        out += [f"  notice   {n['recipient']} by {n['channel']}: {n['state']}" for n in alert["notices"]]
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
