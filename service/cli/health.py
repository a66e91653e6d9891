"""`enlace health`: whether the process on this machine lives; the image's HEALTHCHECK, one for all processes."""

import http.client
import json
import os
from typing import Annotated, NamedTuple

import typer

from service.settings import Settings, load

TIMEOUT_S = 3
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where a process that listens on all addresses is asked."""


_STATES = frozenset({"ok", "ready", "stopping", "unready"})
"""What service/api/health.py says."""
_LONGEST = 65_536


class Heard(NamedTuple):
    """What a port answered. ours: whether it speaks as Enlace does."""

    place: str
    port: int
    status: int
    ours: bool


def health(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port; default ENLACE_HEALTH_PORT, then ENLACE_HTTP_PORT."),
    ] = None,
    ready: Annotated[bool, typer.Option("--ready", help="Ask /readyz: whether it takes work now.")] = False,
) -> None:
    """Ask the process on this machine whether it lives: API, worker or ADT listener.

    Example: enlace health
    """
    settings = load(os.environ)
    path = "/readyz" if ready else "/healthz"
    ports = [port] if port else places(settings)
    answers = [found for one in ports if (found := ask(settings.http_host, one, path))]
    heard = next((found for found in answers if found.ours), answers[0] if answers else None)
    if heard is None:
        asked = " and ".join(str(one) for one in ports)
        text = f"Nothing answers on port {asked} here: is the process running, and is ENLACE_HEALTH_PORT its own?"
        typer.echo(text, err=True)
        raise typer.Exit(1)
    if not heard.ours:
        remedy = "name another port, or stop what listens there (ss -ltnp names it)"
        typer.echo(f"What answers on port {heard.port} is not Enlace: {remedy}.", err=True)
        raise typer.Exit(1)
    if heard.status != 200:
        remedy = "its log says why" if ready else "restart it"
        typer.echo(f"{heard.place}{path} answers {heard.status}: {remedy}.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{heard.place} {'takes work' if ready else 'lives'}.")


def places(settings: Settings) -> list[int]:
    """Ports to ask: worker and listener answer on the first, the API on the second; a container runs one of them."""
    return list(dict.fromkeys(port for port in (settings.health_port, settings.http_port) if port))


def ask(host: str, port: int, path: str) -> Heard | None:
    """What is answered; None where nothing listens or nothing comes in time."""
    host = _LOOPBACK.get(host, host)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return Heard(place, port, answer.status, _ours(answer.read(_LONGEST)))
    except OSError:  # also who hangs up without a word
        return None
    except http.client.HTTPException:
        return Heard(place, port, 0, False)
    finally:
        connection.close()


def _ours(body: bytes) -> bool:
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("status") in _STATES
