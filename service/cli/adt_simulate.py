"""`enlace adt simulate`: an endless feed, or whole stays with faults whose truth is known."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.client import with_store
from service.settings import load

HELP_PATHWAY = "Only this pathway; may be given again. --list names them."
HELP_FAULT = "Lay this fault over the messages; may be given again; `all` for all. --list names them."


def simulate(
    rate: Annotated[float, typer.Option(min=0.01, help="Messages a second of the endless feed.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long; with --check, how long to wait.")] = 60.0,
    seed: Annotated[int, typer.Option(help="The same number gives the same feed.")] = 1,
    stays: Annotated[int, typer.Option(min=0, max=1000, help="Play so many whole stays instead, at once.")] = 0,
    pathway: Annotated[list[str] | None, typer.Option(help=HELP_PATHWAY)] = None,
    fault: Annotated[list[str] | None, typer.Option(help=HELP_FAULT)] = None,
    truth: Annotated[Path | None, typer.Option(help="Write what each stay must end as, a JSON object a line.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the messages to this file instead of sending them.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Then compare the Encounters with the pathways.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Name the pathways and the faults.")] = False,
    host: Annotated[str | None, typer.Option(help="Listener's address; default ENLACE_MLLP_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Listener's port; default ENLACE_MLLP_PORT.")] = None,
) -> None:
    """Play a synthetic feed of the seeded members over MLLP.

    Example: enlace adt simulate --rate 5 --seconds 30
    """
    if listed:
        typer.echo(_table())
        return
    names, faults = _known(pathway or [], fault or [])
    if not stays and (names or faults or truth or out or check):
        raise typer.BadParameter("--pathway, --fault, --truth, --out and --check go with --stays.")
    settings = load(os.environ)
    where = (host or settings.mllp_host, port or settings.mllp_port)
    if not stays:
        sent, accepted = _guarded(where, lambda store: _feed(store, where, rate, seconds, seed))
        wrong: list[str] = []
    else:
        asked = {"stays": stays, "seed": seed, "names": names, "faults": faults}
        wait = seconds if check and not out else 0.0
        sent, accepted, wrong = _guarded(where, lambda store: _stays(store, where, asked, truth, out, wait))
    typer.echo(f"{sent} written to {out}." if out else f"{sent} sent, {accepted} accepted.")
    for words in wrong:
        typer.echo(words, err=True)
    if check and not wrong and not out:
        typer.echo("Every stay is as its pathway says.")
    if accepted < sent or wrong:
        raise typer.Exit(1)


def _known(names: list[str], faults: list[str]) -> tuple[list[str], list[str]]:
    from mappers.hl7v2.simulate_faults import FAULTS
    from mappers.hl7v2.simulate_pathways import pathways

    if "all" in faults:
        faults = list(FAULTS)
    for what, given, known in (("pathway", names, set(pathways())), ("fault", faults, set(FAULTS))):
        if strange := [one for one in given if one not in known]:
            raise typer.BadParameter(f"there is no {what} {strange[0]}; --list names them.", param_hint=f"--{what}")
    return names, faults


def _table() -> str:
    from mappers.hl7v2.simulate_faults import FAULTS
    from mappers.hl7v2.simulate_pathways import pathways

    lines = ["Pathways:", *(f"  {name:30} {row['tells']}" for name, row in pathways().items())]
    return "\n".join([*lines, "Faults:", *(f"  {name:30} {fault.tells}" for name, fault in FAULTS.items())])


def _guarded(where: tuple[str, int], work: Any) -> Any:
    from service.cli.mllp_client import Refused

    async def run(store: Any, _settings: Any) -> Any:
        return await work(store)

    try:
        return with_store(run)
    except OSError as error:
        typer.echo(f"The feed stopped: {error.strerror or 'no listener'} at {where[0]}:{where[1]}.", err=True)
    except Refused as error:
        typer.echo(f"The feed stopped at {where[0]}:{where[1]}. {error}", err=True)
    raise typer.Exit(1)


async def _feed(store: Any, where: tuple[str, int], rate: float, seconds: float, seed: int) -> tuple[int, int]:
    from service.cli.feed import play_feed

    return await play_feed(store, where, rate=rate, seconds=seconds, seed=seed)


async def _stays(
    store: Any, where: tuple[str, int], asked: dict[str, Any], truth: Path | None, out: Path | None, wait: float
) -> tuple[int, int, list[str]]:
    from service.cli.feed import county
    from service.cli.feed_stays import differences, planned, send_all

    around = await county(store)
    await around.look(store)
    played = planned(around, store.clock.now_us(), **asked)
    if truth:
        truth.write_bytes(played.truth())
    if out:
        out.write_bytes(played.messages())
        return len(played.deliveries), len(played.deliveries), []
    sent, accepted = await send_all(where, played.deliveries)
    return sent, accepted, await differences(store, played.expected, wait) if wait else []
