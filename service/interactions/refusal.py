"""Any exception as the refusal that its caller gets, logged and audited: for requests and for entries of a Bundle."""

from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.log_events import REFUSAL_UNRECORDED, REQUEST_FAILED, REQUEST_REFUSED, log, where
from service.store.change import Change
from service.store.database import Full, TooCostly, Unavailable

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"})
"""Methods that a line of the log may name; all others are text of the client's making."""


def as_refusal(error: Exception) -> FhirError:
    match error:
        case FhirError():
            return error
        case TooCostly():
            text = "The request took too long: narrow the search."
            return FhirError(Category.UNAVAILABLE, [Issue(text, code="too-costly")], {"Retry-After": "5"})
        case Full():
            text = "The store has no space for this: it waits until an operator has made some. Nothing was written."
            return FhirError(
                Category.UNAVAILABLE, [Issue(text, code="no-store")], {"Retry-After": "30"}, reason="no-space"
            )
        case Unavailable():
            return FhirError(Category.UNAVAILABLE, "The store cannot be reached now: try again.", {"Retry-After": "1"})
        case _:
            return FhirError(Category.INTERNAL, "The request failed by our fault. Quote X-Request-Id to the operator.")


def told(error: Exception, method: str, rtype: str, ms: int, client: str | None) -> FhirError:
    """The refusal, logged. rtype: a type that we serve, or ""; client: None where nobody was recognised."""
    refusal = as_refusal(error)
    status = refusal.category.status
    facts = {"method": method if method in METHODS else "other", "type": rtype or None, "ms": ms}
    if refusal.category is Category.INTERNAL:
        log(REQUEST_FAILED, **facts, status=status, **where(error))
    else:
        log(
            REQUEST_REFUSED,
            **facts,
            status=status,
            reason=refusal.reason,
            issues=len(refusal.issues),
            client=client,
        )
    return refusal


async def recorded(ctx: Context, error: Exception, refusal: FhirError, rtype: str) -> FhirError:
    """The refusal once its audit row is durable; 503 where it cannot be.

    While the database is away nothing was seen, and nothing can be recorded.
    """
    if isinstance(error, Unavailable) and not isinstance(error, Full):
        return refusal
    outcome = 8 if refusal.category.status >= 500 else 4
    try:
        row = ctx.audit("E", "refusal", rtype, outcome=outcome, reason=refusal.reason)
        await ctx.store.commit(Change(audit=[row]))
    except Exception as failed:
        log(REFUSAL_UNRECORDED, type=rtype or None, **where(failed))
        if refusal.category is Category.UNAVAILABLE:  # says it better already
            return refusal
        text = "The request cannot be recorded now: try again."
        return FhirError(Category.UNAVAILABLE, text, {"Retry-After": "1"})
    return refusal
