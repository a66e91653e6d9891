"""A search as its caller may ask it: scopes and role come in here, whoever then runs it."""

from collections.abc import Sequence

from service.access.context import Context
from service.caller import Caller, Role
from service.search.asking import May
from service.search.criteria import Criteria
from service.search.query import Params, parse_types


def may_of(caller: Caller) -> May:
    """A chain shows of another type what a search and a read of it would show, so it takes both scopes."""
    return May(
        search=lambda rtype: caller.allows("s", rtype) and caller.allows("r", rtype),
        read=lambda rtype: caller.allows("r", rtype),
        labels=caller.role in (Role.ADMIN, Role.SYSTEM),
    )


def asked(
    ctx: Context, rtypes: Sequence[str], params: Params, *, strict: bool, everywhere: bool = False
) -> tuple[Criteria, ...]:
    """One Criteria per type. everywhere: the search is of a compartment or of the whole service."""
    return parse_types(
        rtypes,
        params,
        ctx.store.keys,
        strict=strict,
        now_us=ctx.now_us,
        base_url=ctx.settings.base_url,
        may=may_of(ctx.caller),
        everywhere=everywhere,
    )
