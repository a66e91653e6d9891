"""Whose referrals a caller counts, and by what: its role and panel, as the SQL of measures takes it.

An organization counts the referrals that it made or was asked to fulfil, by what was so then; a plan also those of its
members, labelled ones aside; a lead care manager those of the own members of today; the operator all.
"""

from service.access.context import Context
from service.caller import Caller, Role
from service.store.measures import TRAITS, Whose

_ANY = ("need", "service", "plan", "requester", "owner", "reason")
_WITH_MEMBERS = frozenset({Role.SYSTEM, Role.ADMIN, Role.ECM_PROVIDER, Role.LCM, Role.MCP})
"""Roles that see whole Patients; the minimum view has the language alone."""


def whose(ctx: Context) -> Whose:
    caller = ctx.caller
    if caller.role in (Role.ADMIN, Role.SYSTEM):
        return Whose(everything=True)
    panel = ctx.seen if caller.role is Role.LCM else None
    return Whose((caller.organization,), plan=caller.role is Role.MCP, panel=panel)


def available(caller: Caller) -> tuple[str, ...]:
    """Stratifiers by which the caller may count: what it could not read of a Patient it does not learn so."""
    if not caller.allows("r", "Patient"):
        return _ANY
    return (*_ANY, *(TRAITS if caller.role in _WITH_MEMBERS else ("language",)))
