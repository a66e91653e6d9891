"""G13, L54, L58: what names a person, and a subscriber's secrets, reaches no log, metric, ledger, subject or text.

As tests/service/access/test_canaries.py, for all that leaves without being asked: also where each part breaks.
"""

import io
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service import log_events
from service.notify import dispatching, matching, people
from service.notify.model import Message
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import DOWN, GONE, OK, Desk
from tests.service.notify.notice_world import alert, mail, message, role
from tests.service.notify.test_deciding import UPDATED
from tests.service.world import ECM1, LCM1, PLAN1, put

POSTGRESQL_IN_DEEP = True

WORDS = [f"Zn{n:02d}vanary" for n in range(12)]
FAMILY, PHONE, NOTE, REASON, PAYLOAD, TOKEN, PATH, BROKEN, MEMBER, *REST = WORDS


@pytest.fixture(autouse=True)
def no_defects() -> Iterator[None]:
    """Here they are made on purpose."""
    yield


@pytest.fixture
async def ours(desk: Desk, app_client: AppClient) -> httpx.AsyncClient:
    client = await app_client("ecm-provider")
    endpoint, header = f"https://hooks.example.org/{PATH}", f"Authorization: Bearer {TOKEN}"
    await desk.subscribes(client, criteria=UPDATED, content="full-resource", endpoint=endpoint, headers=(header,))
    await put(desk.store, role("lcm-1", LCM1, ECM1, "lead-care-manager"), source=ECM1)
    await desk.changes(LCM1, ECM1, telecom=[mail("lcm@ecm.example")], name=[{"family": REST[0]}])
    reached = [{"system": "sms", "value": "+19165550123"}]
    await desk.changes("Patient/a", PLAN1, name=[{"family": FAMILY}], telecom=reached)
    desk.clock.advance(12 * 3_600_000_000)  # by day, when members are told
    return await app_client("ecm-provider")


async def news(desk: Desk, number: int, **elements: Any) -> None:
    """Of each kind one; what is told to people by mail and SMS as well."""
    status = ("", "accepted", "in-progress", "on-hold", "in-progress", "on-hold", "in-progress")[number]
    await desk.changes("Task/a", status=status, description=NOTE, statusReason={"text": REASON}, **elements)
    told = alert(f"c{number}", payload=[{"contentString": PAYLOAD}], reasonCode=[{"text": REASON}])
    await put(desk.store, told, source="Device/enlace")
    await put(desk.store, message(f"m{number}", "Patient/a", "Patient/a", note=[{"text": MEMBER}]), source=ECM1)


async def test_no_word_of_a_person_leaves_but_in_what_was_asked_for(
    desk: Desk, ours: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log_events.configure("json", "debug", stream=(logged := io.StringIO()))

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{BROKEN} {FAMILY}")

    async def breaks(_: Message) -> None:
        raise RuntimeError(f"{BROKEN} {TOKEN}")

    def unread(*_: Any) -> Any:
        raise ValueError(f"{BROKEN} {NOTE}")

    await news(desk, 1)
    await desk.work()
    assert any(FAMILY.encode() in (one.body or b"") for one in desk.receiver.sent), "who may know is told"
    desk.receiver.before = breaks
    await news(desk, 2)
    await desk.work()
    desk.receiver.before = None
    for number, (where, name, wrong) in enumerate(
        [(dispatching, "tell", broken), (matching, "fires", unread), (people, "noticed", broken)], 3
    ):
        monkeypatch.setattr(where, name, wrong)
        await news(desk, number)
        await desk.work(after_s=120)
        monkeypatch.undo()
    desk.receiver.answers = [DOWN, GONE, GONE, GONE, OK]
    await news(desk, 6)
    for _ in range(5):
        await desk.work(after_s=3600)

    libraries = " ".join(r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore")))
    assert [w for w in WORDS if w in logged.getvalue() + libraries] == [], "logged"
    for event in ("notify.channel-broken", "notify.turn-failed", "notify.unread", "delivery.failed", "notice.failed"):
        assert f'"{event}"' in logged.getvalue(), event
    read = [one for one in desk.receiver.sent if not one.to.startswith("https")]
    text = " ".join(f"{one.subject} {one.text} {one.id} {one.to}" for one in read)
    assert "lcm@ecm.example" in text and "+19165550123" in text
    assert [w for w in WORDS if w in text] == [], "in a mail or SMS"
    assert not any(one.body for one in read)
    assert [w for w in WORDS if w in " ".join(one.id for one in desk.receiver.sent)] == []
    metrics = await ours.get("http://test/metrics")
    kept = [metrics.text]
    for sql in (
        "SELECT * FROM delivery_attempt",
        "SELECT * FROM notice",
        "SELECT error FROM subscription",
        "SELECT * FROM event_waiting",
        "SELECT * FROM subscription_event",
        "SELECT detail, reason FROM audit WHERE kind LIKE 'noti%'",
    ):
        kept.append(str(await desk.store.fetch(sql)))
    assert [w for w in WORDS if w in " ".join(kept)] == [], "in a metric, the ledger or the audit"
    state = (await ours.get("/Subscription/$status")).text + (await ours.get("/Subscription/$status?status=error")).text
    assert [w for w in WORDS if w in state] == []
