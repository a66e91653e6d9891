"""What `make run` prints: addresses, one login per role, three curl lines and events that work as pasted."""

from service.caller import Role
from service.cli.seed import curl_lines
from service.settings import Settings
from service.store import credentials
from service.store.engine import Store

ENLACE = ".venv/bin/enlace"

EVENTS = (
    ("an A01 for Maria: a member of her panel is admitted, and she is told", "sandbox admit --for maria"),
    ("the A03 of the same stay", "sandbox discharge"),
    ("a referral, which the community organization accepts, then completes", "sandbox refer"),
    ("", "sandbox accept"),
    ("", "sandbox complete"),
    ("hospital messages, and the alerts that follow", "adt simulate --rate 5 --seconds 10"),
)
"""(what it shows, verb): in this order each one works."""


async def welcome(store: Store, settings: Settings) -> str:
    """The text; logins are what the database holds."""
    clients = [c for c in await credentials.clients(store) if c.active]
    base = settings.base_url
    lines = [
        "",
        f"  Pages      {base}/            (four roles, one click each)",
        f"  Events     {base}/sandbox     (send an A01, let the CBO accept)",
        f"  FHIR R4    {base}/fhir/metadata",
        f"  OpenAPI    {base}/docs",
        f"  A token    {base}/sandbox/token?role=lcm",
        f"  ADT/MLLP   {settings.mllp_host}:{settings.mllp_port}",
        "",
        "  A token for each role (sandbox only):",
    ]
    for role in Role:
        named = next((c for c in clients if c.role == role), None)
        if named is not None:
            lines.append(f"    {ENLACE} token --role {role.value:<14} # {named.name}")
    lines += ["", "  Try:"]
    for what, command in curl_lines(base):
        lines += [f"    # {what}", f"    {command}"]
    for what, verb in EVENTS:
        lines += [f"    # {what}"] if what else []
        lines.append(f"    {ENLACE} {verb}")
    return "\n".join([*lines, ""])
