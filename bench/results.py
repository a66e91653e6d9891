"""Rows of results and the table that is printed."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Row:
    """One measurement. server_us, database_us: CPU time per request of the service and of PostgreSQL."""

    name: str
    per_s: float | None = None
    ratio: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    server_us: float | None = None
    database_us: float | None = None
    floor: str = ""
    reached: bool | None = None
    note: str = ""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


HEAD = ("measured", "per s", "/ static", "p50 ms", "p99 ms", "CPU us", "db CPU us", "floor", "")


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [_line(HEAD), "|" + "---|" * len(HEAD)]
    for row in rows:
        reached = "" if row.reached is None else "reached" if row.reached else "**below**"
        lines.append(
            _line(
                (
                    row.name,
                    _number(row.per_s, 0),
                    _number(row.ratio, 2),
                    _number(row.p50_ms, 1),
                    _number(row.p99_ms, 1),
                    _number(row.server_us, 0),
                    _number(row.database_us or None, 0),
                    row.floor,
                    " ".join(part for part in (reached, row.note) if part),
                )
            )
        )
    return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
