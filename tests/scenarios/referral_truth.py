"""What must hold of referrals in the database after any run, worked out anew from the versions that are stored."""

from collections import Counter, defaultdict
from typing import Any

from service.access.context import parse
from service.store.engine import Store
from tests.scenarios.adt_truth import resources

CLOSED = ("rejected", "cancelled", "failed", "completed", "entered-in-error")
EDGES: dict[str, tuple[str, ...]] = {
    "": ("draft", "requested"),
    "draft": ("requested", "entered-in-error"),
    "requested": ("accepted", "rejected", "cancelled", "entered-in-error"),
    "accepted": ("in-progress", "on-hold", "completed", "failed", "cancelled", "entered-in-error"),
    "in-progress": ("on-hold", "completed", "failed", "cancelled", "entered-in-error"),
    "on-hold": ("in-progress", "completed", "failed", "cancelled", "entered-in-error"),
    **dict.fromkeys(("rejected", "cancelled", "failed", "completed"), ("entered-in-error",)),
}
"""As SDOHCC 3.0.0 draws them; written apart from referral_law.py."""
CLOCKS = {
    "requested": {"referral-acknowledge", "referral-close"},
    "accepted": {"referral-first-contact", "referral-close"},
    "in-progress": {"referral-close"},
    "on-hold": {"referral-close"},
}
CONTACT = "referral-first-contact"
STALLED = {"referral-stalled", "referral-stalled-again"}


async def _versions(store: Store, rtype: str) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Id -> (vid, resource) of each version that is no deletion, oldest first."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    sql = "SELECT fhir_id, vid, body FROM version WHERE rtype = ? AND body IS NOT NULL ORDER BY fhir_id, vid"
    for fhir_id, vid, body in await store.fetch(sql, (rtype,)):
        found[str(fhir_id)].append((int(vid), parse(bytes(body))))
    return found


def is_referral(task: dict[str, Any]) -> bool:
    return str(task.get("focus", {}).get("reference", "")).startswith("ServiceRequest/")


async def check_histories(store: Store) -> dict[str, list[str]]:
    """Each version of a referral is a step that the law knows, or stays where it was. Reference -> its statuses."""
    found: dict[str, list[str]] = {}
    for rtype in ("Task", "ServiceRequest"):
        for fhir_id, versions in (await _versions(store, rtype)).items():
            statuses = [str(body["status"]) for _, body in versions]
            found[f"{rtype}/{fhir_id}"] = statuses
            assert [int(body["meta"]["versionId"]) for _, body in versions] == list(range(1, len(versions) + 1))
            if rtype == "Task" and is_referral(versions[0][1]):
                for old, new in zip(["", *statuses], statuses, strict=False):
                    assert old == new or new in EDGES[old], (fhir_id, statuses)
    return found


async def check_facts(store: Store) -> int:
    """Table referral_event tells each opening and each move of the history once, with the version that says so."""
    expected: Counter[tuple[str, str, str, str, int]] = Counter()
    for fhir_id, versions in (await _versions(store, "Task")).items():
        was = ""
        for vid, body in versions if is_referral(versions[0][1]) else ():
            if body["status"] not in (was, "draft"):
                expected[(fhir_id, "moved" if was else "opened", was, body["status"], vid)] += 1
            was = "" if body["status"] == "draft" else body["status"]
    for fhir_id, versions in (await _versions(store, "ServiceRequest")).items():
        was = ""
        for vid, body in versions:
            if body["status"] != was:
                expected[(fhir_id, "request", was, body["status"], vid)] += 1
            was = body["status"]
    sql = (
        "SELECT CASE WHEN kind = 'request' THEN request ELSE task END, kind, was, status, vid FROM referral_event "
        "WHERE kind IN ('opened', 'moved', 'request')"
    )
    told = Counter((r[0], r[1], r[2], r[3], int(r[4])) for r in await store.fetch(sql))
    assert told == expected, (told - expected, expected - told)
    return sum(told.values())


async def check_clocks(store: Store) -> int:
    """The clocks that run are those of where each referral stands; how many."""
    running: dict[str, Counter[str]] = defaultdict(Counter)
    sql = "SELECT subject, kind FROM timer WHERE state = 'running' AND kind LIKE 'referral-%'"
    for subject, kind in await store.fetch(sql):
        running[subject][kind] += 1
    for fhir_id, task in (await resources(store, "Task")).items():
        if not is_referral(task):
            continue
        runs = running.pop(f"Task/{fhir_id}", Counter())
        assert set(runs.values()) <= {1}, (fhir_id, task["status"], runs)
        wanted = CLOCKS[task["status"]] | STALLED if task["status"] not in CLOSED else set[str]()
        held = {CONTACT} if task["status"] == "on-hold" else set[str]()  # where it was held before any contact
        assert set(runs) - held == wanted, (fhir_id, task["status"], runs)
        running[fhir_id] = runs
    assert not [subject for subject in running if subject.startswith("Task/")]
    return sum(sum(runs.values()) for runs in running.values())


async def check_told_once(store: Store) -> int:
    """No notice of the closed loop goes to anybody twice, and none has a second version; how many there are."""
    notices: Counter[tuple[str, str, str]] = Counter()
    for fhir_id, versions in (await _versions(store, "Communication")).items():
        body = versions[-1][1]
        codes = [c.get("code") for one in body.get("category", ()) for c in one.get("coding", ())]
        if "clr-notice" in codes:
            assert len(versions) == 1, fhir_id
            to, about = body["recipient"][0]["reference"], body["about"][0]["reference"]
            notices[(about, body["category"][0]["text"], to)] += 1
    assert not [one for one, count in notices.items() if count > 1], notices
    return sum(notices.values())
