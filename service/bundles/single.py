"""One entry as a request of its own: decided, committed, audited; its refusal is an answer and an audit row too."""

import time
from dataclasses import replace

from service.access.context import Context
from service.bundles.answers import Asked, answered, refused
from service.bundles.entries import Entry
from service.errors import Category, FhirError, Issue
from service.interactions.refusal import recorded, told
from service.interactions.settle import settled

SECONDS = 30.0
"""As long as one Bundle may take; an entry that has begun is finished."""


async def single(ctx: Context, entry: Entry, asked: Asked, until_s: float) -> bytes:
    """The entry of the response. Nothing that is wrong with this one touches another."""
    own = replace(ctx, pending={}, known={}, asked=f"{entry.method} {entry.request.get('url')}")
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
        ms = int((time.monotonic() - began) * 1000)
        refusal = told(error, entry.method, entry.rtype, ms, own.caller.client_id)
        return refused(await recorded(own, error, refusal, entry.rtype))


def too_long() -> FhirError:
    text = f"The Bundle took longer than {SECONDS:.0f} seconds: send it in parts."
    return FhirError(Category.UNAVAILABLE, [Issue(text, code="too-costly")], {"Retry-After": "5"}, reason="too-long")
