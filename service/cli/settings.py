"""`enlace settings`: every environment variable with its default and its sentence, from the code."""

import json
from typing import Annotated

import typer

from service.settings import describe

_HEAD = """# Settings

Environment variables, read once at start. An unknown `ENLACE_*` name or a bad value stops the start with a sentence
that names it. Written from the code by `make docs`; `enlace settings` prints the same.

| variable | default | meaning |
|---|---|---|
"""


def settings_page() -> str:
    """The text of docs/settings.md."""
    return _HEAD + "".join(
        f"| `{name}` | {f'`{default}`' if default else ''} | {sentence} |\n" for name, default, sentence in describe()
    )


def settings(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/settings.md.")] = False,
) -> None:
    """List every setting: variable, default, meaning.

    Example: enlace settings
    """
    if markdown:
        typer.echo(settings_page(), nl=False)
        return
    rows = describe()
    if as_json:
        for name, default, sentence in rows:
            typer.echo(json.dumps({"name": name, "default": default, "meaning": sentence}))
        return
    width = max(len(name) for name, _, _ in rows)
    for name, default, sentence in rows:
        typer.echo(f"{name:<{width}}  {default:<26} {sentence}")
