"""Under which names a Consent may mean the caller, and for what the caller asks."""

from functools import lru_cache

from service.caller import Caller
from service.search.keys import Keys
from service.search.purposes import purposes_of as purposes_of


def actors_of(caller: Caller, keys: Keys) -> tuple[int, ...]:
    """Keys of the person, the organization and those it is part of.

    A CareTeam is not among them: its members are looked up when the rule is asked (panel rows that the team gave).
    """
    return _keys(keys, (caller.person or "", caller.organization, *caller.above))


@lru_cache(maxsize=4096)
def _keys(keys: Keys, references: tuple[str, ...]) -> tuple[int, ...]:
    """Callers are few and ask often."""
    return tuple(keys.resource(reference) for reference in references if reference)
