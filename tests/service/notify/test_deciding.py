"""Nobody is told who may not read it now: what each right, lost or never had, does to a notification (L40-L42, A7)."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest

from service.access.labels import BITS
from service.access.new_version import deletion
from service.auth import registration
from service.notify import dispatching
from service.notify.deciding import Barred
from service.search.dates import MAX_US, MIN_US
from service.store import credentials, deliveries
from service.store.break_glass import Taken, opened
from service.store.change import Change, Statement
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import DOWN, OK, Desk, events_of
from tests.service.notify.subscription_samples import set_endpoints
from tests.service.world import CBO1, ECM1, ECM2, LCM1, PLAN1, SUD, put, task

HOUR = 3600
POSTGRESQL_IN_DEEP = True
UPDATED = "https://enlace.example.org/fhir/SubscriptionTopic/task-updated"
PART2 = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}]}

Lose = Callable[[Desk, str], Awaitable[None]]


async def rule(desk: Desk, grade: int, labels: int, actor: str = ECM1, patient: str = "Patient/a") -> None:
    """As a Consent compiles to, with the epoch that its commit bumps. grade: even permits, odd denies."""
    patient_key, consent, who = (desk.store.keys.resource(one) for one in (patient, f"Consent/{grade}", actor))
    row = (patient_key, consent, 0, who, 0, "", labels, "", 0, 0, grade, MIN_US, MAX_US)
    names = "patient, consent, number, actor, also, purpose, labels, rtype, data_kind, data, grade, start_us, end_us"
    sql = f"INSERT INTO clearance ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    await desk.store.commit(Change(statements=[Statement(sql, row)], bump_epochs={patient_key}))


async def assignment_ends(desk: Desk, _: str) -> None:
    """The episode and the team of ECM 1 end."""
    period = {"period": {"start": "2026-01-01", "end": "2026-02-01"}}
    await desk.changes("EpisodeOfCare/a", PLAN1, status="finished", **period)
    await desk.changes("CareTeam/a", status="inactive", **period)


async def consent_denies(desk: Desk, _: str) -> None:
    from service.search.clearance import GENERAL

    await rule(desk, 7, GENERAL)


async def client_suspended(desk: Desk, client_id: str) -> None:
    client = await credentials.client_by_id(desk.store, client_id)
    assert client is not None
    await registration.suspend(desk.store, client)


async def client_revoked(desk: Desk, client_id: str) -> None:
    client = await credentials.client_by_id(desk.store, client_id)
    assert client is not None
    await registration.deactivate(desk.store, client)


async def organization_ended(desk: Desk, _: str) -> None:
    await desk.changes(ECM1, "Organization/op", active=False)


async def labelled(desk: Desk, _: str) -> None:
    await desk.changes("Task/p", PLAN1, meta=SUD)


LOSSES = [assignment_ends, consent_denies, client_suspended, client_revoked, organization_ended, labelled]


@pytest.fixture
async def told(desk: Desk, app_client: AppClient) -> Any:
    """ECM 1 subscribed to Tasks, whole; the plan wrote one about its member, ECM 1 not being a party to it."""
    state = await desk.subscribes(await app_client("ecm-provider"), criteria=UPDATED, content="full-resource")
    await put(desk.store, task("Task/p", "Patient/a", "ServiceRequest/a", PLAN1, CBO1), source=PLAN1)
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/p")]
    return state


# --- the right is lost ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", LOSSES)
async def test_lost_before_it_is_numbered(desk: Desk, told: Any, lose: Lose) -> None:
    await desk.changes("Task/p", PLAN1, status="accepted")
    await lose(desk, told.client_id)
    await desk.work()
    assert desk.receiver.numbers() == [1]
    state = await desk.state(told.fhir_id)
    assert (state.numbered, state.delivered) == (1, 1)


@pytest.mark.parametrize("lose", LOSSES)
async def test_lost_between_decision_and_commit(
    desk: Desk, told: Any, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Change that would number it is refused, and it is decided again."""
    tell, done = dispatching.tell, list[bool]()

    async def telling(*facts: Any) -> Any:
        made = await tell(*facts)
        if not done:
            done.append(True)
            assert made.told
            await lose(desk, told.client_id)
        return made

    monkeypatch.setattr(dispatching, "tell", telling)
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work()
    assert done and desk.receiver.numbers() == [1]
    assert (await desk.state(told.fhir_id)).numbered == 1


@pytest.mark.parametrize("lose", [assignment_ends, consent_denies, labelled])
async def test_lost_after_a_failed_attempt_the_number_goes_out_empty(desk: Desk, told: Any, lose: Lose) -> None:
    desk.receiver.answers = [DOWN, OK]
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work()
    await lose(desk, told.client_id)
    await desk.work(after_s=2)
    assert desk.receiver.told()[1:] == [(2, "Task/p"), (2, "")]
    assert b"Task/p" not in (desk.receiver.sent[-1].body or b"") and b"Patient" not in (
        desk.receiver.sent[-1].body or b""
    )
    (event,) = await deliveries.events(desk.store, told.key, 2, 2, 1)
    assert event.emptied and event.settled_us
    assert (await desk.state(told.fhir_id)).delivered == 2


@pytest.mark.parametrize("lose", [client_suspended, client_revoked, organization_ended])
async def test_a_client_that_may_not_call_is_sent_nothing_at_all(desk: Desk, told: Any, lose: Lose) -> None:
    desk.receiver.answers = [DOWN, OK]
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work()
    sent = len(desk.receiver.sent)
    await lose(desk, told.client_id)
    await desk.work(after_s=HOUR)
    state = await desk.state(told.fhir_id)
    assert len(desk.receiver.sent) == sent
    assert state.status == ("off" if lose is client_revoked else "error") and state.error in set(Barred)
    assert (await desk.resource(told.reference))[0]["error"] == state.error


async def test_a_suspended_client_goes_on_where_it_was(desk: Desk, told: Any, app_client: AppClient) -> None:
    client = await app_client("ecm-provider")
    move = Statement("UPDATE token SET client_id = ?", (told.client_id,))
    await desk.store.commit(Change(statements=[move]))
    await client_suspended(desk, told.client_id)
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work()
    registered = await credentials.client_by_id(desk.store, told.client_id)
    assert registered is not None
    await registration.resume(desk.store, registered)
    await desk.work()
    assert desk.receiver.numbers() == [1], "the client starts it again, not the service"
    assert (await desk.puts(client, told, status="requested")).status_code == 200
    await desk.work()
    assert desk.receiver.told()[1:] == [(2, "Task/p")]


async def test_an_endpoint_that_the_operator_struck_out_is_sent_nothing(desk: Desk, told: Any) -> None:
    await set_endpoints(desk.store, told.client_id, "other.example.org")
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work()
    state = await desk.state(told.fhir_id)
    assert desk.receiver.numbers() == [1]
    assert state.status == "error" and "operator registers the host" in state.error


# --- the right was never there ----------------------------------------------------------------------------------------


async def test_an_emergency_access_opens_nothing(desk: Desk, app_client: AppClient) -> None:
    """A care manager of ECM 1 opened member B; the systems of ECM 1 hear nothing of B."""
    await desk.subscribes(await app_client("ecm-provider"), criteria=UPDATED)
    now = desk.clock.now_us()
    taken = Taken("g1", LCM1, ECM1, "Patient/b", "emergency", "", now, now + HOUR * 1_000_000)
    await desk.store.commit(Change(statements=opened(desk.store, taken, 0)))
    assert await waits_and_is_kept(desk, "Task/b", ECM2)


async def test_the_grace_after_an_assignment_does_not_count(desk: Desk, told: Any) -> None:
    """What a read would still show, ten days after the end, nobody is notified of."""
    await assignment_ends(desk, "")
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work(ecm_grace_days=10_000)
    assert desk.receiver.numbers() == [1]


async def waits_and_is_kept(desk: Desk, reference: str, source: str) -> bool:
    """Whether an event that does wait is told to nobody, wherever it came from."""
    await desk.changes(reference, source, status="accepted")
    await desk.worker()._match()
    key = desk.store.keys.resource(reference)
    ((vid,),) = await desk.store.fetch("SELECT vid FROM resource WHERE key = ?", (key,))
    wait = (
        "INSERT INTO event_waiting (subscription, id, vid, key, kind, at_us) SELECT s.key, CAST(? AS BIGINT), "
        "CAST(? AS BIGINT), CAST(? AS BIGINT), 'event', CAST(? AS BIGINT) FROM subscription s "
        "WHERE s.status = 'active' ON CONFLICT (subscription, vid) DO NOTHING"
    )
    due = Statement("UPDATE subscription SET due_us = ?", (desk.clock.now_us(),))
    await desk.store.commit(Change(statements=[Statement(wait, (vid, vid, key, desk.clock.now_us())), due]))
    await desk.work()
    ((left,),) = await desk.store.fetch("SELECT count(*) FROM event_waiting")
    assert left == 0
    return desk.receiver.numbers() == []


@pytest.mark.parametrize(
    ("scopes", "heard"),
    [
        ("system/Subscription.cruds system/Task.rs", True),
        ("system/Subscription.cruds system/Task.rs?status=accepted", True),
        ("system/Subscription.cruds system/Task.rs?status=rejected", False),
    ],
)
async def test_the_query_of_a_scope_narrows_what_is_heard(
    desk: Desk, app_client: AppClient, scopes: str, heard: bool
) -> None:
    client = await app_client("ecm-provider", scopes=scopes)
    await desk.subscribes(client, criteria=UPDATED)
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert desk.receiver.told() == ([(1, "Task/a")] if heard else [])


async def test_scopes_that_the_operator_took_away_count_at_once(desk: Desk, told: Any) -> None:
    from dataclasses import replace

    client = await credentials.client_by_id(desk.store, told.client_id)
    assert client is not None
    await registration.change(desk.store, replace(client, scopes="system/Subscription.cruds"))
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work()
    assert desk.receiver.numbers() == [1]


async def test_each_version_by_its_own_labels(desk: Desk, told: Any) -> None:
    """A version that bore a label is kept back also when the next one, which bears none, is told."""
    await desk.changes("Task/p", PLAN1, status="accepted", meta=SUD)
    await desk.changes("Task/p", PLAN1, status="in-progress", meta=None)
    await desk.work()
    bodies = [entry["resource"] for entry in desk.receiver.bundles()[-1]["entry"][1:]]
    found = [(one["meta"]["versionId"], one["status"]) for one in bodies if one["resourceType"] == "Task"]
    assert found == [("3", "in-progress")]
    assert desk.receiver.numbers() == [1, 2]


# --- what goes along --------------------------------------------------------------------------------------------------


def resources(bundle: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = (entry.get("resource") for entry in bundle["entry"][1:])
    return {f"{one['resourceType']}/{one['id']}": one for one in found if one}


async def test_protected_data_bears_the_notice_and_its_consent(desk: Desk, told: Any) -> None:
    await rule(desk, 6, BITS["sud"] | BITS["part2"])
    await desk.changes("Task/p", PLAN1, status="accepted", meta=PART2)
    await desk.work()
    entry = desk.receiver.bundles()[-1]["entry"][1]
    (issue,) = entry["response"]["outcome"]["issue"]
    assert "42 CFR part 2 prohibits" in issue["details"]["text"]
    assert "NORDSCLCD" in [one["code"] for one in entry["resource"]["meta"]["security"]]
    assert "outcome" not in desk.receiver.bundles()[0]["entry"][1]["response"]


async def test_a_community_organization_gets_the_minimum_view(desk: Desk, app_client: AppClient) -> None:
    client = await app_client("cbo", CBO1)
    await desk.subscribes(client, criteria=UPDATED, content="full-resource")
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    found = resources(desk.receiver.bundles()[-1])
    assert set(found) == {"Task/a", "ServiceRequest/a", "Patient/a"}
    assert set(found["Patient/a"]) == {"resourceType", "id", "meta", "name"}
    read: httpx.Response = await client.get("/Patient/a")
    assert found["Patient/a"] == read.json()


async def test_what_is_included_must_be_readable_by_itself(desk: Desk, app_client: AppClient) -> None:
    scopes = "system/Subscription.cruds system/Task.rs"
    await desk.subscribes(await app_client("ecm-provider", scopes=scopes), criteria=UPDATED, content="full-resource")
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    (bundle,) = desk.receiver.bundles()
    assert set(resources(bundle)) == {"Task/a"}
    assert "additional-context" not in orjson.dumps(bundle["entry"][0]).decode()


async def test_empty_content_says_that_and_no_more(desk: Desk, app_client: AppClient) -> None:
    await desk.subscribes(await app_client("ecm-provider"), criteria=UPDATED, content="empty")
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    (bundle,) = desk.receiver.bundles()
    assert events_of(bundle) == [(1, "")] and len(bundle["entry"]) == 1


async def test_a_deletion_is_told_without_content_and_nothing_of_what_was_deleted(desk: Desk, told: Any) -> None:
    await desk.changes("Task/p", PLAN1, status="accepted")
    version, keys = (await desk.resource("Task/p"))[1], desk.store.keys
    facts = {"patient": keys.resource("Patient/a"), "source_org": keys.resource(PLAN1)}
    gone = deletion("Task", "p", version, **facts)
    await desk.store.commit(Change(writes=[gone]))
    await desk.work()
    assert [kind for _, kind in desk.receiver.told()[1:]] == ["Task/p", "Task/p"]
    entries = desk.receiver.bundles()[-1]["entry"][1:]
    assert [entry["request"]["method"] for entry in entries] == ["PUT", "DELETE"]
    assert not any("resource" in entry for entry in entries)
