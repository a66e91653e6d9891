"""What a check of `enlace doctor` is given, and what it finds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from service.settings import Settings
from service.store.backup_places import Place

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line. next: what to do about it; always there where the level is not ok."""

    level: Level
    name: str
    sentence: str
    next: str = ""


@dataclass(frozen=True)
class Site:
    """The installation. problems: sentences about bad settings, which the settings here leave out."""

    settings: Settings
    problems: tuple[str, ...]
    place: Place | None
    trouble: str
    """Why there is no place: a sentence with its remedy after the last colon."""
    now_us: int
    deep: bool = False

    @property
    def database(self) -> Place:
        """Only for checks that need it."""
        assert self.place is not None
        return self.place

    @property
    def grave(self) -> Level:
        """Level of what a trial may do and production must not."""
        return "warn" if self.settings.sandbox else "fail"


@dataclass(frozen=True)
class Check:
    """needs: "" nothing, "database" a connection, "schema" tables of this version, "deep" the same and --deep."""

    name: str
    needs: Literal["", "database", "schema", "deep"]
    run: Callable[[Site], Awaitable[list[Finding]]]


def parted(sentence: str) -> tuple[str, str]:
    """(what is wrong, what to do) of a sentence "what is wrong: what to do."."""
    what, _, remedy = sentence.rpartition(": ")
    return (f"{what}.", remedy.rstrip(".")) if what else (sentence, "see docs/settings.md")


def ago(us: int) -> str:
    """A span in the unit that a person would use."""
    seconds = max(us, 0) // 1_000_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
