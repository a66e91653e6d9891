"""Any query over HTTP is answered or refused with a sentence, never a 500, and shows only what is the caller's."""

import os
import random

from fhir_profiles.catalog import catalog
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import observation, put

COUNT = 2_000 if os.environ.get("ENLACE_TEST_DEEP") else 80
VALUES = {
    "token": ("a", "requested", "http://x|y", "|y", "x|", "true", "final,amended"),
    "reference": ("a", "Patient/a", "Patient/b", "Organization/ecm-1", "http://x/y"),
    "date": ("2026", "ge2020-01-01", "ne2026-01-01T00:00:00Z", "ap2026-03", "lt2030"),
    "string": ("m", "made", "é"),
    "number": ("1", "gt0.5", "ne3"),
    "quantity": ("72", "gt1||kg", "ap70.50"),
    "uri": ("http://x/y", "urn:oid:1.2"),
    "composite": ("a$b", "x|y$ge2020"),
    "special": ("38.5|-121.5|10", "x"),
}
MODIFIERS = ("", "", "", ":missing", ":not", ":exact", ":contains", ":text", ":above", ":in", ":Patient", ":identifier")


def parameter(rtype: str, dice: random.Random, depth: int = 0) -> tuple[str, str]:
    search = catalog().types[rtype].search
    code = dice.choice(sorted(search))
    found = search[code]
    value = dice.choice(VALUES[found.type])
    if found.type == "reference" and depth < 3 and dice.random() < 0.5:
        targets = [t for t in found.targets if t in catalog().types] or ["Patient"]
        name, value = parameter(dice.choice(targets), dice, depth + 1)
        return f"{code}.{name}", value
    if depth < 2 and dice.random() < 0.15:
        leading = sorted(name.partition(":")[::2] for name in catalog().types[rtype].revincludes)
        if leading:
            source, back = dice.choice(leading)
            name, value = parameter(source, dice, depth + 1)
            return f"_has:{source}:{back}:{name}", value
    modifier = dice.choice(MODIFIERS)
    return code + modifier, "true" if modifier == ":missing" else value


def query(rtype: str, dice: random.Random) -> dict[str, str]:
    asked = dict(parameter(rtype, dice) for _ in range(dice.randrange(3)))
    codes = sorted(catalog().types[rtype].search)
    if dice.random() < 0.5:
        asked["_sort"] = ",".join(dice.choice(("", "-")) + dice.choice(codes) for _ in range(dice.randrange(1, 4)))
    if dice.random() < 0.3:
        asked["_include"] = dice.choice(("*", f"{rtype}:*"))
    if dice.random() < 0.3:
        asked["_revinclude"] = "*"
    if dice.random() < 0.3:
        asked["_summary"] = dice.choice(("true", "text", "data", "count"))
    if dice.random() < 0.3:
        asked["_total"] = dice.choice(("accurate", "estimate"))
    if dice.random() < 0.3:
        term = (
            f"{dice.choice(codes)} {dice.choice(('eq', 'ne', 'co', 'ge', 'pr'))} {dice.choice(('true', '2026', 'a'))}"
        )
        asked["_filter"] = f"not ({term}) or {term}"
    return asked


async def test_any_query_is_answered_or_refused(world: Store, app_client: AppClient) -> None:
    await put(world, *(observation(f"Observation/n{n}", "Patient/b") for n in range(3)), source="Organization/ecm-2")
    client = await app_client()
    dice = random.Random(os.environ.get("ENLACE_TEST_SEED", "4"))
    served = 0
    for _ in range(COUNT):
        rtype = dice.choice([name for name in sorted(catalog().types) if name != "AuditEvent"])
        asked = {"_count": "2", **query(rtype, dice)}
        answer = await client.get(f"/{rtype}", params=asked)
        assert answer.status_code in (200, 400, 403), (rtype, asked, answer.text)
        served += answer.status_code == 200
        shown = [e["fullUrl"] for e in answer.json().get("entry", []) if "fullUrl" in e]
        assert not [url for url in shown if url.endswith(("/b", "/n0", "/n1", "/n2", "sud-b"))], (rtype, asked)
        following = {link["relation"]: link["url"] for link in answer.json().get("link", [])}.get("next")
        if following:
            after = await client.get(following.partition("/fhir")[2])
            assert after.status_code == 200, (rtype, asked, after.text)
            before = {link["relation"]: link["url"] for link in after.json()["link"]}["previous"]
            again = (await client.get(before.partition("/fhir")[2])).json()
            assert [e["fullUrl"] for e in again["entry"] if e["search"]["mode"] == "match"] == [
                e["fullUrl"] for e in answer.json()["entry"] if e["search"]["mode"] == "match"
            ]
    assert served > COUNT / 5
