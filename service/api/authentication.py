"""Who calls, by the mode of the installation: our own opaque tokens, or those of an external issuer."""

from collections.abc import Collection
from dataclasses import replace

from service.api.state import Shared
from service.auth.bearer import bearer_digest, caller_now
from service.auth.resource_server import standing
from service.caller import Caller
from service.store import read
from service.store.credentials import place_now


async def authenticated(shared: Shared, authorization: str | None, query_keys: Collection[str], now_us: int) -> Caller:
    """Raises FhirError: 401 for anything but a good token, 400 for a token in the URL. query_keys: names in the URL."""
    if shared.issuer is not None:
        caller = await shared.issuer.caller(authorization, query_keys, now_us)
        return standing(caller, await place_now(shared.store, caller.organization, caller.person))
    env = shared.settings.env
    digest = bearer_digest(authorization, query_keys, env)
    caller = await caller_now(shared.store, await read.token(shared.store, digest), now_us, env)
    return replace(caller, token=digest[-6:].hex())
