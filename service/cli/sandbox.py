"""`enlace sandbox`: made-up events at the press of a key, the same as on the page /sandbox; sandbox only.

What the verbs do is in sandbox_steps.py, imported when one runs: the command starts fast.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json

if TYPE_CHECKING:
    from service.cli.sandbox_steps import Event

app = typer.Typer(no_args_is_help=True, help="Sandbox events: admit, discharge, refer, accept, complete; mail.")
For = Annotated[str, typer.Option("--for", help="Whose member: a lead care manager's name; default the first.")]


@app.command("admit")
def admit(whose: For = "", as_json: Json = False) -> None:
    """Send an A01: the next member of a lead care manager's panel is admitted to a hospital; show ACK and alert.

    Example: enlace sandbox admit --for maria
    """
    from service.cli.sandbox_steps import send

    _told(send("admit", whose), as_json)


@app.command("discharge")
def discharge(whose: For = "", as_json: Json = False) -> None:
    """Send the A03 of the stay that `enlace sandbox admit` began last; show ACK and alert.

    Example: enlace sandbox discharge --for maria
    """
    from service.cli.sandbox_steps import send

    _told(send("discharge", whose), as_json)


@app.command("refer")
def refer(as_json: Json = False) -> None:
    """Refer the next member to the community organization, as the first lead care manager's organization.

    Example: enlace sandbox refer
    """
    _moved("refer", as_json)


@app.command("accept")
def accept(as_json: Json = False) -> None:
    """Let the community organization accept the newest referral that waits for it.

    Example: enlace sandbox accept
    """
    _moved("accept", as_json)


@app.command("complete")
def complete(as_json: Json = False) -> None:
    """Let the community organization complete the referral that it accepted last, with what was done.

    Example: enlace sandbox complete
    """
    _moved("complete", as_json)


@app.command("mail")
def mail(port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on this machine.")] = 2525) -> None:
    """Be the mail server of a sandbox: print what Enlace sends, such as links and one-time codes; pass nothing on.

    Example: enlace sandbox mail --port 2525
    """
    import asyncio

    from service.cli import sandbox_mail
    from service.cli.sandbox_steps import fail

    try:
        asyncio.run(sandbox_mail.serve(port, lambda text: print(text, flush=True)))
    except OSError:
        raise fail(f"Port {port} is taken: choose another with --port.") from None
    except KeyboardInterrupt:
        typer.echo("Ended.")


def _told(event: "Event", as_json: bool) -> None:
    from service.cli.sandbox_steps import WAIT_S, fail

    prepared, receipt, became = event
    alert = became.text if became else ""
    state = became.row.state if became else "unknown"
    if as_json:
        facts: dict[str, Any] = {"event": prepared.event, "ack": receipt.code, "message": receipt.inbox_id}
        facts |= {"state": state, "member": prepared.member, "hospital": prepared.hospital, "alert": alert or None}
        typer.echo(json.dumps(facts))
    else:
        verb = "admitted to" if prepared.event == "A01" else "discharged from"
        typer.echo(f"{receipt.code}  {prepared.event}: {prepared.member} {verb} {prepared.hospital}.")
        typer.echo(f"    Alert: {alert}" if alert else f"    No alert; the message is {state}.")
    if not receipt.positive:
        raise fail("The listener did not accept the message; see `enlace adt inbox`.")
    if state == "stored":
        raise fail(f"No worker handled the message in {WAIT_S:.0f} s: start `make run` or `enlace worker`.")


def _moved(kind: str, as_json: bool) -> None:
    from service.cli.sandbox_steps import move

    task = move(kind)
    if as_json:
        typer.echo(json.dumps({"task": f"Task/{task['id']}", "status": task["status"]}))
        return
    about = task.get("description") or (task.get("code") or {}).get("text") or "Referral"
    whom, owner = (str((task.get(part) or {}).get("display") or "") for part in ("for", "owner"))
    words = about.partition(":")[0] + (f" for {whom}" if whom else "")
    to = f"  to {owner}" if owner else ""
    typer.echo(f"{task['status']}  {words}{to}  (Task/{task['id']})")
