"""The audit row of what a person does by the `enlace` command: who, what, about whom; durable before it is printed."""

import getpass
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from service.store.change import AuditRow, Change

if TYPE_CHECKING:
    from service.store.engine import Store

OPERATOR = "operator"


def act(kind: str, target: str = "", patients: Sequence[str] = (), action: str = "R", **more: Any) -> AuditRow:
    """more: of the row's detail; never text of a message."""
    facts = {"user": _login(), **more}
    detail = orjson.dumps(facts).decode()
    return AuditRow(action, kind, 0, OPERATOR, "", target, tuple(patients), "cli", purpose="HOPERAT", detail=detail)


async def recorded(store: "Store", row: AuditRow) -> None:
    """Raises Unavailable: then nothing may be shown."""
    await store.commit(Change(audit=[row]))


def _login() -> str:
    """As the system knows the person; a container may know nobody."""
    with suppress(Exception):
        return getpass.getuser()[:64]
    return ""
