"""What a new or changed sending system relies on, as one Change: its epoch, its sender's, its Organizations."""

from service.store import sources
from service.store.change import AuditRow, Change
from service.store.engine import Store
from service.store.epochs import epoch
from service.store.inbox_find import has_resource
from service.store.sources import RegisteredSource
from service.workflow.source_form import BadSource, organizations


def key_of(store: Store, name: str) -> int:
    return store.keys.of("source", name)


async def version(store: Store, name: str) -> int:
    """How often the source was written: the tag of its ETag."""
    return await epoch(store, key_of(store, name))


async def source_change(
    store: Store, source: RegisteredSource, row: AuditRow, former: RegisteredSource | None, expected: int
) -> Change:
    """Writes the source if nobody has written it since `expected`. Raises BadSource: its sender is another's already,
    or an Organization is not there: nobody could see what belongs to it.
    """
    known = organizations(former) if former else []
    problems = [
        f"There is no {one}: write it first."
        for one in organizations(source)
        if one not in known and not await has_resource(store, one)
    ]
    if not organizations(source):
        problems.append("organization is required where facilities names none.")
    for other in await sources.all_sources(store):
        same = (other.application, other.facility) == (source.application, source.facility)
        if same and other.name != source.name and other.active and source.active:
            problems.append(f"{source.application}/{source.facility} is already {other.name}: edit that one.")
    if problems:
        raise BadSource(problems)
    sender = store.keys.of("sender", source.application, source.facility)
    own = key_of(store, source.name)
    return Change(
        epochs={own: expected, sender: await epoch(store, sender)},
        bump_epochs={own, sender},
        statements=[sources.put(source)],
        audit=[row],
    )
