"""GET /fhir/metadata: whole and in part, in each format, cached by variant."""

from pathlib import Path

import httpx
import pytest
from lxml import etree

from fhir_profiles.validate import validate
from service.api.xml_reader import read_xml
from service.main import build
from service.settings import load
from service.store.engine import Store
from tests.service.conftest import AppClient


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_whole_in_every_way_of_asking(store: Store, app_client: AppClient) -> None:
    client = await app_client()
    whole = (await client.get("/metadata")).json()
    assert validate(whole, "CapabilityStatement") == []
    assert {"application/fhir+json", "application/fhir+xml"} <= set(whole["format"])
    for query in (
        "mode=full",
        "mode=normative",
        "mode=terminology",
        "mode=shoe",
        "_summary=false",
        "x=y",
        "_elements=",
    ):
        assert (await client.get(f"/metadata?{query}")).json() == whole, query
    shown = await client.get("/metadata?_pretty=true")
    assert shown.json() == whole and shown.content.startswith(b'{\n  "resource')


async def test_each_variant_has_its_own_tag(store: Store, app_client: AppClient) -> None:
    client = await app_client()
    tags = set()
    for query in ("", "?_format=xml", "?_pretty=true", "?_elements=format", "?_summary=true"):
        answer = await client.get(f"/metadata{query}")
        tags.add(answer.headers["etag"])
        assert answer.headers["vary"] == "Accept"
        again = await client.get(f"/metadata{query}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
        head = await client.head(f"/metadata{query}")
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    assert len(tags) == 5


async def test_xml(store: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = await client.get("/metadata", headers={"Accept": "application/fhir+xml"})
    assert etree.fromstring(answer.content).tag == "{http://hl7.org/fhir}CapabilityStatement"
    assert read_xml(answer.content) == (await client.get("/metadata")).json()


async def test_in_part(store: Store, app_client: AppClient) -> None:
    client = await app_client()
    part = (await client.get("/metadata?_elements=fhirVersion,format,shoe")).json()
    assert {"fhirVersion", "format", "status", "kind", "date"} <= set(part) and "rest" not in part
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED" and validate(part, "CapabilityStatement") == []
    summary = (await client.get("/metadata?_summary=true")).json()
    assert "publisher" in summary and summary["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_refusals(store: Store, app_client: AppClient) -> None:
    client = await app_client()
    assert (await client.get("/metadata", headers={"Accept": "image/png"})).status_code == 406
    assert (await client.get("/metadata?_format=xml&x=" + "x" * 9000)).status_code == 413
    assert (await client.get("/metadata?a=%FF")).status_code == 400


async def test_urls_are_the_public_ones_whatever_a_proxy_says(store: Store, tmp_path: Path) -> None:
    """settings.base_url is the public base; X-Forwarded-* and Host change no link."""
    public = "https://fhir.example.org/enlace"
    environ = {"ENLACE_PUBLIC_URL": public, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "key")}
    app = build(store, load({**environ, "ENLACE_DATABASE_URL": store.url}))
    evil = {"Host": "evil.example.org", "X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "gopher"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        statement = (await client.get("/fhir/metadata", headers=evil)).json()
    assert statement["implementation"]["url"] == f"{public}/fhir" and "evil" not in str(statement)
    (oauth,) = statement["rest"][0]["security"]["extension"]
    ends = {one["url"]: one["valueUri"] for one in oauth["extension"]}
    assert (ends["token"], ends["authorize"]) == (f"{public}/auth/token", f"{public}/auth/authorize")
