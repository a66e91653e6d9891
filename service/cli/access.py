"""`enlace access explain`: why a client may read a resource, or not. docs/operator.md tells when one needs it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json, with_store

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store

app = typer.Typer(no_args_is_help=True, help="Rights: explain.")


@app.callback()
def _several() -> None:
    """More verbs will come: without this Typer would make `explain` the command itself."""


@app.command("explain")
def explain(
    resource: Annotated[str, typer.Argument(help="Reference, such as Condition/123.")],
    actor: Annotated[str, typer.Option(help="Client id, or reference of an Organization or a Practitioner.")],
    as_json: Json = False,
) -> None:
    """Say which scope, role, panel row and Consent decide. Names rows and Consents, no content.

    Example: enlace access explain Task/123 --actor Organization/456
    """
    from service.errors import FhirError

    try:
        found = with_store(lambda store, settings: _explained(store, settings, resource, actor))
    except FhirError as error:
        typer.echo(" ".join(issue.diagnostics for issue in error.issues), err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found))
        return
    for told in (part for part in found["parameter"] if part["name"] == "actor"):
        for part in told["part"]:
            typer.echo(_line(part))


async def _explained(store: "Store", settings: "Settings", resource: str, actor: str) -> dict[str, Any]:
    from service.access.context import Context
    from service.access.context import Settings as Behaviour
    from service.caller import system_caller
    from service.interactions.settle import settled
    from service.operations.explain_access import explain as explained
    from service.operations.explain_access import parse

    base_url = f"{settings.base_url}/fhir"
    wanted = parse([("resource", resource), ("actor", actor)], base_url)
    behaviour = Behaviour(env=settings.env, base_url=base_url, ecm_grace_days=settings.ecm_grace_days)
    ctx = Context(store, system_caller(), store.clock.now_us(), behaviour)
    answer = await settled(ctx, lambda c: explained(c, wanted))
    out: dict[str, Any] = json.loads(answer.body or b"{}")
    return out


def _line(part: dict[str, Any]) -> str:
    value = part.get("valueString") or part.get("valueCode")
    if value:
        return f"{part['name']}: {value}"
    inner = {one["name"]: one for one in part.get("part", ())}
    sign = "yes" if inner["fits"]["valueBoolean"] else "no "
    more = [inner["text"]["valueString"]]
    if "reference" in inner:
        more.append(f"({inner['reference']['valueReference']['reference']})")
    if "period" in inner:
        period = inner["period"]["valuePeriod"]
        more.append(f"{period.get('start', '')}..{period.get('end', '')}")
    return f"  {sign} {part['name']}: {' '.join(more)}"
