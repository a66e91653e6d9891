"""The clients of the made-up county: sandbox tokens and logins only, none has a key. Roles: facts/california.md C.6."""

from dataclasses import dataclass

from service.auth import sandbox
from service.auth.registration import new_client
from service.caller import Role
from service.cli.seed.directory import CBOS, CLINIC, ECM_PROVIDERS, HOSPITALS, LEAD_CARE_MANAGERS, OPERATOR, PLANS
from service.cli.seed.parts import fhir_id
from service.store.credentials import RegisteredClient

ALL = "system/*.cruds"
HOSPITAL_READS = "system/Organization.rs system/Communication.rs"


@dataclass(frozen=True)
class Login:
    """A client to try: `enlace token --role ROLE --client NAME`."""

    role: str
    client: str
    what: str


LOGINS = (
    Login(Role.ADMIN, "enlace-admin", "operator"),
    Login(Role.LCM, f"{LEAD_CARE_MANAGERS[0].slug}-lcm", f"{LEAD_CARE_MANAGERS[0].name}, Sonja's lead care manager"),
    Login(Role.ECM_PROVIDER, f"{ECM_PROVIDERS[0].slug}-ehr", f"{ECM_PROVIDERS[0].name}, its record system"),
    Login(Role.MCP, "golden-poppy-mcp", PLANS[0].name),
    Login(Role.CBO, f"{CBOS[4].slug}-cbo", CBOS[4].name),
    Login(Role.HOSPITAL, f"{HOSPITALS[0].slug}-hospital", HOSPITALS[0].name),
    Login(Role.REFERRER, f"{CLINIC.slug}-referrer", CLINIC.name),
)
"""One for each role; the first of its role that the seed registers, so that `--client` can be left out."""


def sonja_reference(seed: int = 1) -> str:
    """Reference of Sonja's Patient in the county of this seed."""
    return f"Patient/{fhir_id(seed, 'member-0', 'patient')}"


def curl_lines(base_url: str, seed: int = 1) -> list[tuple[str, str]]:
    """(what it shows, command to paste). base_url: of the server, without /fhir."""
    _, lcm, _, _, cbo, _, _ = LOGINS
    return sandbox.curl_lines(base_url, sonja_reference(seed), lcm.client, cbo.client)


def clients(created_us: int) -> list[RegisteredClient]:
    """Every client, those of LOGINS first in their role: the oldest is what `enlace token --role` takes."""
    rows: list[tuple[str, str, Role, str, str | None, str]] = [
        ("enlace-admin", OPERATOR.reference, Role.ADMIN, ALL, None, "TREAT")
    ]
    for p in LEAD_CARE_MANAGERS:
        rows.append((f"{p.slug}-lcm", f"Organization/{p.organization}", Role.LCM, ALL, p.reference, "TREAT"))
    rows += [(f"{o.slug}-ehr", o.reference, Role.ECM_PROVIDER, ALL, None, "TREAT") for o in ECM_PROVIDERS]
    rows += [(f"{o.slug.removeprefix('plan-')}-mcp", o.reference, Role.MCP, ALL, None, "HOPERAT") for o in PLANS]
    cbos = sorted(CBOS, key=lambda cbo: cbo is not CBOS[4])
    rows += [(f"{o.slug}-cbo", o.reference, Role.CBO, ALL, None, "TREAT") for o in cbos]
    rows += [(f"{o.slug}-hospital", o.reference, Role.HOSPITAL, HOSPITAL_READS, None, "TREAT") for o in HOSPITALS]
    rows += [(f"{CLINIC.slug}-referrer", CLINIC.reference, Role.REFERRER, ALL, None, "TREAT")]
    return [
        new_client(
            name,
            name=name,
            organization=organization,
            role=role,
            scope=scope,
            person=person,
            purpose=purpose,
            now_us=created_us + place,
        )
        for place, (name, organization, role, scope, person, purpose) in enumerate(rows)
    ]
