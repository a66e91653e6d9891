"""Plays one story step by step against a running service and says what happens; the first surprise ends it."""

import asyncio
from importlib import import_module
from typing import IO

from service.cli.stories.shown import Shown
from service.cli.stories.stage import Stage
from service.cli.stories.story import Stopped, Story, StoryFailed
from service.cli.stories.wire import Wire
from service.settings import Settings
from service.store.engine import Store, open_store
from service.workflow.member_directory import UnknownPlan

PACE_S = 1.5
INTRO = "Weeks are played in a minute, so all times are of today. Everybody in it is made up."


def story(name: str) -> Story:
    """By its name: a key of service.cli.stories.NAMES."""
    found: Story = import_module(f"service.cli.stories.{name}").STORY
    return found


async def play(settings: Settings, told: Story, *, pace: float = PACE_S, out: IO[str] | None = None) -> Stage:
    """Against the service of these settings. Raises StoryFailed: what was expected, and what came instead."""
    store = await open_store(settings.database_url.get_secret_value())
    try:
        return await _play(store, settings, told, pace, Shown(out))
    finally:
        await store.close()


async def _play(store: Store, settings: Settings, told: Story, pace: float, shown: Shown) -> Stage:
    wire = Wire(store, settings)
    stage = Stage(told, wire, shown)
    shown.heading(told.title, f"The member: {stage.name}, CIN {stage.row.cin}, new for this playing.", INTRO)
    number = 0
    try:
        await stage.reach()
        for number, step in enumerate(told.steps, 1):
            if number > 1:
                await asyncio.sleep(pace)
            shown.step(number, len(told.steps), step.who, step.says)
            for act in step.acts:
                await act(stage)
    except (StoryFailed, UnknownPlan) as error:
        where = f"Step {number} of the story failed" if number else "The story could not begin"
        kind = Stopped if await wire.stopping() else StoryFailed
        raise kind(f"{where}: {str(error).rstrip('.')}.") from None
    finally:
        await wire.close()
    shown.ended(told.last)
    return stage


def where_to_look(stage: Stage, *, serving: bool = True) -> str:
    """What to open and what to ask after the story; serving: the service goes on."""
    base, record = stage.wire.settings.base_url, stage.made["patient"]
    token = f"$(.venv/bin/enlace token --role lcm --client {stage.lead.client})"
    after = "The service goes on. Ctrl-C stops it; the data stays."
    before = "The service stops now; the data stays. `make run` starts it again, and then:"
    return "\n".join(
        (
            "",
            *([] if serving else [f"  {before}"]),
            f"  Pages: {base}/ (sign in as {stage.lead.name}).",
            f"  {stage.name}'s record, as {stage.lead.name} sees it:",
            f'    curl -s -H "Authorization: Bearer {token}" {base}/fhir/{record}',
            *([f"  {after}"] if serving else []),
        )
    )
