"""What the service takes at most, from the constants and settings that hold it: for people and for programs."""

from typing import NamedTuple

from service.api import hl7v2, json_reader, oauth_form
from service.api.admission import BURST_S
from service.auth.limits import PER_CLIENT, PER_SOURCE
from service.search.results import MAX_COUNT, MAX_INCLUDES, Shape
from service.settings import Settings, variable

MB = 1024 * 1024


class Limit(NamedTuple):
    """name: for programs. beyond: what happens to more than `value`."""

    name: str
    value: int
    what: str
    beyond: str


def _setting(field: str) -> int:
    return int(Settings.model_fields[field].default)


def limits() -> tuple[Limit, ...]:
    """Those that an operator may set stand here with their defaults."""
    rate, process = _setting("client_rate"), _setting("max_in_flight")
    return (
        Limit("bodyBytes", json_reader.MAX_BYTES, f"Body of a FHIR request: {json_reader.MAX_BYTES // MB} MB", "413"),
        Limit("bodyDepth", json_reader.MAX_DEPTH, f"Levels of JSON: {json_reader.MAX_DEPTH}", "400"),
        Limit("bodyValues", json_reader.MAX_VALUES, f"Values in a body: {json_reader.MAX_VALUES:,}", "400"),
        Limit(
            "bundleValues", json_reader.MAX_BUNDLE_VALUES,
            f"Values in all entries of a Bundle together: {json_reader.MAX_BUNDLE_VALUES:,}", "400",
        ),
        Limit("messageBytes", hl7v2.MAX_BYTES, f"HL7 v2 message: {hl7v2.MAX_BYTES // MB} MB", "413"),
        Limit("oauthFormBytes", oauth_form.MAX_BODY, f"OAuth form: {oauth_form.MAX_BODY // 1024} KB", "413"),
        Limit("pageSizeDefault", Shape(()).count, f"Entries per page unless `_count` says so: {Shape(()).count}", ""),
        Limit("pageSizeMost", MAX_COUNT, f"Entries per page: {MAX_COUNT}", "fewer come, with a `next` link"),
        Limit("includesMost", MAX_INCLUDES, f"`_include` and `_revinclude` in a search: {MAX_INCLUDES}", "400"),
        Limit(
            "clientRequestsPerSecond", rate,
            f"Requests a second of one client at one process: {rate}, in a burst {BURST_S * rate} "
            f"(`{variable('client_rate')}`)",
            "429 with Retry-After",
        ),
        Limit(
            "requestsInWork", process,
            f"Requests in work at one process: {process} (`{variable('max_in_flight')}`); a few more wait a moment",
            "503 with Retry-After",
        ),
        Limit("tokensOfClient", PER_CLIENT, f"Token requests a minute of one client: {PER_CLIENT}", "429 likewise"),
        Limit("tokensOfAddress", PER_SOURCE, f"Token requests a minute from one address: {PER_SOURCE}", "429 likewise"),
    )  # fmt: skip


def as_text() -> str:
    """Lines of Markdown."""
    lines = [f"* {limit.what}.{f' More: {limit.beyond}.' if limit.beyond else ''}" for limit in limits()]
    return "\n".join(["Limits:", "", *lines, ""])


def as_values() -> dict[str, int]:
    """For programs: the extension `x-enlace-limits`."""
    return {limit.name: limit.value for limit in limits()}
