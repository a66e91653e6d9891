"""The resource that a conditional request means: at most one, and nobody else may create another meanwhile.

https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, #cdelete; preconditions in headers: RFC 9110, 13.1
"""

from collections.abc import Iterable

from fhir_profiles.catalog import catalog
from service.access import tripwire
from service.access.context import Context
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue
from service.interactions.asked import asked
from service.interactions.decision import Preconditions
from service.store.change import Change
from service.store.epochs import epoch
from service.store.find import search as find
from service.store.read import Found
from service.store.slots import updated_us

QUESTIONS = 65_536
"""Conditional writes of one question exclude each other by a counter; so many counters, so that they never grow."""
IGNORED = frozenset(
    "_count _elements _format _include _page _pretty _revinclude _sort _summary _total _totalMethod".split()
)
"""Parameters that shape an answer choose no resource: a condition is read without them."""

Query = tuple[tuple[str, str], ...]


def criteria_of(params: Iterable[tuple[str, str]]) -> Query:
    """The parameters of a query that choose resources."""
    return tuple(pair for pair in params if pair[0].partition(":")[0] not in IGNORED)


def condition_of_create(params: Iterable[tuple[str, str]], pre: Preconditions) -> Query | None:
    """The query of If-None-Exist, or of the URL (fhirpy: POST [type]?query); 400 where both ask different things."""
    in_url = criteria_of(params)
    if not in_url:
        return pre.if_none_exist
    if pre.if_none_exist is not None and sorted(criteria_of(pre.if_none_exist)) != sorted(in_url):
        text = "The query of the URL and If-None-Exist ask different things: send one of them."
        raise FhirError(Category.MALFORMED, [Issue(text, code="invalid")], reason="two-conditions")
    return in_url


async def ask(ctx: Context, rtype: str, query: Query, change: Change, name: str) -> Found | None:
    """The one visible resource that fits the query, or None; 412 where several do or nothing is asked.

    name: what held the query ("If-None-Exist", "The URL"), for sentences. A Change that creates relies on None: who
    creates under the same question meanwhile makes it stale. So the counter is read before the search. Of a match its
    version says whether it moved.
    """
    query = criteria_of(query)
    question = _question(ctx, rtype, query)
    before = await epoch(ctx.store, question)
    found = await matches(ctx, rtype, query, name)
    if len(found) > 1:
        text = f"{name} matches more than one resource: make the query select at most one."
        raise FhirError(Category.STALE, [Issue(text, code="multiple-matches")], reason="multiple-matches")
    if found:
        return found[0]
    change.epochs[question] = before
    change.bump_epochs.add(question)
    return None


async def matches(ctx: Context, rtype: str, query: Query, name: str) -> list[Found]:
    """The first two visible resources that fit; 400 for what cannot be searched for, 412 where nothing is asked."""
    check_scope(ctx.caller, "s", rtype)
    query = criteria_of(query)
    if not query:
        text = f"{name} must hold at least one search parameter, such as identifier=system|value."
        raise FhirError(Category.STALE, text, reason="no-criteria")
    (criteria,) = asked(ctx, (rtype,), [*query, ("_count", "2")], strict=True)
    page = await find(ctx.store, criteria, ctx.scoped("s"), include_restriction=ctx.linkable())
    await tripwire.check_found(ctx, page.matches)
    return page.matches


def _question(ctx: Context, rtype: str, query: Query) -> int:
    parts = sorted(f"{name}={value}" for name, value in query)
    return ctx.store.keys.of("if-none-exist", ctx.caller.organization, rtype, *parts) % QUESTIONS


# --- preconditions in headers -----------------------------------------------------------------------------------------


def check_preconditions(rtype: str, current: Found, pre: Preconditions) -> None:
    """Before a write of what is there: 412 for If-Match that fails or If-None-Match that holds, 428 where it is law."""
    check_if_match(rtype, current, pre)
    if pre.any_version or (pre.if_none_match and current.version in pre.if_none_match):
        text = "The resource is there, in a version that If-None-Match excludes: read it, or leave the header out."
        etag = {"ETag": f'W/"{current.version}"'}
        raise FhirError(Category.STALE, [Issue(text, code="conflict")], headers=etag, reason="if-none-match")


def check_if_match(rtype: str, current: Found, pre: Preconditions) -> None:
    if pre.if_match is None:
        if catalog().types[rtype].if_match_required:
            text = f"{rtype} is edited by several parties: read it first, then send If-Match with its ETag, "
            text += 'for example W/"1".'
            raise FhirError(Category.PRECONDITION_REQUIRED, [Issue(text, code="required")], reason="if-match")
        return
    if current.version not in pre.if_match:
        text = "The resource was changed since the version in If-Match: read it again and repeat the change on it."
        etag = {"ETag": f'W/"{current.version}"'}
        raise FhirError(Category.STALE, [Issue(text, code="conflict")], headers=etag, reason="if-match")


def check_absent(pre: Preconditions) -> None:
    """412 where a client names the version of something that is not there."""
    if pre.if_match is not None:
        text = "If-Match names a version, and nothing is there: leave the header out."
        raise FhirError(Category.STALE, [Issue(text, code="conflict")], reason="if-match")


def unmodified(found: Found, pre: Preconditions) -> bool:
    """Whether a read is answered 304: If-None-Match decides where it is sent, else If-Modified-Since by the second."""
    if pre.any_version:
        return True
    if pre.if_none_match is not None:
        return found.version in pre.if_none_match
    return pre.if_modified_since is not None and updated_us(found.vid) // 1_000_000 <= pre.if_modified_since
