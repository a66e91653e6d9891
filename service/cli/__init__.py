"""The `enlace` command: one file per group of verbs. Errors are one sentence; exit 0 ok, 1 failed, 2 wrong use."""

import sys

import typer

from service.cli import adt, client, files, run, setup
from service.cli.token import token
from service.log_events import configure

app = typer.Typer(
    name="enlace",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="FHIR R4 service for CalAIM Enhanced Care Management.",
)
app.command("serve")(run.serve)
app.command("worker")(run.worker)
app.command("adt-listener")(run.adt_listener)
app.command("demo")(run.demo)
app.command("migrate")(setup.migrate)
app.command("seed")(setup.seed)
app.command("openapi")(setup.openapi)
app.command("token")(token)
app.add_typer(client.app, name="client")
app.add_typer(adt.app, name="adt")
app.add_typer(files.app, name="files")


def main() -> None:
    """Entry of the `enlace` script: known failures are a sentence, never a traceback."""
    from service.settings import SettingsError
    from service.store.database import Unavailable
    from service.store.schema import SchemaError

    configure("console", "warning")  # what runs for long sets its own
    try:
        app()
    except (SettingsError, SchemaError, Unavailable) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(f"{error.strerror or 'The system refused'}: {error.filename or 'address or file'}.", err=True)
        sys.exit(1)
