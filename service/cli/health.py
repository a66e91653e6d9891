"""`enlace health`: whether the process on this machine lives; the image's HEALTHCHECK, one for all processes."""

import http.client
import os
from typing import Annotated, NamedTuple

import typer

from service.settings import Settings, load

TIMEOUT_S = 3
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where a process that listens on all addresses is asked."""


class Heard(NamedTuple):
    """What a port answered."""

    place: str
    status: int


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
    heard = next((found for one in ports if (found := ask(settings.http_host, one, path))), None)
    if heard is None:
        asked = " and ".join(str(one) for one in ports)
        text = f"Nothing answers on port {asked} here: is the process running, and is ENLACE_HEALTH_PORT its own?"
        typer.echo(text, err=True)
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
    """The status of the first answer; None where nothing listens or nothing comes in time."""
    host = _LOOPBACK.get(host, host)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return Heard(place, connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
