"""SQL of what a former lead care manager left behind: alerts that nobody acknowledged, for who leads the care now.

Handed over to a person is an alert, not acknowledged, about a member whose care the person leads now (by an assignment;
neither by emergency access nor by a Task), that went to one or several Practitioners none of whom leads it any more.
Not what the person was told as well; and not where the organization of those to whom it went has a lead care manager
of its own for the member still: that is then the one.
"""

from service.search.keys import PATIENT_EDGE, edge
from service.store.engine import Store

MOST = 1000
"""So many are taken into a list: the newest; others come up as these are acknowledged."""
_TYPE = "Communication"
_RECIPIENT = edge(_TYPE, "recipient")
_PATIENT = edge(_TYPE, PATIENT_EDGE)
_STAY = edge(_TYPE, "encounter")
_ROLE_OF = edge("PractitionerRole", "practitioner")
_ROLE_AT = edge("PractitionerRole", "organization")
_LEADS = "{0}.role = 'lead-care-manager' AND {0}.start_us <= ? AND {0}.end_us > ?"


async def to(store: Store, person: str, category: tuple[str, str], now_us: int) -> list[int]:
    """vids of what was handed over to the person: few or none.

    First whether there may be any: two walks in the index, where all conditions together cost as much as the inbox.
    """
    keys = store.keys
    me = keys.resource(person)
    open_alert = (
        f"{_OF_MINE} AND m.vid NOT IN (SELECT w.vid FROM ref w WHERE w.param = ? AND w.target = ?) "
        "AND NOT EXISTS (SELECT 1 FROM ix k WHERE k.key = ? AND k.vid = m.vid) "
        "AND EXISTS (SELECT 1 FROM ix k WHERE k.key = ? AND k.vid = m.vid)"
    )
    params = [me, now_us, now_us, _PATIENT, _RECIPIENT, me]
    params += [keys.present(_TYPE, "received"), keys.token(_TYPE, "category", *category)]
    if not await store.fetch(f"SELECT 1 {open_alert} LIMIT 1", tuple(params), heavy=True):
        return []
    sql = f"SELECT m.vid {open_alert} AND {_ABANDONED} ORDER BY m.vid DESC LIMIT ?"
    rows = await store.fetch(sql, (*params, *_abandoned(store, me, now_us), MOST), heavy=True)
    return list(dict.fromkeys(int(row[0]) for row in rows))


async def is_to(store: Store, reference: str, person: str, now_us: int) -> bool:
    """Whether this alert, acknowledged or not, is one that the person answers for in the place of a former one."""
    me = store.keys.resource(person)
    sql = (
        f"SELECT 1 {_OF_MINE} AND m.vid = (SELECT r.vid FROM resource r WHERE r.key = ?) AND NOT EXISTS "
        f"(SELECT 1 FROM ref w WHERE w.vid = m.vid AND w.param = ? AND w.target = ?) AND {_ABANDONED} LIMIT 1"
    )
    params = (me, now_us, now_us, _PATIENT, store.keys.resource(reference), _RECIPIENT, me)
    return bool(await store.fetch(sql, (*params, *_abandoned(store, me, now_us))))


async def last_writer(store: Store, reference: str, patient: str, since_us: int) -> str:
    """Who changed the alert last since then, by the audit; "" where nobody did."""
    sql = (
        "SELECT a.actor FROM audit_patient q JOIN audit a ON a.slot = q.slot AND a.seq = q.seq "
        "WHERE q.patient = ? AND q.at_us >= ? AND a.target = ? AND a.kind = 'update' AND a.outcome = 0 "
        "ORDER BY q.at_us DESC, q.seq DESC LIMIT 1"
    )
    rows = await store.fetch(sql, (store.keys.resource(patient), since_us, reference))
    return str(rows[0][0]) if rows else ""


_OF_MINE = (
    f"FROM panel p CROSS JOIN ref m WHERE p.subject = ? AND {_LEADS.format('p')} AND m.param = ? "
    "AND m.target = p.patient"
)
"""p: a row by which the person leads a member's care now; m: what was said about that member."""
_ABANDONED = (
    # to a Practitioner,
    "EXISTS (SELECT 1 FROM ref w JOIN resource q ON q.key = w.target AND q.rtype = 'Practitioner' "
    "WHERE w.vid = m.vid AND w.param = ?) "
    # to nobody who leads the care now,
    "AND NOT EXISTS (SELECT 1 FROM ref w JOIN panel s ON s.patient = p.patient AND s.subject = w.target "
    f"WHERE w.vid = m.vid AND w.param = ? AND {_LEADS.format('s')}) "
    # without a copy to this person: of the same stay and the same moment,
    "AND NOT EXISTS (SELECT 1 FROM ref w JOIN ref b ON b.param = ? AND b.target = w.target "
    "JOIN ref c ON c.vid = b.vid AND c.param = ? AND c.target = ? "
    "JOIN ix_date d ON d.vid = b.vid AND d.key = ? JOIN ix_date e ON e.vid = m.vid AND e.key = ? AND e.lo = d.lo "
    "WHERE w.vid = m.vid AND w.param = ?) "
    # and no other successor in the organization of those to whom it went.
    "AND NOT EXISTS (SELECT 1 FROM ref w JOIN ref i ON i.param = ? AND i.target = w.target "
    "JOIN ref o ON o.vid = i.vid AND o.param = ? JOIN panel a ON a.patient = p.patient AND a.subject = o.target "
    "JOIN panel s ON s.patient = a.patient AND s.source = a.source "
    f"WHERE w.vid = m.vid AND w.param = ? AND {_LEADS.format('s')} "
    "AND NOT EXISTS (SELECT 1 FROM panel x JOIN panel y ON y.patient = x.patient AND y.source = x.source "
    f"WHERE x.patient = p.patient AND x.subject = o.target AND y.subject = ? AND {_LEADS.format('y')}))"
)


def _abandoned(store: Store, me: int, now_us: int) -> list[int]:
    """Parameters of _ABANDONED."""
    sent = store.keys.values(_TYPE, "sent")
    return [
        *(_RECIPIENT, _RECIPIENT, now_us, now_us),
        *(_STAY, _RECIPIENT, me, sent, sent, _STAY),
        *(_ROLE_OF, _ROLE_AT, _RECIPIENT, now_us, now_us, me, now_us, now_us),
    ]
