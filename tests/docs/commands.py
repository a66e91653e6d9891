"""What a printed `enlace` command may say: verbs and options as the program itself knows them."""

import re
import shlex
from functools import cache
from typing import Any

import typer

from service.cli import app

_ENLACE = re.compile(r"(?:^|[\s(|;&\"`/])enlace ((?:[a-z][a-z-]*|--help)[^\n|;&)`]*)")


@cache
def _root() -> Any:
    return typer.main.get_command(app)


def verbs() -> list[tuple[str, ...]]:
    """Every verb that does something: ("serve",), ("adt", "source", "add"), ..."""

    def below(command: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        children = getattr(command, "commands", None)
        if children is None:
            return [path]
        return [found for name, child in children.items() for found in below(child, (*path, name))]

    return below(_root(), ())


def enlace_lines(text: str) -> list[str]:
    """What follows `enlace` in each command of a text, continued lines joined."""
    return [found.strip() for found in _ENLACE.findall(re.sub(r"\\\n\s*", " ", text))]


def problem(line: str) -> str:
    """Why `enlace LINE` is no command of this program; empty when it is."""
    try:
        words = shlex.split(line.split(" #")[0])
    except ValueError:
        words = line.split()
    command: Any = _root()
    while words and getattr(command, "commands", None) and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if getattr(command, "commands", None) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        return f"enlace {line}: no such verb {words[0]}"
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    wrong = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    return f"enlace {line}: no such option {wrong[0]}" if wrong else ""


def named(line: str) -> tuple[str, ...]:
    """The verb that the line names."""
    command: Any = _root()
    path: list[str] = []
    for word in line.split():
        children = getattr(command, "commands", None)
        if not children or word not in children:
            break
        command = children[word]
        path.append(word)
    return tuple(path)
