"""What the steps of one turn with a partner share: the store, the partner's server, and how a Change of it is made."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from service.access.context import Context, Settings
from service.caller import Caller, Role, system_caller
from service.store import partners
from service.store.change import Change, ClaimTaken, Stale, Statement
from service.store.engine import Store
from service.store.partners import Partner
from service.workflow.partner_client import Server

TRIES = 8
FIRST_US, MOST_US = 30_000_000, 900_000_000
ROW_MOST_US = 3_600_000_000


class LeaseLost(Exception):
    """Another worker has the partner now, or a person paused it: nothing more is sent."""


def holding(store: Store, partner: Partner) -> Callable[[], Awaitable[None]]:
    """What a Server calls before each request. Raises LeaseLost."""

    async def hold() -> None:
        if not await partners.holds(store, partner, store.clock.now_us()):
            raise LeaseLost

    return hold


@dataclass(frozen=True)
class Turn:
    """One worker's work with one partner, as long as it holds the lease."""

    store: Store
    behaviour: Settings
    partner: Partner
    server: Server

    @property
    def base_url(self) -> str:
        return self.behaviour.base_url.rstrip("/")

    def now_us(self) -> int:
        return self.store.clock.now_us()

    def context(self) -> Context:
        """Of the service itself."""
        return Context(
            self.store, system_caller(), self.now_us(), self.behaviour, request_id=f"partner-{self.partner.name}"
        )

    def as_organization(self, organization: str = "") -> Context:
        """What the partner's organization may see now: nothing else is sent to its server."""
        caller = Caller(
            f"partner:{self.partner.name}", Role.CBO, organization or self.partner.organization,
            scopes="system/*.rs", allows=lambda letter, _type: letter in "rs",
        )  # fmt: skip
        return Context(self.store, caller, self.now_us(), self.behaviour, request_id=f"partner-{self.partner.name}")

    async def commit(self, decide: Callable[[Context], Awaitable[Change | None]]) -> bool:
        """Decides and commits, again where something moved meanwhile; False where there was nothing to do."""
        for _ in range(TRIES):
            change = await decide(self.context())
            if change is None:
                return False
            try:
                await self.store.commit(change)
                return True
            except (Stale, ClaimTaken):
                continue
        raise RuntimeError("the same resources kept changing")

    async def noted(self, *statements: Statement) -> None:
        await self.store.commit(Change(statements=list(statements)))


def partner_retry_us(tries: int, now_us: int) -> int:
    """When an unreachable partner is tried again: after 30 s, doubling to a quarter of an hour, without end."""
    return now_us + min(FIRST_US << min(tries, 10), MOST_US)


def row_retry_us(tries: int, now_us: int) -> int:
    """When one referral is tried again that alone failed: after 30 s, doubling to an hour."""
    return now_us + min(FIRST_US << min(tries, 10), ROW_MOST_US)
