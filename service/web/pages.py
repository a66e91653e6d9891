"""One page request from start to end: decide and commit, or say in words what went wrong. Never a traceback."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from service import metrics
from service.access.context import Context
from service.errors import Category, FhirError
from service.interactions import settle
from service.interactions.decision import Answer, Decision
from service.interactions.settle import Decide
from service.log_events import REQUEST_FAILED, REQUEST_ID, REQUEST_REFUSED, log, where
from service.store.change import AuditRow, Change, Stale
from service.store.database import Full, TooCostly, Unavailable
from service.web.rendering import HEADERS, render
from service.web.session import NotSignedIn, PageRefused, SignedIn, SigninLimits, of_app, shared_of

Handler = Callable[[Request], Awaitable[Response]]

WORDS: dict[Category, tuple[str, str]] = {
    Category.FORBIDDEN: ("Not allowed", "Your account may not do this. Ask your supervisor if you should."),
    Category.NOT_FOUND: ("Not found", "There is nothing here for you: it does not exist, or it is not yours to see."),
    Category.TOO_MANY: ("Too many tries", "Wait a minute, then try again."),
    Category.UNAVAILABLE: ("Try again", "The service cannot answer right now. Wait a moment, then try again."),
    Category.INTERNAL: ("Our fault", "Something went wrong on our side, and nothing was changed. Try again."),
}
NO_SPACE = "The service has no space left to store this. Nothing was changed; tell your administrator."
_NOT_DONE = ("Not done", "The request could not be carried out. Go back, reload the page and try again.")


def page(handler: Handler) -> Handler:
    """Not signed in: to the first page, which offers to sign in."""
    return _answering(handler, lambda: RedirectResponse("/", 303, HEADERS))


def fragment(handler: Handler) -> Handler:
    """Not signed in: 401, since a script asks and must not put a whole page into a part of one."""
    return _answering(handler, lambda: Response("Sign in again.", 401, HEADERS, media_type="text/plain"))


def sandbox_only(handler: Handler) -> Handler:
    """In production this address is as unknown as any other: the same 404, and nothing is read."""

    async def answer(request: Request) -> Response:
        if not shared_of(request).settings.sandbox:
            raise HTTPException(404)
        return await handler(request)

    return answer


def _answering(handler: Handler, not_signed_in: Callable[[], Response]) -> Handler:
    async def answer(request: Request) -> Response:
        started, request_id = time.perf_counter(), shared_of(request).store.clock.new_id()
        marker = REQUEST_ID.set(request_id)
        try:
            response = await handler(request)
        except NotSignedIn:
            response = not_signed_in()
        except ClientDisconnect:
            response = Response(status_code=400)
        except Exception as error:
            response = await _refused(request, error, request_id)
        finally:
            REQUEST_ID.reset(marker)
        response.headers["X-Request-Id"] = request_id
        metrics.request_done("page", "", response.status_code, time.perf_counter() - started)
        return response

    return answer


async def settled(who: SignedIn, decide: Decide) -> Answer:
    """As settle.settled, with the note that the person was here. No client named a version: what moved is read anew."""

    async def noted(ctx: Context) -> Decision:
        try:
            decision = await decide(ctx)
        except FhirError as error:
            if error.category is Category.STALE:
                raise Stale("version") from error
            raise
        if who.touch is not None:
            decision.change.statements.append(who.touch)
        return replace(decision, retry=True)

    return await settle.settled(who.ctx, noted)


async def _refused(request: Request, error: Exception, request_id: str) -> Response:
    """An error page; the refusal has its audit row, in a Change of its own."""
    refusal = _as_refusal(error)
    status = refusal.category.status
    if refusal.category is Category.INTERNAL:
        log(REQUEST_FAILED, method=request.method, type="page", status=500, **where(error))
    else:
        log(REQUEST_REFUSED, method=request.method, type="page", status=status, reason=refusal.reason)
    try:
        if not isinstance(error, Unavailable) or isinstance(error, Full):  # else nothing can be recorded now
            await _audit(request, refusal, request_id)
    except Exception:
        if refusal.category is not Category.UNAVAILABLE:
            refusal = FhirError(Category.UNAVAILABLE, "The request cannot be recorded now.")
        status = refusal.category.status
    title, words = WORDS.get(refusal.category, _NOT_DONE)
    if isinstance(refusal, PageRefused):
        words = refusal.sentence
    quote = request_id if status >= 500 else ""
    response = render("error.html", status, title=title, words=words, request_id=quote, name="", csrf="", nav=())
    if refusal.category is Category.UNAVAILABLE:
        response.headers["Retry-After"] = "30" if refusal.reason == "no-space" else "1"
    return response


async def _audit(request: Request, refusal: FhirError, request_id: str) -> None:
    outcome = 8 if refusal.category.status >= 500 else 4
    store = shared_of(request).store
    ctx: Context | None = getattr(request.state, "ctx", None)
    if ctx is not None:
        row = ctx.audit("E", "refusal", "", outcome=outcome, reason=refusal.reason)
    else:
        # Strangers write no more than a few rows a minute each.
        limits: SigninLimits = of_app(request, "signin_limits", SigninLimits)
        if limits.told.wait_s(request.client.host if request.client else "", store.clock.now_us()):
            return
        row = AuditRow("E", "refusal", outcome, "anonymous", "", request_id=request_id, reason=refusal.reason)
    await store.commit(Change(audit=[row]))


def _as_refusal(error: Exception) -> FhirError:
    match error:
        case FhirError(category=Category.GONE):
            return FhirError(Category.NOT_FOUND, "gone", reason=error.reason)
        case FhirError():
            return error
        case Full():
            return PageRefused(Category.UNAVAILABLE, NO_SPACE, "no-space")
        case TooCostly() | Unavailable():
            return FhirError(Category.UNAVAILABLE, "The store does not answer.")
        case _:
            return FhirError(Category.INTERNAL, "The request failed by our fault.")
