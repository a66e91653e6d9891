"""A plan's member information file -> enrollment: bytes kept, rows written one Change each, a report.

facts/california.md B.4.1, C.7; decisions.md 9. Everything is decided by comparing with what is stored, so that the same
file twice changes nothing and a file that broke off goes on where it stood.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import orjson

from mappers.plan_files.layout import Layout, load
from mappers.plan_files.member_information import Outcome, members
from mappers.plan_files.reports import Counts, report
from mappers.plan_files.rows import Row, RowIssue
from mappers.plan_files.table import Table, read_rows
from service.access.context import Context
from service.store import plan_files
from service.store.change import Change, Claim, ClaimTaken
from service.store.plan_files import StoredFile
from service.workflow.member_directory import Directory, Plan
from service.workflow.member_rows import RowResult, RowWork, apply_row

IN_FLIGHT = 64
"""Rows decided and committed at once: a group commit shares one fsync among them."""

Progress = Callable[[int], None]
"""Called with the number of data rows that are done."""


@dataclass(frozen=True)
class IncomingFile:
    """kind: a folder of layouts. filename: its last part only; the ending tells xlsx. layout: instead of the plan's."""

    kind: str
    filename: str
    content: bytes
    layout: Layout | None = None


@dataclass(frozen=True)
class Imported:
    """state: done, already-imported, dry-run, failed (nothing or not all was readable). report: see reports.py."""

    file_id: str
    state: str
    layout: str
    report: dict[str, Any]

    @property
    def issues(self) -> list[RowIssue]:
        return [RowIssue(**issue) for issue in self.report["issues"]]

    def shown(self) -> dict[str, Any]:
        """The report with what became of the file: what --json prints and what is stored."""
        return {"file_id": self.file_id, "state": self.state, "layout": self.layout, **self.report}


async def import_file(
    ctx: Context,
    plan: Plan,
    file: IncomingFile,
    *,
    today: date,
    again: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """ctx: the system caller for the plan's organization. today: the date in California.

    A file that was imported to its end is not read again unless `again`. Raises Unavailable where the database is gone;
    the same call then goes on.
    """
    layout = file.layout or load(file.kind, plan.slug or None)
    if dry_run:
        result = await _rows(ctx, plan, file, layout, today, dry=True, progress=progress)
        imported = replace(result, state="failed" if result.state == "failed" else "dry-run")
        await ctx.store.commit(Change(audit=[ctx.audit("R", "file-dry-run", f"plan-file {file.kind}")]))
        return imported
    stored = await _received(ctx, plan, file, again=again)
    if stored.state == "done" and not again:
        first = orjson.loads(stored.report)
        inside = {name: first[name] for name in ("counts", "file", "rules", "issues")}
        return Imported(stored.id, "already-imported", first["layout"], inside)
    result = await _rows(ctx, plan, file, layout, today, dry=False, progress=progress)
    imported = replace(result, file_id=stored.id)
    audit = ctx.audit("E", "file-import", f"plan-file {stored.id}", outcome=8 if imported.state == "failed" else 0)
    text = orjson.dumps(imported.shown()).decode()
    await ctx.store.commit(Change(statements=[plan_files.finish(stored.id, imported.state, text)], audit=[audit]))
    return imported


async def _received(ctx: Context, plan: Plan, file: IncomingFile, *, again: bool) -> StoredFile:
    """The row of these bytes: of an earlier import, or a new one. `again` keeps the earlier report beside its own."""
    digest = hashlib.sha256(file.content).digest()
    known = await plan_files.same_files(ctx.store, file.kind, plan.reference, digest)
    unfinished = [one for one in known if one.state == "received"]
    if known and (unfinished or not again):
        return unfinished[0] if again else known[0]
    file_id = ctx.new_id()
    facts = {"kind": file.kind, "plan": plan.reference, "filename": file.filename}
    change = Change(
        statements=[plan_files.receive(file_id, **facts, digest=digest, received_us=ctx.now_us, content=file.content)],
        audit=[ctx.audit("C", "file-received", f"plan-file {file_id}")],
    )
    if not known:
        change.claims.append(Claim(ctx.store.keys.of("plan-file", file.kind, plan.reference, digest.hex())))
    try:
        await ctx.store.commit(change)
    except ClaimTaken:  # the same file is being imported by somebody else at this moment: both do the work once
        return (await plan_files.same_files(ctx.store, file.kind, plan.reference, digest))[0]
    return StoredFile(file_id, file.kind, plan.reference, file.filename, ctx.now_us, "received", "")


async def _rows(
    ctx: Context,
    plan: Plan,
    file: IncomingFile,
    layout: Layout,
    today: date,
    *,
    dry: bool,
    progress: Progress | None,
) -> Imported:
    """Reads and writes all rows, IN_FLIGHT at once; the report counts and lists what became of each."""
    table = read_rows(file.content, file.filename, layout)
    work = RowWork(
        ctx, plan, layout, Directory(ctx, dry=dry), today, dry=dry, digest=hashlib.sha256(file.content).hexdigest()
    )
    tally: Counter[str] = Counter()
    issues: list[RowIssue] = []
    rows = members(_noting_headers(table, work.headers), layout, today)

    async def worker() -> None:
        for outcome in rows:  # one iterator for all: between two awaits nobody else takes from it
            result = await _row(work, outcome)
            tally[result.outcome] += 1
            issues.extend(result.issues)
            if progress:
                progress(tally.total())
            await asyncio.sleep(0)

    await _all([worker() for _ in range(IN_FLIGHT)])
    issues.sort(key=lambda issue: issue.row)
    counts = Counts(
        rows=table.data_rows,
        accepted=tally.total() - tally["rejected"],
        rejected=tally["rejected"],
        blank=table.blank_rows,
        created=tally["created"],
        updated=tally["updated"],
        unchanged=tally["unchanged"],
    )
    whole = table.readable and (counts.accepted or not counts.rows)
    return Imported("", "done" if whole else "failed", layout.id, report(issues, counts, table.problems))


async def _row(work: RowWork, outcome: Outcome) -> RowResult:
    if outcome.member is None:
        return RowResult("rejected", outcome.issues)
    result = await apply_row(work, outcome.member)
    return RowResult(result.outcome, (*outcome.issues, *result.issues))


def _noting_headers(table: Table, headers: dict[str, str]) -> Iterator[Row]:
    """The rows; what their columns are called in this file is noted for findings that are made later."""
    for row in table:
        headers.update(row.headers)
        yield row


async def _all(workers: list[Any]) -> None:
    """All of them; where one fails the others stop at once, and its exception is raised."""
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
