"""What `make run` prints: addresses, one login per role, three curl lines that work as pasted."""

from service.caller import Role
from service.cli.seed import curl_lines
from service.settings import Settings
from service.store import credentials
from service.store.engine import Store

ENLACE = ".venv/bin/enlace"


async def welcome(store: Store, settings: Settings) -> str:
    """The text; logins are what the database holds."""
    clients = [c for c in await credentials.clients(store) if c.active]
    lines = [
        "",
        f"  Pages      {settings.base_url}/            (sign in as a lead care manager: one click)",
        f"  FHIR R4    {settings.base_url}/fhir/metadata",
        f"  OpenAPI    {settings.base_url}/docs",
        f"  ADT/MLLP   {settings.mllp_host}:{settings.mllp_port}",
        "",
        "  A token for each role (sandbox only):",
    ]
    for role in Role:
        named = next((c for c in clients if c.role == role), None)
        if named is not None:
            lines.append(f"    {ENLACE} token --role {role.value:<14} # {named.name}")
    lines += ["", "  Try:"]
    for what, command in curl_lines(settings.base_url):
        lines += [f"    # {what}", f"    {command}"]
    feed = f"{ENLACE} adt simulate --rate 5 --seconds 10"
    lines += ["    # hospital messages, and the alerts that follow", f"    {feed}", ""]
    return "\n".join(lines)
