"""Subscriptions as steps of a write: service/notify/subscribing.py decides."""

from service.notify import subscribing
from service.workflow.steps import Step


async def created(step: Step) -> None:
    step.new = await subscribing.created(step.ctx, step.new, step.change)


async def altered(step: Step) -> None:
    assert step.old is not None
    step.new = await subscribing.altered(step.ctx, step.new, step.old, step.change)


async def ended(step: Step) -> None:
    """Of a deletion `new` is what is deleted."""
    await subscribing.ended(step.ctx, step.new, step.change)
