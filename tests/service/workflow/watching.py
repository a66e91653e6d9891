"""What goes to a store while something is done: reads, statements, jobs."""

from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from service.search.restriction import EVERYTHING
from service.store import read
from service.store.change import Change
from service.store.engine import Store
from service.store.read import Found
from service.store.together import current


class Watch:
    """sql: reads of the store; sent: the statements for them, with their values. every: heads that were read; heads:
    of them whatever the caller may see. jobs: kinds that were queued."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        self.sql, self.heads, self.jobs, self.statements = list[str](), list[str](), list[str](), list[str]()
        self.every, self.sent = list[str](), list[str]()
        fetch, head, commit = store.db.fetch, read.head, store.db.commit

        async def fetched(sql: str, params: tuple[Any, ...] = (), **how: Any) -> Any:
            self.sql.append(sql)
            if current() is None:  # one that is in a round goes out with the others
                self.sent.append(f"{sql} {params}")
            return await fetch(sql, params, **how)

        async def of(at: Store, rtype: str, fhir_id: str, restriction: Any) -> Found | None:
            self.every.append(f"{rtype}/{fhir_id}")
            if restriction is EVERYTHING:
                self.heads.append(f"{rtype}/{fhir_id}")
            return await head(at, rtype, fhir_id, restriction)

        async def committed(change: Change) -> Any:
            self.jobs += [job.kind for job in change.jobs]
            self.statements += [one.sql for one in change.statements]
            return await commit(change)

        monkeypatch.setattr(store.db, "fetch", fetched)
        monkeypatch.setattr(store.db, "commit", committed)
        monkeypatch.setattr(read, "head", of)

    async def of(self, call: Awaitable[httpx.Response]) -> httpx.Response:
        for kept in (self.sql, self.heads, self.jobs, self.statements):
            kept.clear()
        answer = await call
        assert answer.is_success, answer.text
        return answer
