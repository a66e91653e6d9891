"""One entry as a request of its own: decided, committed, audited; its refusal is an answer and an audit row too."""

import time
from dataclasses import replace

from service.access.context import Context
from service.bundles.answers import Asked, answered, refused
from service.bundles.entries import Entry
from service.errors import Category, FhirError, Issue
from service.interactions.refusal import as_refusal
from service.interactions.settle import settled
from service.log_events import REQUEST_FAILED, REQUEST_REFUSED, log, where
from service.store.change import Change
from service.store.database import Full, Unavailable

SECONDS = 30.0
"""As long as one Bundle may take; an entry that has begun is finished."""


async def single(ctx: Context, entry: Entry, asked: Asked, until_s: float) -> bytes:
    """The entry of the response. Nothing that is wrong with this one touches another."""
    own = replace(ctx, pending={}, known={})
    own.at(own.store.clock.now_us())
    began = time.monotonic()
    try:
        if entry.error is not None:
            raise entry.error
        if began > until_s:
            raise too_long()
        assert entry.route is not None
        decide = await entry.route.handler(own, entry.route.call)
        return answered(asked, await settled(own, decide), ctx.settings.base_url)
    except Exception as error:
        return refused(await _recorded(own, entry, error, began))


def too_long() -> FhirError:
    text = f"The Bundle took longer than {SECONDS:.0f} seconds: send it in parts."
    return FhirError(Category.UNAVAILABLE, [Issue(text, code="too-costly")], {"Retry-After": "5"}, reason="too-long")


async def _recorded(ctx: Context, entry: Entry, error: Exception, began: float) -> FhirError:
    """The refusal once its audit row is durable; 503 where it cannot be."""
    refusal, rtype = as_refusal(error), entry.rtype
    method = entry.method if entry.method in _METHODS else "other"
    ms = int((time.monotonic() - began) * 1000)
    if refusal.category is Category.INTERNAL:
        log(REQUEST_FAILED, method=method, type=rtype or None, status=500, ms=ms, **where(error))
    else:
        log(
            REQUEST_REFUSED,
            method=method,
            type=rtype or None,
            status=refusal.category.status,
            ms=ms,
            reason=refusal.reason,
            issues=len(refusal.issues),
            client=ctx.caller.client_id,
        )
    if isinstance(error, Unavailable) and not isinstance(error, Full):
        return refusal  # nothing was seen, nothing can be recorded
    outcome = 8 if refusal.category.status >= 500 else 4
    try:
        row = ctx.audit("E", "refusal", rtype, outcome=outcome, reason=refusal.reason)
        await ctx.store.commit(Change(audit=[row]))
    except Exception:
        if refusal.category is not Category.UNAVAILABLE:
            text = "The request cannot be recorded now: try again."
            return FhirError(Category.UNAVAILABLE, text, {"Retry-After": "1"})
    return refusal


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})
