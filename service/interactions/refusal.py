"""Any exception of a request as the refusal that its caller gets: one for requests and for entries of a Bundle."""

from service.errors import Category, FhirError, Issue
from service.store.database import Full, TooCostly, Unavailable


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
