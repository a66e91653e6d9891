"""Who leads the care of a hospital's patient, and under which number: what its answer says (hospital_answer.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.store import transitional_care as rows
from service.store.together import each, together
from service.workflow.parties import reference_of


@dataclass(frozen=True)
class Team:
    """lead: a person or an organization. held: the lead and the ECM providers, as far as they are stored."""

    lead: str
    providers: tuple[str, ...]
    roles: tuple[Resource, ...]
    held: dict[str, Resource]

    def contact(self) -> str:
        """ "Ana Ruiz, (555) 555-0100"; "" where no name is known.

        The number of the role where the person has none, else of the ECM provider.
        """
        if self.lead not in self.held:
            return ""
        person, providers = self.held[self.lead], (self.held[one] for one in self.providers if one in self.held)
        phone = next(filter(None, map(_phone, (person, *self.roles, *providers))), "")
        name = _name(person)
        return ", ".join(part for part in (name, phone) if part) if name else ""

    def places(self) -> set[str]:
        """Whom the answer names and where they work: what it says of the patient beside (hospital_consent.py)."""
        found = {self.lead, *self.providers}
        for one in [*self.roles, *([self.held[self.lead]] if self.lead in self.held else [])]:
            found |= {reference_of(one, name) for name in ("organization", "practitioner")}
        return found - {""}


async def team_of(ctx: Context, lead: str, providers: Sequence[str]) -> Team:
    names = list(dict.fromkeys((lead, *providers)))
    roles, found = await together(ctx.store, _roles(ctx, lead), each(ctx.store, map(ctx.resource, names)))
    held = {name: one[0] for name, one in zip(names, found, strict=True) if one is not None}
    return Team(lead, tuple(providers), tuple(roles), held)


async def _roles(ctx: Context, lead: str) -> list[Resource]:
    return [parse(one.body) for one in await rows.roles(ctx.store, lead)] if lead.startswith("Practitioner/") else []


def _name(resource: Resource) -> str:
    if resource["resourceType"] == "Organization":
        return str(resource.get("name", ""))
    name: Resource = next(iter(resource.get("name") or ()), {})
    whole = name.get("text") or " ".join([*name.get("given", ()), name.get("family", "")])
    return str(whole).strip()


def _phone(resource: Resource) -> str:
    phones = [t for t in resource.get("telecom") or () if t.get("system") == "phone" and t.get("value")]
    first = sorted(phones, key=lambda t: (t.get("use") != "work", t.get("use") == "home"))
    return str(first[0]["value"]) if first and first[0].get("use") != "home" else ""
