import time
from dataclasses import replace
from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.auth.sandbox import caller_of
from service.store import alerts
from service.store.credentials import clients_by_name
from service.web.inbox import whose_alerts
from tests.service.web.county import *

async def test_speed(store):
    now = store.clock.now_us()
    for m in range(60):
        await put(store, patient(f"p{m}", "P", f"M{m}"), episode(f"e{m}", f"p{m}", "ana"))
    for m in range(60):
        await put(store, *(alert(f"x{m}-{n}", f"p{m}", "Practitioner/ana", now - n * SECOND, **({} if n == 0 else {"received": "2026-03-07T23:29:30-08:00"})) for n in range(40)))
    if store.db.name == "postgresql":
        import asyncpg
        c = await asyncpg.connect(store.url); await c.execute("ANALYZE"); await c.close()
    (client,) = await clients_by_name(store, "Ana Lead")
    ctx = Context(store, caller_of(client), store.clock.now_us(), Behaviour())
    whose = await whose_alerts(ctx)
    for name, w in (("before", replace(whose, lead="")), ("after", whose)):
        for what, f in (("page new", lambda: alerts.page(store, w, only_new=True, limit=26)), ("page all", lambda: alerts.page(store, w, only_new=False, limit=26)), ("count", lambda: alerts.count_new(store, w, 100)), ("mark", lambda: alerts.newest_change(store, w))):
            best = 9
            for _ in range(8):
                t = time.perf_counter(); await f(); best = min(best, time.perf_counter() - t)
            print(store.db.name, name, what, round(best * 1000, 2), "ms")
