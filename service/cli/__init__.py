"""The `enlace` command: one file per group of verbs. Errors are one sentence; exit 0 ok, 1 failed, 2 wrong use."""

import sys
from typing import Annotated

import typer

from service.cli import (
    access,
    adt,
    alerts,
    audit,
    backup,
    break_glass,
    client,
    consent,
    deliveries,
    directory,
    doctor,
    files,
    health,
    identity,
    jobs,
    keys,
    labels,
    links,
    measures,
    notices,
    partner,
    reindex,
    run,
    sandbox,
    settings,
    setup,
    subscriptions,
    timers,
    token,
)
from service.log_events import configure, where

app = typer.Typer(
    name="enlace",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    from service.api.metadata import software_version

    if asked:
        typer.echo(f"Enlace {software_version()}")
        raise typer.Exit


@app.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """FHIR R4 service for CalAIM Enhanced Care Management."""


app.command("serve")(run.serve)
app.command("worker")(run.worker)
app.command("adt-listener")(run.adt_listener)
app.command("demo")(run.demo)
app.command("migrate")(setup.migrate)
app.command("reindex")(reindex.reindex)
app.command("health")(health.health)
app.command("seed")(setup.seed)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("doctor")(doctor.doctor)
app.command("openapi")(setup.openapi)
app.command("settings")(settings.settings)
app.command("token")(token.token)
app.add_typer(client.app, name="client")
app.add_typer(keys.app, name="keys")
app.add_typer(identity.app, name="identity")
app.add_typer(adt.app, name="adt")
app.add_typer(audit.app, name="audit")
app.add_typer(files.app, name="files")
app.add_typer(jobs.app, name="jobs")
app.add_typer(labels.app, name="labels")
app.add_typer(links.app, name="links")
app.add_typer(access.app, name="access")
app.add_typer(break_glass.app, name="break-glass")
app.add_typer(consent.app, name="consent")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(timers.app, name="timers")
app.add_typer(measures.app, name="measures")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(directory.app, name="directory")
app.add_typer(notices.app, name="notices")
app.add_typer(partner.app, name="partners")
app.add_typer(alerts.app, name="alerts")
app.add_typer(sandbox.app, name="sandbox")


OURS = ("service", "fhir_profiles", "mappers", "adt_listener", "openapi")


def _cannot_load(error: ImportError) -> str:
    name = (error.name or "").partition(".")[0]
    if name in OURS:
        kind = type(error).__name__
        return f"Enlace's own code cannot be loaded ({kind}): this checkout is incomplete: see `git status`."
    return f"The package {name or 'that is needed'} cannot be loaded: run `make setup`."


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
    except ImportError as error:
        typer.echo(_cannot_load(error), err=True)
        sys.exit(1)
    except OSError as error:
        place = error.filename or "check ENLACE_DATABASE_URL: is the database server there, and are its ports open?"
        typer.echo(f"{error.strerror or 'The system refused'}: {place}{'.' if error.filename else ''}", err=True)
        sys.exit(1)
    except Exception as error:  # a traceback tells people nothing, and may hold what is nobody's business
        facts = where(error)
        remedy = "check ENLACE_DATABASE_URL and the database; if it is right, report this sentence"
        typer.echo(f"The work failed ({facts['error']} at {facts['at']}): {remedy}.", err=True)
        sys.exit(1)
