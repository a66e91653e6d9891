"""The operator at the command line as a caller of the API's own functions: same decisions, audit rows of its own."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from service.cli.acts import OPERATOR
from service.cli.client import with_store
from service.cli.option_words import in_options

if TYPE_CHECKING:
    from service.access.context import Context
    from service.caller import Caller
    from service.interactions.decision import Answer
    from service.interactions.settle import Decide
    from service.settings import Settings
    from service.store.engine import Store

T = TypeVar("T")


def context(store: "Store", settings: "Settings", caller: "Caller | None" = None) -> "Context":
    """caller: in whose name; the operator's own by default, who sees everything."""
    from service.access.context import Context
    from service.access.context import Settings as Behaviour
    from service.caller import system_caller
    from service.notify.offer import offering

    behaviour = Behaviour(
        env=settings.env,
        base_url=f"{settings.base_url}/fhir",
        page_key=settings.secret_key(),
        ecm_grace_days=settings.ecm_grace_days,
    )
    behaviour = offering(behaviour, settings)
    who = caller or replace(system_caller(""), client_id=OPERATOR)
    return Context(store, who, store.clock.now_us(), behaviour, request_id="cli")


async def answered(ctx: "Context", decide: "Decide") -> "Answer":
    """Decided and committed as a request would be; each audit row names the operator, for whomever it is done."""
    from service.interactions.settle import settled

    async def as_operator(given: "Context") -> Any:
        decision = await decide(given)
        decision.change.audit = [replace(row, actor=OPERATOR) for row in decision.change.audit]
        return decision

    return await settled(ctx, as_operator)


def parameters(answer: "Answer") -> dict[str, Any]:
    """name -> value of the Parameters that an operation answers with."""
    found = json.loads(answer.body or b"{}")
    return {
        part["name"]: next((value for name, value in part.items() if name.startswith("value")), None)
        for part in found.get("parameter", ())
    }


def run(work: "Callable[[Store, Settings], Awaitable[T]]", options: Mapping[str, str] | None = None) -> T:
    """with_store, where FHIR's refusals are one sentence each as well. options: what they call by another name here."""
    from service.errors import FhirError

    try:
        return with_store(work)
    except FhirError as error:
        typer.echo("\n".join(in_options(issue.diagnostics, options or {}) for issue in error.issues), err=True)
        raise typer.Exit(1) from None
