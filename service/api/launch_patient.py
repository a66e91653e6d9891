"""Whether a person's app may be for a member: the member is in the person's panel now; B9 of security.md 1.5."""

from service.access.context import Context
from service.api.state import Shared
from service.auth.backend_services import Sees
from service.caller import Caller


def sees(shared: Shared) -> Sees:
    """Asked on the screen, at the exchange of the code and at each refresh; each call of the API asks by itself."""

    async def seen(caller: Caller, patient: str) -> bool:
        ctx = Context(shared.store, caller, shared.store.clock.now_us(), shared.behaviour)
        return await ctx.head(patient) is not None

    return seen
