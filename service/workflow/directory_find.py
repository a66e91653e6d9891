"""Services of the directory by a search, for the service's own work: the same parameters as GET /HealthcareService."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.errors import FhirError
from service.search import query
from service.search.asking import May
from service.search.restriction import EVERYTHING
from service.store import find
from service.workflow.directory_capacity import standing, verified

ALL = May(search=lambda _rtype: True, read=lambda _rtype: True)


class NotAsked(Exception):
    """The search cannot be executed: sentences with the remedy, each of its own."""

    def __init__(self, *sentences: str):
        super().__init__(" ".join(sentences))
        self.sentences = sentences


async def entries(ctx: Context, params: list[tuple[str, str]], rtype: str = "HealthcareService") -> list[Resource]:
    """The first page of a search that no caller's rights narrow. Raises NotAsked."""
    return (await page(ctx, params, rtype=rtype))[0]


async def page(
    ctx: Context, params: list[tuple[str, str]], after: Sequence[Any] | None = None, rtype: str = "HealthcareService"
) -> tuple[list[Resource], tuple[Any, ...] | None]:
    """As entries(), behind a position; and the position behind which there are more, or None."""
    try:
        criteria = query.parse(
            rtype,
            params,
            ctx.store.keys,
            strict=True,
            now_us=ctx.now_us,
            base_url=ctx.settings.base_url,
            may=ALL,
        )
        criteria = replace(criteria, after=tuple(after) if after else None)
        found = await find.search(ctx.store, criteria, EVERYTHING, include_restriction=EVERYTHING)
    except FhirError as error:
        raise NotAsked(*(issue.diagnostics for issue in error.issues)) from None
    return [parse(one.body) for one in found.matches], found.next


async def services(
    ctx: Context, params: list[tuple[str, str]], *, need: str = "", limit: int = 20
) -> list[dict[str, str]]:
    """Active services, the nearest first where `near` is asked. need: code of a category or a type. Raises NotAsked."""
    asked = [("active", "true"), ("_count", str(limit)), *params]
    if any(name == "near" for name, _ in params):
        asked.append(("_sort", "near"))
    if need:
        asked.append(("_filter", f'service-category eq "{_quoted(need)}" or service-type eq "{_quoted(need)}"'))
    try:
        return [told(one) for one in await entries(ctx, asked)]
    except NotAsked as error:  # the order is ours: who asked for it by a wrong place hears of the place alone
        raise NotAsked(*[one for one in error.sentences if "'_sort'" not in one] or error.sentences) from None


def told(service: Resource) -> dict[str, str]:
    """What a list shows of a service."""
    provider: dict[str, Any] = service.get("providedBy") or {}
    phones = (str(one.get("value", "")) for one in service.get("telecom") or () if one.get("system") == "phone")
    return {
        "service": f"HealthcareService/{service['id']}",
        "name": str(service.get("name", "")),
        "organization": str(provider.get("reference") or provider.get("display") or ""),
        "capacity": standing(service),
        "verified": verified(service),
        "phone": next(phones, ""),
    }


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
