"""What `make run` prints: addresses, one login per role, three curl lines that work as pasted."""

from service.caller import Role
from service.settings import Settings
from service.store import credentials
from service.store.engine import Store

ENLACE = ".venv/bin/enlace"


def curl_lines(settings: Settings) -> list[tuple[str, str]]:
    """(what it shows, command to paste); each takes a sandbox token of its own."""
    base = settings.base_url

    def curl(role: str, query: str) -> str:
        return f"curl -s -H \"Authorization: Bearer $({ENLACE} token --role {role})\" '{base}/fhir/{query}'"

    return [
        ("the members of a lead care manager", curl("lcm", "Patient?_count=3")),
        ("her newest alerts", curl("lcm", "Communication?category=enlace-alert&_count=3")),
        ("referrals that wait for a CBO", curl("cbo", "Task?status=requested&_count=3")),
    ]


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
    for what, command in curl_lines(settings):
        lines += [f"    # {what}", f"    {command}"]
    feed = f"{ENLACE} adt simulate --rate 5 --seconds 10"
    lines += ["    # hospital messages, and the alerts that follow", f"    {feed}", ""]
    return "\n".join(lines)
