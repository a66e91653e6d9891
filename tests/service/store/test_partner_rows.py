"""A version before 0008 serves beside this one: what it writes of a partner is read here."""

from dataclasses import fields

from service.store import partners
from service.store.change import Change, Statement
from service.store.engine import Store
from service.store.partners import Partner

NEW = ("notices", "told_us", "hinted_us")


async def test_a_partner_that_a_former_version_wrote(store: Store) -> None:
    base, scopes = "https://b.example.org", "system/Task.cru"
    one = Partner("b", "Organization/b", f"{base}/fhir", "c", f"{base}/token", scopes, "push", 900, key_id="k1")
    names = [field.name for field in fields(Partner) if field.name not in NEW]
    sql = f"INSERT INTO referral_partner ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    await store.commit(Change(statements=[Statement(sql, tuple(getattr(one, name) for name in names))]))
    assert await partners.partners(store) == [one] and (one.notices, one.told_us, one.hinted_us) == ("auto", 0, 0)
