"""What `enlace sandbox` does: the events over MLLP, the steps of a referral by the interactions of the REST API."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import typer

from fhir_profiles import Resource
from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.auth.sandbox import SandboxRefused, stand_in
from service.caller import Caller, Role
from service.cli.client import with_store
from service.cli.mllp_client import Connection, Refused
from service.errors import FhirError
from service.interactions import sandbox_referrals, sandbox_stays
from service.interactions.sandbox_stays import Became, NothingToDo, Prepared, Receipt
from service.settings import Settings
from service.store.engine import Store

WAIT_S = 10.0
T = TypeVar("T")
Event = tuple[Prepared, Receipt, Became | None]


def send(kind: str, whose: str) -> Event:
    """kind: admit or discharge. Raises typer.Exit with a sentence printed."""
    prepare = {"admit": sandbox_stays.admit, "discharge": sandbox_stays.end_stay}[kind]
    return _done(lambda store, settings: _sent(store, settings, whose, prepare))


def move(kind: str) -> Resource:
    """kind: refer, accept or complete; the Task as it is afterwards."""

    async def refer(store: Store, settings: Settings) -> Resource:
        [cbo, *_] = await stand_in(store, settings.env, Role.CBO)
        [lcm, *_] = await stand_in(store, settings.env, Role.LCM)
        return await sandbox_referrals.refer(_context(store, settings, lcm), cbo)

    async def answer(store: Store, settings: Settings) -> Resource:
        [cbo, *_] = await stand_in(store, settings.env, Role.CBO)
        step = {"accept": sandbox_referrals.accept, "complete": sandbox_referrals.complete}[kind]
        return await step(_context(store, settings, cbo))

    return _done(refer if kind == "refer" else answer)


async def _sent(
    store: Store, settings: Settings, whose: str, prepare: Callable[[Context], Awaitable[Prepared]]
) -> Event:
    people = await stand_in(store, settings.env, Role.LCM)
    caller = await sandbox_stays.choose(_context(store, settings, people[0]), people, whose)
    prepared = await prepare(_context(store, settings, caller))
    place = settings.mllp_host, settings.mllp_port
    try:
        async with Connection(*place) as connection:
            receipt = sandbox_stays.receipt(await connection.exchange(prepared.message))
    except (OSError, TimeoutError):
        sentence = f"Nothing was sent: nothing answers at {place[0]}:{place[1]}; start `make run`."
        raise NothingToDo(sentence) from None
    context = _context(store, settings, caller)
    return prepared, receipt, await sandbox_stays.became(context, receipt.inbox_id, WAIT_S)


def _context(store: Store, settings: Settings, caller: Caller) -> Context:
    behaviour = Behaviour(env=settings.env, base_url=f"{settings.base_url}/fhir")
    return Context(store, caller, store.clock.now_us(), behaviour)


def _done(work: Callable[[Any, Settings], Awaitable[T]]) -> T:
    """What the work gives; a refusal is its sentence and exit code 1."""

    try:
        return with_store(work)
    except (SandboxRefused, NothingToDo, Refused) as error:
        raise fail(str(error)) from None
    except FhirError as error:
        raise fail(f"The step was refused: {error.issues[0].diagnostics}") from None


def fail(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(1)
