"""The handlers of THE route table: a Call -> the function that decides. Nothing here knows HTTP."""

import re

from service.errors import not_found
from service.interactions.call import Call

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


def id_of(call: Call) -> str:
    """The id of the path; what cannot be one is not known."""
    if not _ID.match(call.id):
        raise not_found(call.type, "this id")
    return call.id
